//! [`Session`]: the file that a store keeps locked while it lives, and how others see that it does.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use leasehold_core::{Env, Error, ErrorKind, Result};
use rustix::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, flock, utimensat,
};

use crate::{place::Place, refusal, shared::lock};

/// The file that a store keeps locked while it lives.
///
/// The kernel drops the lock when the process ends, however it ends; a stopped process keeps it. The number is
/// random and its file is made exclusively, so a number never comes back.
#[derive(Debug)]
pub(crate) struct Session {
    /// Which session.
    pub(crate) number: u64,
    path: PathBuf,
    /// No claim is made for it any more.
    left: AtomicBool,
    /// The only descriptor by which anybody may write to it, so closing it is seen by those who watch the file.
    file: Mutex<Option<File>>,
}

/// What a look at a session file says.
#[derive(Debug)]
pub(crate) enum Pulse {
    /// Its process lives.
    Alive,
    /// Its process has ended. While this descriptor lives, nobody can lock the file.
    Dead {
        /// The lock.
        _lock: OwnedFd,
    },
    /// There is no file. A clean end takes out the rows first, so where rows are left somebody else removed it, and
    /// the process may live: only time tells.
    Missing,
    /// It may not be looked at: another user's.
    Unknown,
}

impl Session {
    /// Makes a session file and locks it.
    pub(crate) fn begin(place: &Place, env: &Env) -> Result<Session> {
        for _ in 0..ATTEMPTS {
            let number = env.random() as u64;
            let path = path_of(place, number);
            match Session::make(place, &path) {
                Ok(Some(file)) => {
                    return Ok(Session {
                        number,
                        path,
                        left: AtomicBool::new(false),
                        file: Mutex::new(Some(file)),
                    });
                }
                // Somebody swept it up before it was locked, or the number was taken.
                Ok(None) => {}
                Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(refusal::of_io(source, "make the session file", &path)),
            }
        }
        let message = format!("no session file could be kept in {}", place.sessions.display());
        Err(Error::new(ErrorKind::Unreachable, message).hint("something removes files there"))
    }

    fn make(place: &Place, path: &Path) -> io::Result<Option<File>> {
        let mode = place.mode();
        // Who may read a file of the directory may also enter it.
        let made = DirBuilder::new().mode(mode | (mode & 0o444) >> 2).create(&place.sessions);
        if let Err(source) = made
            && source.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(source);
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        // Whoever removes a dead session holds its lock while doing so: if we get the lock and the file is still
        // there, it stays.
        let locked = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        Ok((locked && file.metadata()?.nlink() > 0).then_some(file))
    }

    /// The session file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether claims may still be made for it.
    pub(crate) fn is_open(&self) -> bool {
        !self.left.load(Ordering::Acquire)
    }

    /// Lets no further claim be made for it. Said inside of the transaction that ends those that were, so none slips
    /// in between that and the end of the session.
    pub(crate) fn leave(&self) {
        self.left.store(true, Ordering::Release);
    }

    /// Removes the file, when no row refers to it any more, and lets go of the lock.
    pub(crate) fn end(&self) {
        if let Some(file) = lock(&self.file).take() {
            remove(&self.path);
            drop(file);
        }
    }

    /// Lets go of the lock and leaves the file: rows refer to it still, and others will find it dead.
    pub(crate) fn abandon(&self) {
        drop(lock(&self.file).take());
    }
}

const ATTEMPTS: usize = 100;

/// The file of a session.
pub(crate) fn path_of(place: &Place, number: u64) -> PathBuf {
    place.sessions.join(format!("{number:016x}"))
}

/// Whether the process of a session lives. Lookers share their lock, so none takes another for the owner.
pub(crate) fn pulse(place: &Place, number: u64) -> Pulse {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path_of(place, number), flags, Mode::empty()) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT) => return Pulse::Missing,
        Err(_) => return Pulse::Unknown,
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Pulse::Dead { _lock: file },
        Err(rustix::io::Errno::WOULDBLOCK) => Pulse::Alive,
        Err(_) => Pulse::Unknown,
    }
}

/// Wakes the process of a session, which watches its own file for this.
pub(crate) fn touch(place: &Place, number: u64) {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    if let Err(errno) = utimensat(CWD, path_of(place, number), &times, AtFlags::SYMLINK_NOFOLLOW) {
        tracing::debug!(%errno, "a waiter could not be woken; it asks again by itself");
    }
}

/// Removes a session file, if it is still there.
pub(crate) fn remove(path: &Path) {
    if let Err(source) = fs::remove_file(path)
        && source.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(%source, path = %path.display(), "a session file was left behind");
    }
}

/// The sessions of dead processes, at most `limit`.
pub(crate) fn dead(place: &Place, limit: usize) -> Vec<u64> {
    let Ok(files) = fs::read_dir(&place.sessions) else { return Vec::new() };
    let numbers = files.flatten().filter_map(|file| {
        let name = file.file_name().into_string().ok().filter(|name| name.len() == 16)?;
        u64::from_str_radix(&name, 16).ok()
    });
    numbers.filter(|&number| matches!(pulse(place, number), Pulse::Dead { .. })).take(limit).collect()
}
