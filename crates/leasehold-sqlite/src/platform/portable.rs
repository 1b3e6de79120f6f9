//! The twin for other systems: it looks at the files of sessions again and again.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Condvar,
    time::{Duration, SystemTime},
};

use leasehold_core::store_kit::Locked;
use rustix::fs::{FlockOperation, flock};

use super::Events;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct Watcher {
    own: PathBuf,
    is_stopped: Locked<bool>,
    stop: Condvar,
    watched: Locked<HashMap<u64, PathBuf>>,
}

impl Watcher {
    pub(super) fn new(own_session: &Path) -> Watcher {
        let (is_stopped, stop, watched) = Default::default();
        Watcher { own: own_session.into(), is_stopped, stop, watched }
    }

    /// The watched sessions whose lock nobody has any more; those without a file have ended cleanly.
    fn take_ended(&self) -> Vec<u64> {
        let mut ended = Vec::new();
        self.watched.lock().retain(|session, path| match File::open(path) {
            Ok(file) if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() => {
                ended.push(*session);
                false
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            _ => true,
        });
        ended
    }
}

impl super::Watcher for Watcher {
    fn stop(&self) {
        *self.is_stopped.lock() = true;
        self.stop.notify_one();
    }

    fn watch(&self, session: u64, path: &Path) {
        self.watched.lock().entry(session).or_insert_with(|| path.into());
    }

    fn run(&self, report: &dyn Fn(Events)) {
        // Touches before the first look count, too.
        let (mut seen, mut again) = (None, true);
        loop {
            let stopped = self.is_stopped.lock();
            if *stopped {
                return;
            }
            // The lock is back when it returns.
            let stopped = self.stop.wait_timeout(stopped, PAUSE);
            if stopped.is_ok_and(|(stopped, _)| *stopped) {
                return;
            }
            let now = touched(&self.own);
            // A touch just after the last look may have the same time: one look more finds it.
            let notified = now != seen || again;
            (again, seen) = (now != seen, now);
            let closed = self.take_ended();
            if notified || !closed.is_empty() {
                report(Events { notified, closed });
            }
        }
    }
}

fn touched(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|file| file.modified()).ok()
}
