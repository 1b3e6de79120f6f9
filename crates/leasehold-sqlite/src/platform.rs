//! Wake-ups, threads, and knowledge of the machine: Linux's own, and the portable twin for other systems. SAFETY.md has the differences.

#[cfg(target_os = "linux")]
mod linux;
mod portable;

use std::{fmt, io, path::Path, sync::Arc, thread::JoinHandle};

use leasehold_core::{Env, Error, ErrorKind, Moment, Result};
use tokio::sync::oneshot;

/// The offset of a clock that has none.
const NO_OFFSET: &str = "0 0";

/// The platform of this process.
pub(crate) fn platform() -> &'static dyn Platform {
    #[cfg(target_os = "linux")]
    if !leasehold_core::env::is_portable() {
        return &linux::Linux;
    }
    &Portable
}

struct Portable;

impl Platform for Portable {}

/// The differences between the systems. The methods here are the twin's.
pub(crate) trait Platform {
    /// Watches our own session file. Events are read by [`Watcher::run`].
    fn watch(&self, own_session: &Path) -> Result<Arc<dyn Watcher>> {
        Ok(Arc::new(portable::Watcher::new(own_session)))
    }

    /// The identity of this run of the machine. The twin has none: a restart is seen by the clock, which begins anew.
    fn boot_id(&self) -> Result<String> {
        Ok("portable".into())
    }

    /// The offset of this process's clock from the machine's.
    fn clock_offset(&self) -> String {
        NO_OFFSET.into()
    }

    /// The process that holds a lock file, for a message.
    fn lock_owner(&self, _write_lock: &Path) -> Option<String> {
        None
    }

    /// The name of a network file system, on which file locks do not hold. The twin knows none.
    fn network_file_system(&self, _directory: &Path) -> io::Result<Option<&'static str>> {
        Ok(None)
    }
}

/// Reports notifications to this store, and the ends of other sessions.
pub(crate) trait Watcher: fmt::Debug + Send + Sync {
    /// Hands events to `report` until [`Watcher::stop`].
    fn run(&self, report: &dyn Fn(Events));

    /// Ends [`Watcher::run`].
    fn stop(&self);

    /// Reports the end of a session from now on, until it has ended: sessions are few and come back again and again.
    fn watch(&self, session: u64, path: &Path);
}

/// The events found at once.
#[derive(Default)]
pub(crate) struct Events {
    /// Another process has touched our session file: rows of ours are marked as woken.
    pub(crate) notified: bool,
    /// The sessions whose file was closed.
    pub(crate) closed: Vec<u64>,
}

/// A running thread; the channel closes at its end.
#[derive(Debug)]
pub(crate) struct Thread(JoinHandle<()>, oneshot::Receiver<()>);

impl Thread {
    pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<Thread> {
        let (running, ended) = oneshot::channel::<()>();
        let spawned = std::thread::Builder::new().name(name.into()).spawn(move || {
            // Dropped at the end, also by a panic.
            let _running = running;
            body();
        });
        spawned.map(|handle| Thread(handle, ended)).map_err(|source| {
            Error::new(ErrorKind::Exhausted, format!("the thread {name} cannot be started: {source}"))
                .hint("raise the limit on threads (ulimit -u)")
        })
    }

    /// Waits for its end; `false` if it has not come by `deadline`.
    pub(crate) async fn join(self, env: &Env, deadline: Moment) -> bool {
        let Thread(handle, ended) = self;
        let is_ended = env.until(deadline, ended).await.is_some();
        // The channel closes before the thread is gone.
        if is_ended && handle.join().is_err() {
            tracing::error!("a thread of the store has panicked");
        }
        is_ended
    }
}
