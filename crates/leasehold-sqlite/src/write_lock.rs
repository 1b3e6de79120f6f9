//! [`WriteLock`]: the lock file that lets the processes of one database write one after another.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
};

use leasehold_core::{Env, Error, ErrorKind, Moment, Result};
use rustix::{
    fs::{FlockOperation, flock},
    io::{Errno, retry_on_intr},
};

use crate::{error::from_io, keys::DatabasePaths, platform::platform};

/// The lock file that lets the processes of one database write one after another.
///
/// SQLite alone would be safe, but its busy handler sleeps and retries, which costs hundreds of milliseconds now and
/// then. The kernel's queue for a file lock wakes the next process at once.
#[derive(Debug)]
pub(crate) struct WriteLock(File);

/// Unlocks the [`WriteLock`] on drop.
#[derive(Debug)]
pub(crate) struct WriteLockGuard<'f>(&'f File);

impl WriteLock {
    /// Opens the lock file of a database, and makes it if it is missing.
    pub(crate) fn open(paths: &DatabasePaths) -> Result<WriteLock> {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(paths.mode())
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
            .open(&paths.write_lock);
        opened.map(WriteLock).map_err(|source| from_io(source, "open", &paths.write_lock))
    }

    /// Locks it unless another process has it.
    pub(crate) fn try_lock(&self) -> Result<Option<WriteLockGuard<'_>>> {
        match flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(WriteLockGuard(&self.0))),
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(None),
            Err(errno) => Err(not_lockable(errno)),
        }
    }

    /// Waits for the lock without limit. Cannot be cancelled, so only the worker thread calls it.
    pub(crate) fn lock(&self) -> Result<WriteLockGuard<'_>> {
        let locked = retry_on_intr(|| flock(&self.0, FlockOperation::LockExclusive));
        locked.map(|()| WriteLockGuard(&self.0)).map_err(not_lockable)
    }

    /// Waits for the lock until `deadline` with a try every millisecond: for opening, when there is no worker yet.
    pub(crate) fn lock_until(
        &self,
        paths: &DatabasePaths,
        env: &Env,
        deadline: Moment,
    ) -> Result<WriteLockGuard<'_>> {
        loop {
            if let Some(guard) = self.try_lock()? {
                return Ok(guard);
            }
            if env.now() >= deadline {
                return Err(timed_out(paths));
            }
            sleep_1ms();
        }
    }
}

fn not_lockable(errno: Errno) -> Error {
    Error::new(ErrorKind::Unreachable, format!("cannot lock the lock file: {errno}"))
}

impl Drop for WriteLockGuard<'_> {
    fn drop(&mut self) {
        if let Err(errno) = flock(self.0, FlockOperation::Unlock) {
            tracing::error!(%errno, "the lock file could not be unlocked");
        }
    }
}

pub(crate) fn sleep_1ms() {
    let span = rustix::event::Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    // Polls no descriptor; an interrupted sleep is a short one.
    let _ = rustix::event::poll(&mut [], Some(&span));
}

/// The error of a writer that did not get the lock in time; names the process that has it where the kernel shows it.
pub(crate) fn timed_out(paths: &DatabasePaths) -> Error {
    let who = match platform().lock_owner(&paths.write_lock) {
        Some(process) => format!("{process} is inside a transaction"),
        None => "another process is inside a transaction".to_owned(),
    };
    Error::new(ErrorKind::TimedOut, format!("{who} and lets nobody write")).hint(
        "a stopped process (Ctrl-Z, a debugger, a frozen container) blocks writers until it goes on or is killed",
    )
}
