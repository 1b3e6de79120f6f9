//! [`Sessions`]: a file per store instance, locked while the instance lives, by which others see that it does.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    },
    path::Path,
    sync::Arc,
};

use leasehold_core::{Env, Error, ErrorKind, Result, store_kit::Locked};
use rustix::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, flock, utimensat,
};

use crate::{error::from_io, keys::DatabasePaths, platform::Watcher, write_lock::sleep_1ms};

/// The sessions of a database: this store's own, and a view of the others.
#[derive(Debug)]
pub(crate) struct Sessions {
    paths: DatabasePaths,
    own: Locked<Option<Session>>,
    /// Reports the ends of sessions, once this store has subscriptions.
    watcher: Locked<Option<Arc<dyn Watcher>>>,
}

/// The session file of this store.
///
/// The kernel drops the lock when the process ends, however it ends; a stopped process keeps it. The number is
/// random and its file is made exclusively, so a number never comes back.
#[derive(Debug)]
struct Session {
    number: u64,
    /// No claim is made with it any more.
    retired: bool,
    /// The only descriptor by which any process may write to it, so its close event means the end of the session.
    file: Option<File>,
}

/// The liveness of a session's process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Liveness {
    /// It is this process: the session is this store's own.
    Own,
    Alive,
    Dead,
    /// There is no file. A clean end deletes the rows first, so where rows are left something else removed the file,
    /// and the process may live: only the time to live decides.
    Missing,
    /// The file cannot be opened: it is another user's.
    Unknown,
}

/// The attempts to make a session file.
const ATTEMPTS: usize = 100;
/// The checks of a session whose file was closed.
const END_CHECKS: usize = 50;

impl Sessions {
    pub(crate) fn new(paths: DatabasePaths) -> Sessions {
        Sessions { paths, own: Locked::default(), watcher: Locked::default() }
    }

    /// The number of our session, from its first use until it retires.
    pub(crate) fn own(&self) -> Option<u64> {
        self.own.lock().as_ref().filter(|session| !session.retired).map(|session| session.number)
    }

    /// Makes our session at its first use, so that read-only use leaves no file. `true` when this call made it.
    pub(crate) fn open(&self, env: &Env) -> Result<bool> {
        let mut own = self.own.lock();
        if own.is_some() {
            return Ok(false);
        }
        *own = Some(Session::make(&self.paths, env)?);
        Ok(true)
    }

    /// Ends claiming with our session, and answers its number. Called inside the transaction that ends its holds, so no
    /// claim can slip in between that and the end of the session.
    pub(crate) fn retire(&self) -> Option<u64> {
        self.own.lock().as_mut().map(|session| {
            session.retired = true;
            session.number
        })
    }

    /// Closes our session. With `clean`, no row refers to it any more and its file is removed first; otherwise the file
    /// stays, and other stores will find it dead.
    pub(crate) fn close(&self, clean: bool) {
        let mut own = self.own.lock();
        if let Some(session) = own.as_mut().filter(|session| session.file.is_some()) {
            if clean {
                self.remove(session.number);
            }
            session.file = None;
        }
    }

    /// Whether the process of another session lives. The checks share their lock, so none takes another for the owner;
    /// while the lock on the file of a dead one is kept, no process can lock it.
    pub(crate) fn check(&self, number: u64) -> (Liveness, Option<OwnedFd>) {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = match rustix::fs::open(self.paths.session(number), flags, Mode::empty()) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT) => return (Liveness::Missing, None),
            Err(_) => return (Liveness::Unknown, None),
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => (Liveness::Dead, Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => (Liveness::Alive, None),
            Err(_) => (Liveness::Unknown, None),
        }
    }

    /// Wakes the process of a session, which watches its own file for this.
    pub(crate) fn notify(&self, number: u64) {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: now, last_modification: now };
        if let Err(errno) = utimensat(CWD, self.paths.session(number), &times, AtFlags::SYMLINK_NOFOLLOW) {
            tracing::debug!(%errno, "a waiter could not be woken; it asks again by itself");
        }
    }

    /// Removes the file of a session that has ended.
    pub(crate) fn remove(&self, number: u64) {
        let path = self.paths.session(number);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                tracing::debug!(%source, path = %path.display(), "a session file was left behind");
            }
            _ => {}
        }
    }

    /// The sessions of this liveness; none when the directory cannot be read.
    pub(crate) fn having(&self, liveness: Liveness) -> impl Iterator<Item = u64> {
        let numbers = self.paths.session_numbers().into_iter().flatten();
        numbers.filter(move |&number| self.check(number).0 == liveness)
    }

    /// Whether a session whose file was closed has ended; waits a little, because the kernel reports the close just
    /// before it drops the lock.
    pub(crate) fn has_ended(&self, number: u64) -> bool {
        for _ in 0..END_CHECKS {
            match self.check(number).0 {
                Liveness::Dead => return true,
                Liveness::Alive => sleep_1ms(),
                // It ended cleanly and deleted its rows.
                Liveness::Own | Liveness::Missing | Liveness::Unknown => return false,
            }
        }
        false
    }

    /// Reports the end of a session from now on, if this store has a watcher.
    pub(crate) fn watch_end(&self, number: u64) {
        let watcher = self.watcher.lock().clone();
        if let Some(watcher) = watcher {
            watcher.watch(number, &self.paths.session(number));
        }
    }

    /// Sets or takes the watcher of the other sessions; answers the former one.
    pub(crate) fn set_watcher(&self, watcher: Option<Arc<dyn Watcher>>) -> Option<Arc<dyn Watcher>> {
        std::mem::replace(&mut *self.watcher.lock(), watcher)
    }
}

impl Session {
    fn make(paths: &DatabasePaths, env: &Env) -> Result<Session> {
        for _ in 0..ATTEMPTS {
            let number = env.random() as u64;
            let path = paths.session(number);
            match make_locked(paths, &path) {
                Ok(Some(file)) => return Ok(Session { number, retired: false, file: Some(file) }),
                // Another process took it for dead and removed it before it was locked, or the number was taken.
                Ok(None) => {}
                Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(from_io(source, "make the session file", &path)),
            }
        }
        let message = format!("no session file could be kept in {}", paths.sessions.display());
        Err(Error::new(ErrorKind::Unreachable, message).hint("something removes files there"))
    }
}

fn make_locked(paths: &DatabasePaths, path: &Path) -> io::Result<Option<File>> {
    let mode = paths.mode();
    // Read permission on the files includes permission to enter the directory.
    let made = DirBuilder::new().mode(mode | (mode & 0o444) >> 2).create(&paths.sessions);
    match made {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => return Err(source),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    // A dead session is removed under its lock: once this lock is ours and the file is still there, it stays.
    let locked = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
    Ok((locked && file.metadata()?.nlink() > 0).then_some(file))
}
