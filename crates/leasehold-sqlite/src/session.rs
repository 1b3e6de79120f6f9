//! [`Sessions`]: a file per store instance, locked while the instance lives, by which others see that it does.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use leasehold_core::{Env, Error, ErrorKind, Result, store_kit::Locked};
use rustix::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, flock, utimensat,
};

use crate::{error::from_io, keys::DatabasePaths, watcher::Watcher, write_lock::sleep_1ms};

/// The sessions of a database: this store's own, and a view of the others.
#[derive(Debug)]
pub(crate) struct Sessions {
    paths: DatabasePaths,
    own: OnceLock<Session>,
    opening: Locked<()>,
    /// Reports the ends of sessions, once this store has subscriptions.
    watcher: Locked<Option<Arc<Watcher>>>,
}

/// The session file of this store.
///
/// The kernel drops the lock when the process ends, however it ends; a stopped process keeps it. The number is
/// random and its file is made exclusively, so a number never comes back.
#[derive(Debug)]
struct Session {
    number: u64,
    path: PathBuf,
    /// No claim is made with it any more.
    retired: AtomicBool,
    /// The only descriptor by which any process may write to it, so its close event means the end of the session.
    file: Locked<Option<File>>,
}

/// The state of a session's process.
#[derive(Debug)]
pub(crate) enum ProcessState {
    /// It lives.
    Alive,
    /// It has ended. While this descriptor is open, no process can lock the file.
    Dead {
        /// The shared lock.
        _lock: OwnedFd,
    },
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
    /// No session of our own yet.
    pub(crate) fn new(paths: DatabasePaths) -> Sessions {
        Sessions { paths, own: OnceLock::new(), opening: Locked::default(), watcher: Locked::default() }
    }

    /// The number of our session, from its first use until it retires.
    pub(crate) fn own(&self) -> Option<u64> {
        let session = self.own.get()?;
        (!session.retired.load(Ordering::Acquire)).then_some(session.number)
    }

    /// The path of our session file, once there was one.
    pub(crate) fn own_path(&self) -> Option<&Path> {
        self.own.get().map(|session| &*session.path)
    }

    /// Makes our session at its first use, so that read-only use leaves no file. `true` when this call made it.
    pub(crate) fn open(&self, env: &Env) -> Result<bool> {
        if self.own.get().is_some() {
            return Ok(false);
        }
        let _opening = self.opening.lock();
        if self.own.get().is_some() {
            return Ok(false);
        }
        Ok(self.own.set(Session::make(&self.paths, env)?).is_ok())
    }

    /// Ends claiming with our session, and answers its number. Called inside the transaction that ends its holds, so no
    /// claim can slip in between that and the end of the session.
    pub(crate) fn retire(&self) -> Option<u64> {
        let session = self.own.get()?;
        session.retired.store(true, Ordering::Release);
        Some(session.number)
    }

    /// Closes our session. With `clean`, no row refers to it any more and its file is removed first; otherwise the file
    /// stays, and other stores will find it dead.
    pub(crate) fn close(&self, clean: bool) {
        let Some(session) = self.own.get() else { return };
        if let Some(file) = session.file.lock().take() {
            if clean {
                remove_file(&session.path);
            }
            drop(file);
        }
    }

    /// Whether the process of a session lives. The checks share their lock, so none takes another for the owner.
    pub(crate) fn state(&self, number: u64) -> ProcessState {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = match rustix::fs::open(self.paths.session(number), flags, Mode::empty()) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT) => return ProcessState::Missing,
            Err(_) => return ProcessState::Unknown,
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => ProcessState::Dead { _lock: file },
            Err(rustix::io::Errno::WOULDBLOCK) => ProcessState::Alive,
            Err(_) => ProcessState::Unknown,
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

    /// Removes the file of a dead session.
    pub(crate) fn remove(&self, number: u64) {
        remove_file(&self.paths.session(number));
    }

    /// The sessions of dead processes, at most `limit`.
    pub(crate) fn dead(&self, limit: usize) -> Vec<u64> {
        let Ok(numbers) = self.paths.session_numbers() else { return Vec::new() };
        numbers
            .filter(|&number| matches!(self.state(number), ProcessState::Dead { .. }))
            .take(limit)
            .collect()
    }

    /// Whether the process of any session lives.
    pub(crate) fn any_alive(&self) -> bool {
        let Ok(mut numbers) = self.paths.session_numbers() else { return false };
        numbers.any(|number| matches!(self.state(number), ProcessState::Alive))
    }

    /// Whether a session whose file was closed has ended; waits a little, because the kernel reports the close just
    /// before it drops the lock.
    pub(crate) fn has_ended(&self, number: u64) -> bool {
        for _ in 0..END_CHECKS {
            match self.state(number) {
                ProcessState::Dead { .. } => return true,
                // It ended cleanly and deleted its rows.
                ProcessState::Missing | ProcessState::Unknown => return false,
                ProcessState::Alive => sleep_1ms(),
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
    pub(crate) fn set_watcher(&self, watcher: Option<Arc<Watcher>>) -> Option<Arc<Watcher>> {
        std::mem::replace(&mut *self.watcher.lock(), watcher)
    }
}

impl Session {
    fn make(paths: &DatabasePaths, env: &Env) -> Result<Session> {
        for _ in 0..ATTEMPTS {
            let number = env.random() as u64;
            let path = paths.session(number);
            match make_locked(paths, &path) {
                Ok(Some(file)) => {
                    return Ok(Session {
                        number,
                        path,
                        retired: AtomicBool::new(false),
                        file: Locked::new(Some(file)),
                    });
                }
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

fn remove_file(path: &Path) {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            tracing::debug!(%source, path = %path.display(), "a session file was left behind");
        }
        _ => {}
    }
}
