//! [`Env::tokio`]: an environment on the time of a tokio runtime, for tests with paused time.

use std::time::Duration;

use tokio::{runtime::Handle, time::Instant};

use super::{Env, Environment, Moment, clock};
use crate::{BoxFuture, Error, ErrorKind, Result};

#[derive(Debug)]
struct TokioTime {
    handle: Handle,
    begin: Instant,
    begin_at: Moment,
    begin_wall_us: u64,
}

impl Env {
    /// The time and the tasks of the calling tokio runtime. Under `#[tokio::test(start_paused = true)]` leases are
    /// renewed, and end, in paused time together with `tokio::time::sleep`.
    ///
    /// For tests: tokio's clock does not count suspend, and a runtime that is blocked does not renew.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] outside of a tokio runtime.
    pub fn tokio() -> Result<Env> {
        let handle = Handle::try_current().map_err(|_| {
            Error::new(ErrorKind::Invalid, "there is no tokio runtime here")
                .hint("call it in a #[tokio::test], or in a task")
        })?;
        Ok(Env::new(TokioTime {
            handle,
            begin: Instant::now(),
            begin_at: clock::now(),
            begin_wall_us: clock::wall_us(),
        }))
    }
}

impl TokioTime {
    fn elapsed(&self) -> Duration {
        // The paused clock is that of the runtime which is entered.
        let _entered = self.handle.enter();
        self.begin.elapsed()
    }
}

impl Environment for TokioTime {
    fn now(&self) -> Moment {
        self.begin_at + self.elapsed()
    }

    fn wall_us(&self) -> u64 {
        self.begin_wall_us + self.elapsed().as_micros() as u64
    }

    #[expect(clippy::disallowed_methods, reason = "this is an implementation of Env::sleep_until")]
    fn sleep_until(&self, moment: Moment) -> BoxFuture<'static, ()> {
        let span = moment.since(self.now());
        let _entered = self.handle.enter();
        Box::pin(tokio::time::sleep(span))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.handle.spawn(task);
    }

    fn random(&self) -> u128 {
        clock::random()[0]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::runtime::Builder;

    use super::*;
    use crate::{Engine, LockName, LockOptions, Mode, Wait, memory::Memory};

    #[test]
    fn a_lease_is_renewed_for_an_hour_of_paused_time_and_ends_with_its_store() {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let real = clock::now();
        runtime.block_on(async {
            let env = Env::tokio().unwrap();
            let memory = Memory::new(env.clone());
            let engine = Engine::new(Arc::new(memory.clone()), env.clone());
            let name = LockName::new("a").unwrap();
            let acquired =
                engine.acquire(&name, Mode::Exclusive, &LockOptions::default(), Wait::No, None).await;
            let hold = acquired.unwrap().unwrap();
            let begin = env.now();
            #[expect(clippy::disallowed_methods, reason = "the user's own sleep is the subject")]
            tokio::time::sleep(Duration::from_secs(3600)).await;
            assert_eq!(env.now().since(begin).as_secs(), 3600);
            hold.check().unwrap();
            memory.forget();
            hold.lost().await;
            assert!(env.now().since(begin) < Duration::from_secs(3631));
        });
        assert!(clock::now().since(real) < Duration::from_secs(20), "it took real time");
        assert_eq!(Env::tokio().unwrap_err().kind(), ErrorKind::Invalid);
    }
}
