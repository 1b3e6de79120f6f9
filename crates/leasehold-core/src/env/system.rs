//! The environment of the machine: its clock, timers, randomness, and two background threads.

use std::sync::Arc;

use tokio::runtime::{Builder, Handle};

use super::{
    Env, Environment, Moment, OwnProcess, clock,
    platform::Alarm,
    timer::{Sleep, Timers},
};
use crate::{BoxFuture, Error, ErrorKind, Result, store_kit::Locked};

struct System {
    handle: Handle,
    timers: Arc<Timers>,
    /// Unused numbers: the kernel is asked for several at once. A forked child has an environment of its own, and so none of
    /// its parent's.
    random: Locked<Vec<u128>>,
}

impl std::fmt::Debug for System {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("System")
    }
}

impl Env {
    /// The machine's environment: `CLOCK_BOOTTIME`, and two background threads per process, one for timers and one for
    /// tasks. Renewal goes on while the user's runtime is blocked, and guards may be dropped outside of any runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Exhausted`] when the thread cannot be started.
    pub fn system() -> Result<Env> {
        System::shared().map(|(env, _)| env)
    }
}

/// The runtime of the background thread of [`Env::system`]. A thread that has no runtime of its own may enter it, and use
/// tokio's sockets and tasks while it waits for a future.
///
/// # Errors
/// As [`Env::system`].
pub fn background() -> Result<Handle> {
    System::shared().map(|(_, handle)| handle)
}

impl System {
    /// One for the whole process, started at first use, and its runtime. A forked child, which has no thread of its
    /// parent's but one, starts its own.
    fn shared() -> Result<(Env, Handle)> {
        static SHARED: Locked<Option<(Env, Handle)>> = Locked::new(None);
        let mut shared = SHARED.lock();
        if let Some((env, handle)) = shared.as_ref().filter(|(env, _)| env.check_process().is_ok()) {
            return Ok((env.clone(), handle.clone()));
        }
        let system = System::start().map_err(|source| {
            Error::new(ErrorKind::Exhausted, format!("the background thread cannot be started: {source}"))
                .hint("raise the limit on threads (ulimit -u)")
        })?;
        let handle = system.handle.clone();
        let env = Env { environment: Arc::new(system), process: Some(OwnProcess::new()) };
        // The drop of the parent's would close what the child does not have.
        std::mem::forget(shared.replace((env.clone(), handle.clone())));
        Ok((env, handle))
    }

    fn start() -> std::io::Result<System> {
        let alarm = Arc::new(Alarm::new()?);
        let timers = Arc::new(Timers::with_alarm(alarm.clone()));
        let firing = timers.clone();
        std::thread::Builder::new().name("leasehold-timer".into()).spawn(move || {
            while alarm.wait(clock::now()).is_ok() {
                firing.fire(clock::now());
            }
            tracing::error!("leasehold's timers have stopped: leases end by their deadlines");
        })?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name("leasehold".into())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
        Ok(System { handle, timers, random: Locked::default() })
    }
}

impl Environment for System {
    fn now(&self) -> Moment {
        clock::now()
    }

    fn wall_us(&self) -> u64 {
        clock::wall_us()
    }

    fn sleep_until(&self, moment: Moment) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { timers: self.timers.clone(), moment, queued: None, now: clock::now })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.handle.spawn(task);
    }

    fn random(&self) -> u128 {
        let mut unused = self.random.try_lock();
        if let Some(number) = unused.as_mut().and_then(|unused| unused.pop()) {
            return number;
        }
        let [number, rest @ ..] = clock::random();
        if let Some(unused) = &mut unused {
            unused.extend(rest);
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn sleepers_wake_in_order_and_a_dropped_one_leaves_nothing() {
        let system = System::start().unwrap();
        let timers = system.timers.clone();
        let env = Env::new(system);
        let begin = env.now();
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let late = env.sleep(Duration::from_secs(3600));
            assert!(env.until(begin + Duration::from_millis(20), late).await.is_none());
            env.sleep(Duration::from_millis(10)).await;
        });
        assert!(env.now().since(begin) >= Duration::from_millis(30));
        assert_eq!(timers.next_due(), None);
    }

    #[test]
    fn the_clock_counts_from_boot_and_dice_differ() {
        let env = Env::system().unwrap();
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let read = env.now().nanos() as f64 / 1e9;
        assert!((read - seconds).abs() < 5.0, "{read} against {seconds}");
        assert_ne!(env.random(), env.random());
    }
}
