//! The negative control: a lock as it is written on the first day, on a file.

use std::{fs, path::PathBuf, str::FromStr, time::Duration};

use leasehold_core::{Env, Moment};

use crate::{CaseResult, Test, outcome::ensure};

/// A file that is a naive lock (it holds the moment of its expiry) or a counter.
pub(super) struct Naive {
    file: PathBuf,
    /// Whether it is removed when dropped: it is not another process's.
    is_own: bool,
}

impl Naive {
    pub(super) fn new(test: &Test) -> Self {
        let file = std::env::temp_dir().join(format!("leasehold-conformance-{}", test.unique()));
        Naive { file, is_own: true }
    }

    /// The same file in another process.
    pub(super) fn at(path: &str) -> Self {
        Naive { file: path.into(), is_own: false }
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

    pub(super) fn is_free(&self) -> bool {
        !self.file.exists()
    }

    /// Takes the lock when it is free or has expired.
    pub(super) fn take(&self, env: &Env, ttl: Duration) -> bool {
        let expires = self.read().map(Moment::from_nanos);
        if expires.is_some_and(|expires| expires > env.now()) {
            return false;
        }
        fs::write(&self.file, (env.now() + ttl).nanos().to_string()).is_ok()
    }

    /// Deletes whatever is there, as `DEL` does.
    pub(super) fn free(&self) -> bool {
        fs::remove_file(&self.file).is_ok()
    }

    /// The counter; 0 before the first write.
    pub(super) fn number(&self) -> usize {
        self.read().unwrap_or(0)
    }

    pub(super) fn set(&self, number: usize) -> std::io::Result<()> {
        fs::write(&self.file, number.to_string())
    }

    fn read<T: FromStr>(&self) -> Option<T> {
        fs::read_to_string(&self.file).ok()?.parse().ok()
    }

    /// Waits until the counter has come so far.
    pub(super) async fn await_number(&self, test: &Test, least: usize) -> CaseResult {
        let until = test.now() + test.slack() * 4;
        while self.number() < least {
            let expected = format!("a process that counts to {least}");
            ensure(test.now() <= until, expected, self.number())?;
            // Another process writes a file: there is no event to await.
            test.sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}

impl Drop for Naive {
    fn drop(&mut self) {
        if self.is_own {
            let _ = fs::remove_file(&self.file);
        }
    }
}
