//! The negative control: a lock as it is written on the first day, on a file.

use std::{fs, path::PathBuf, time::Duration};

use leasehold_core::{Env, Moment};

use crate::{CaseResult, Failure, TestContext};

/// A file that is a naive lock (it holds the moment of its expiry) or a counter; removed when dropped.
pub(super) struct Naive {
    file: PathBuf,
}

impl Naive {
    pub(super) fn new(context: &TestContext) -> Self {
        Naive { file: std::env::temp_dir().join(format!("leasehold-conformance-{}", context.unique())) }
    }

    /// The same file in another process.
    pub(super) fn at(path: &str) -> Other {
        Other(path.into())
    }

    /// For the line to a taker; temporary directories with spaces are not for tests.
    pub(super) fn path(&self) -> String {
        self.file.display().to_string()
    }

    pub(super) fn take_line(&self, ttl: Duration) -> String {
        format!("naive-take {} {}", ttl.as_millis(), self.path())
    }

    pub(super) fn free_line(&self) -> String {
        format!("naive-free {}", self.path())
    }

    pub(super) fn take(&self, env: &Env, ttl: Duration) -> bool {
        Other(self.file.clone()).take(env, ttl)
    }

    pub(super) fn is_free(&self) -> bool {
        !self.file.exists()
    }

    pub(super) fn number(&self) -> usize {
        Other(self.file.clone()).number()
    }

    /// Waits until the counter has come so far.
    pub(super) async fn await_number(&self, context: &TestContext, least: usize) -> CaseResult {
        let until = context.env().now() + context.slack() * 4;
        while self.number() < least {
            if context.env().now() > until {
                return Err(Failure::new(
                    format!("a process that counts to {least}"),
                    self.number().to_string(),
                ));
            }
            // Another process writes a file: there is no event to await.
            context.env().sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}

impl Drop for Naive {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

/// Somebody else's file: not removed when dropped.
pub(super) struct Other(PathBuf);

impl Other {
    /// Takes the lock when it is free or has expired.
    pub(super) fn take(&self, env: &Env, ttl: Duration) -> bool {
        let expires =
            fs::read_to_string(&self.0).ok().and_then(|text| text.parse().ok()).map(Moment::from_nanos);
        if expires.is_some_and(|expires| expires > env.now()) {
            return false;
        }
        fs::write(&self.0, (env.now() + ttl).nanos().to_string()).is_ok()
    }

    /// Deletes whatever is there, as `DEL` does.
    pub(super) fn free(&self) -> bool {
        fs::remove_file(&self.0).is_ok()
    }

    /// The counter; 0 before the first write.
    pub(super) fn number(&self) -> usize {
        fs::read_to_string(&self.0).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    pub(super) fn set(&self, number: usize) -> std::io::Result<()> {
        fs::write(&self.0, number.to_string())
    }
}
