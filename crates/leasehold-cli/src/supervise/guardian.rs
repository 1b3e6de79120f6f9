//! The guardian: a second process that kills the command when leasehold cannot.
//!
//! Leasehold writes the end of the lease to a pipe. If the pipe closes before the guardian is dismissed, leasehold was
//! killed; if the lease is about to end without a message, leasehold was stopped. In both cases the guardian kills the
//! process group of the command.
//!
//! When leasehold is killed, the kernel closes its files one after the other, among them the pipe (which wakes the
//! guardian) and the store's session (which ends the hold, if the store detects that), and then sends the parent-death
//! signal. The lock-delay of the hold covers the time that the guardian needs.
//!
//! The guardian is started before the command, so that no moment of the command is without it. Leasehold dismisses it before
//! it reaps the command. If leasehold is killed, init reaps the command, possibly before the guardian wakes; the id of the
//! group is reused only after all other process ids were used in between.

use std::{
    ffi::OsString,
    io::{self, Write},
    os::{fd::AsFd, unix::process::CommandExt},
    process::{ChildStdin, Command, ExitCode, Stdio},
};

use leasehold_exec::Tie;
use nix::sys::signal::SigSet;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_setfl},
    io::{Errno, read},
    process::{Pid, chdir, setsid},
    stdio,
};

use super::{
    group::Group,
    own_process::{GUARDIAN_MODE, RUN_ID},
};
use crate::{exit, platform::platform};

/// Message that dismisses the guardian; no lease ends at the start of the clock.
const DISMISS: u64 = 0;
/// The id of the process group, and when to kill it.
type Orders = (u64, u64);
const MESSAGE_BYTES: usize = size_of::<Orders>();

/// A running guardian, as its parent sees it.
pub(crate) struct Guardian {
    pipe: ChildStdin,
    sent: Orders,
}

impl Guardian {
    /// Starts the guardian of a group, to kill it at `kill_at` (nanoseconds of the clock that counts suspend).
    ///
    /// The deadline is an argument and not the first message: leasehold may be stopped before it writes.
    pub(crate) fn start(group: Group, kill_at: u64) -> io::Result<Self> {
        let sent = orders(group, kill_at);
        let mut process = Command::new(platform().own_program()?)
            .arg0("leasehold")
            .args([GUARDIAN_MODE, &group.run.to_string(), &sent.0.to_string(), &kill_at.to_string()])
            .env_remove(RUN_ID)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pipe = process.stdin.take().ok_or_else(|| io::Error::other("the guardian has no pipe"))?;
        // A write must not block, should the guardian be stopped.
        fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
        Ok(Guardian { pipe, sent })
    }

    /// The tie of a command to its guardian, which knows it before its program runs.
    pub(super) fn tie(&self) -> Option<Tie> {
        Some(Tie::Guardian(self.pipe.as_fd().try_clone_to_owned().ok()?, self.sent.1))
    }

    /// Whether the guardian has ended, and the pipe has no reader.
    fn is_gone(&self) -> bool {
        let mut pipe = [PollFd::new(&self.pipe, PollFlags::OUT)];
        let ready = poll(&mut pipe, Some(&Timespec::default()));
        ready.is_ok() && pipe[0].revents().contains(PollFlags::ERR)
    }

    /// Whether the time of its kill has passed.
    pub(crate) fn is_due(&self, now: u64) -> bool {
        self.sent.1 <= now
    }

    /// Changes the group or the time of the kill.
    ///
    /// # Errors
    /// The guardian has ended: start another.
    pub(crate) fn order(&mut self, group: Group, kill_at: u64) -> io::Result<()> {
        if self.is_gone() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let before = std::mem::replace(&mut self.sent, orders(group, kill_at));
        if self.sent == before { Ok(()) } else { self.write(self.sent) }
    }

    /// Ends the guardian without a kill: the command has ended.
    pub(crate) fn dismiss(mut self) {
        let _ = self.write((0, DISMISS));
    }

    fn write(&mut self, (leader, kill_at): Orders) -> io::Result<()> {
        match self.pipe.write([leader.to_le_bytes(), kill_at.to_le_bytes()].as_flattened()) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            // A message this short is written whole or not at all.
            _ => Ok(()),
        }
    }
}

fn orders(group: Group, kill_at: u64) -> Orders {
    (group.leader.map_or(0, |leader| leader.as_raw_pid().unsigned_abs().into()), kill_at)
}

fn leader(id: u64) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

enum Message {
    Orders(Orders),
    Dismiss,
    PipeClosed,
}

/// Runs the guardian. Arguments: the run, the id of its group or 0, and when to kill it.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let numbers: Vec<u64> = arguments.filter_map(|text| text.to_str()?.parse().ok()).collect();
    let &[run, id, kill_at] = numbers.as_slice() else { return exit::USAGE.into() };
    // Signals to a whole control group (systemd) do not end it, and in a new session those of the terminal do not reach it: as
    // long as the command lives, its guardian does.
    let _ = SigSet::all().thread_block();
    let _ = setsid();
    let _ = chdir("/");
    match watch(Group { leader: leader(id), run, subreaper: None }, kill_at) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => exit::SOFTWARE.into(),
    }
}

fn watch(mut group: Group, mut kill_at: u64) -> io::Result<()> {
    // The pipe first: a new deadline that was sent in time counts, however late this process was woken.
    while platform().wait(stdio::stdin(), kill_at)? {
        match receive()? {
            Message::Orders((id, moment)) => (group.leader, kill_at) = (leader(id), moment),
            Message::Dismiss => return Ok(()),
            Message::PipeClosed => break,
        }
    }
    group.kill();
    Ok(())
}

/// Reads the pending messages: a dismissal if there is one, else the last orders.
fn receive() -> io::Result<Message> {
    let mut bytes = [0u8; 512 * MESSAGE_BYTES];
    let count = match read(stdio::stdin(), &mut bytes) {
        Ok(count) => count,
        Err(Errno::INTR) => return receive(),
        Err(errno) => return Err(errno.into()),
    };
    let numbers = bytes[..count].as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
    let numbers: Vec<u64> = numbers.collect();
    let mut messages = numbers.as_chunks().0.iter().map(|&[id, moment]| (id, moment));
    Ok(match messages.clone().find(|message| message.1 == DISMISS).or(messages.next_back()) {
        None => Message::PipeClosed,
        Some((_, DISMISS)) => Message::Dismiss,
        Some(orders) => Message::Orders(orders),
    })
}
