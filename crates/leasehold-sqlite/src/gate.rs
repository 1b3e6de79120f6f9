//! [`Gate`]: what the processes that write to one database lock in turn.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
};

use leasehold_core::{Env, Error, ErrorKind, Moment, Result};
use rustix::fs::{FlockOperation, flock};

use crate::{place::Place, refusal};

/// What the processes that write to one database lock in turn.
///
/// SQLite alone would do for safety, but its busy handler sleeps and tries again, which costs hundreds of
/// milliseconds now and then. The kernel's queue of a file lock wakes the next one.
#[derive(Debug)]
pub(crate) struct Gate(Option<File>);

/// The gate is locked until this is dropped.
#[derive(Debug)]
pub(crate) struct Pass<'g>(&'g File);

impl Gate {
    /// Opens the gate of a database, and makes it if it is missing.
    pub(crate) fn open(place: &Place) -> Result<Gate> {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(place.mode())
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
            .open(&place.gate);
        opened.map(|file| Gate(Some(file))).map_err(|source| refusal::of_io(source, "open", &place.gate))
    }

    /// Locks it if nobody has it.
    pub(crate) fn try_enter(&mut self) -> Result<Option<Pass<'_>>> {
        self.file().and_then(|file| lock(file, FlockOperation::NonBlockingLockExclusive))
    }

    /// Locks it, however long that takes. Cannot be called off, so it is for the worker thread alone.
    pub(crate) fn enter(&mut self) -> Result<Pass<'_>> {
        let file = self.file()?;
        loop {
            if let Some(pass) = lock(file, FlockOperation::LockExclusive)? {
                return Ok(pass);
            }
        }
    }

    /// Locks it until `deadline`, asking every millisecond: for opening, which has no worker yet.
    pub(crate) fn enter_until(&mut self, place: &Place, env: &Env, deadline: Moment) -> Result<Pass<'_>> {
        let file = self.file()?;
        loop {
            if let Some(pass) = lock(file, FlockOperation::NonBlockingLockExclusive)? {
                return Ok(pass);
            }
            if env.now() >= deadline {
                return Err(occupied(place));
            }
            doze();
        }
    }

    fn file(&self) -> Result<&File> {
        self.0.as_ref().ok_or_else(refusal::closed)
    }

    /// Closes the file.
    pub(crate) fn close(&mut self) {
        self.0 = None;
    }
}

/// Locks the file; `None` when another has it, or when a signal came in between.
fn lock(file: &File, how: FlockOperation) -> Result<Option<Pass<'_>>> {
    match flock(file, how) {
        Ok(()) => Ok(Some(Pass(file))),
        Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => Ok(None),
        Err(errno) => Err(Error::new(ErrorKind::Unreachable, format!("cannot lock the gate: {errno}"))),
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Err(errno) = flock(self.0, FlockOperation::Unlock) {
            tracing::error!(%errno, "the gate could not be unlocked");
        }
    }
}

/// A thread of ours waits for a millisecond.
pub(crate) fn doze() {
    let span = rustix::event::Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    // Nothing is polled; an interrupted nap is a short one.
    let _ = rustix::event::poll(&mut [], Some(&span));
}

/// Nobody got through the gate in time: says who stands in it, if the kernel tells.
pub(crate) fn occupied(place: &Place) -> Error {
    let who = match occupant(place) {
        Some(process) => format!("{process} is inside a transaction"),
        None => "another process is inside a transaction".to_owned(),
    };
    Error::new(ErrorKind::TimedOut, format!("{who} and lets nobody write")).hint(
        "a stopped process (Ctrl-Z, a debugger, a frozen container) blocks writers until it goes on or is killed",
    )
}

/// The process that has the gate locked, by /proc/locks.
fn occupant(place: &Place) -> Option<String> {
    let gate = fs::metadata(&place.gate).ok()?;
    let file = format!(":{}", gate.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    // 1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF, and "1: -> FLOCK …" for those who wait.
    let held = locks.lines().find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let ours = words.get(1) == Some(&"FLOCK") && words.get(5).is_some_and(|word| word.ends_with(&file));
        ours.then(|| words[4].to_owned())
    })?;
    let status = fs::read_to_string(format!("/proc/{held}/stat")).unwrap_or_default();
    let command = status.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')'));
    let Some((command, rest)) = command else { return Some(format!("process {held}")) };
    let stopped = matches!(rest.split_whitespace().next(), Some("T" | "t"));
    Some(format!("process {held} ({}{})", command.escape_debug(), if stopped { ", stopped" } else { "" }))
}
