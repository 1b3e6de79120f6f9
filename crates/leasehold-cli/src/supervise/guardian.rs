//! The guardian: a second process that kills the command when leasehold cannot.
//!
//! Leasehold writes the end of the lease to a pipe. If the pipe closes before the guardian is dismissed, leasehold was
//! killed; if the lease is about to end without a message, leasehold was stopped. In both cases the guardian kills the
//! process group of the command.
//!
//! When leasehold is killed, the kernel closes its files one after the other, among them the pipe (which wakes the
//! guardian) and the store's session (which frees the lock, if the store detects that), and then sends the parent-death
//! signal. The group may therefore live for the fraction of a millisecond that the guardian needs after the lock is free.
//! Only a lock-delay of the store, or fencing tokens, close that gap.
//!
//! The id of the group stays in use while any member lives or the command has not been reaped. Leasehold dismisses the
//! guardian before it reaps the command. If leasehold is killed, init reaps the command, possibly before the guardian
//! wakes; the id is reused only after all other process ids were used in between.

use std::{
    ffi::OsString,
    io::{self, Write},
    os::{fd::AsFd, unix::process::CommandExt},
    process::{ChildStdin, Command, ExitCode, Stdio},
};

use nix::sys::signal::SigSet;
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{OFlags, fcntl_setfl},
    io::{Errno, read},
    process::{Pid, Signal, chdir, setsid},
    stdio,
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};

use super::{Group, child::OWN_BINARY};
use crate::exit;

/// First argument of this hidden mode.
pub(crate) const MARK: &str = "__guard";
/// Message that dismisses the guardian; no lease ends at the start of the clock.
const DISMISS: u64 = 0;
/// Deadline of a command that is not killed when its lease ends.
pub(crate) const NEVER: u64 = u64::MAX;
const MESSAGE_BYTES: usize = size_of::<u64>();

/// A running guardian, as its parent sees it.
pub(crate) struct Guardian {
    pipe: ChildStdin,
    sent: u64,
}

impl Guardian {
    /// Starts the guardian of a group, to kill it at `kill_at` (nanoseconds of the clock that counts suspend).
    ///
    /// The deadline is an argument and not the first message: leasehold may be stopped before it writes.
    pub(crate) fn start(group: Group, kill_at: u64) -> io::Result<Self> {
        let mut process = Command::new(OWN_BINARY)
            .arg0("leasehold")
            .args([MARK, &group.0.as_raw_nonzero().to_string(), &kill_at.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pipe = process.stdin.take().ok_or_else(|| io::Error::other("the guardian has no pipe"))?;
        // A write must not block, should the guardian be stopped.
        fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
        Ok(Guardian { pipe, sent: kill_at })
    }

    /// Whether the guardian has ended, and the pipe has no reader.
    fn is_gone(&self) -> bool {
        let mut pipe = [PollFd::new(&self.pipe, PollFlags::OUT)];
        let ready = poll(&mut pipe, Some(&Timespec::default()));
        ready.is_ok() && pipe[0].revents().contains(PollFlags::ERR)
    }

    /// Changes the time of the kill.
    ///
    /// # Errors
    /// The guardian has ended: start another.
    pub(crate) fn set_deadline(&mut self, kill_at: u64) -> io::Result<()> {
        if self.is_gone() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if self.sent == kill_at {
            return Ok(());
        }
        self.sent = kill_at;
        self.write(kill_at)
    }

    /// Ends the guardian without a kill: the command has ended.
    pub(crate) fn dismiss(mut self) {
        let _ = self.write(DISMISS);
    }

    fn write(&mut self, message: u64) -> io::Result<()> {
        match self.pipe.write(&message.to_le_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            // A message this short is written whole or not at all.
            _ => Ok(()),
        }
    }
}

enum Message {
    KillAt(u64),
    Dismiss,
    PipeClosed,
}

/// Runs the guardian. Arguments: the id of the group, and when to kill it.
pub(crate) fn run(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let number = arguments.next().and_then(|text| text.to_str()?.parse().ok());
    let kill_at = arguments.next().and_then(|text| text.to_str()?.parse().ok());
    let (Some(pid), Some(kill_at)) = (number.and_then(Pid::from_raw), kill_at) else {
        return exit::USAGE.into();
    };
    // Signals to a whole control group (systemd) do not end it, and in a new session those of the terminal do not reach it: as
    // long as the command lives, its guardian does.
    let _ = SigSet::all().thread_block();
    let _ = setsid();
    let _ = chdir("/");
    match watch(Group(pid), kill_at) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => exit::SOFTWARE.into(),
    }
}

fn watch(group: Group, kill_at: u64) -> io::Result<()> {
    let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
    let mut armed = kill_at != NEVER;
    arm(&timer, kill_at)?;
    loop {
        let mut sources =
            [PollFd::from_borrowed_fd(stdio::stdin(), PollFlags::IN), PollFd::new(&timer, PollFlags::IN)];
        match poll(&mut sources, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        let [pipe, alarm] = sources.map(|source| !source.revents().is_empty());
        // The pipe first: a new deadline that was sent in time counts, however late this process was woken.
        if pipe {
            match receive()? {
                Message::KillAt(moment) => {
                    armed = moment != NEVER;
                    arm(&timer, moment)?;
                    continue;
                }
                Message::Dismiss => return Ok(()),
                Message::PipeClosed => group.send(Signal::KILL),
            }
        } else if !(alarm && armed) {
            continue;
        } else {
            group.send(Signal::KILL);
        }
        return Ok(());
    }
}

/// Reads the pending messages: a dismissal if there is one, else the last deadline.
fn receive() -> io::Result<Message> {
    let mut bytes = [0u8; 512 * MESSAGE_BYTES];
    let count = match read(stdio::stdin(), &mut bytes) {
        Ok(count) => count,
        Err(Errno::INTR) => return receive(),
        Err(errno) => return Err(errno.into()),
    };
    let messages = bytes[..count].as_chunks::<MESSAGE_BYTES>().0;
    let mut values = messages.iter().map(|bytes| u64::from_le_bytes(*bytes));
    Ok(match values.clone().find(|value| *value == DISMISS).or(values.next_back()) {
        None => Message::PipeClosed,
        Some(DISMISS) => Message::Dismiss,
        Some(moment) => Message::KillAt(moment),
    })
}

fn arm(timer: impl AsFd, moment: u64) -> io::Result<()> {
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    let at = match moment {
        NEVER => zero,
        _ => Timespec { tv_sec: (moment / 1_000_000_000) as i64, tv_nsec: (moment % 1_000_000_000) as _ },
    };
    timerfd_settime(timer, TimerfdTimerFlags::ABSTIME, &Itimerspec { it_interval: zero, it_value: at })?;
    Ok(())
}
