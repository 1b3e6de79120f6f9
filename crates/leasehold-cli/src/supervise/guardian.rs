//! The dead man's switch: a second process that kills the command when this one cannot.
//!
//! It hears of the end of the lease through a pipe. When the pipe closes without a farewell, we were killed; when the
//! lease is about to end without news, we were stopped. Either way it kills the whole group of the command.
//!
//! The order of things when we are killed: the kernel closes our files one after the other, among them the pipe (the
//! guardian wakes) and the store's session (the lock becomes free where the store can see that), and only then sends
//! the parent-death signal. So the group may live for the fraction of a millisecond that the guardian needs after the
//! lock is free. Only a lock-delay of the store, or fencing tokens, can close that gap.
//!
//! The group's number stays taken as long as any member lives or the command has not been reaped. We say farewell
//! before we reap; and if we are killed, whoever inherits the command reaps it no sooner than the guardian wakes, in
//! effect, since all process numbers would have to be used up in between for the number to mean somebody else.

use std::{
    ffi::OsString,
    io::{self, Write},
    os::{fd::AsFd, unix::process::CommandExt},
    process::{ChildStdin, Command, ExitCode, Stdio},
};

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

use super::{Group, child::OURSELVES};
use crate::exit;

/// The first argument that means this mode.
pub(crate) const MARK: &str = "__guard";
/// Stands for a farewell; no lease ends at the start of the clock.
const FAREWELL: u64 = 0;
/// Stands for a lease whose end harms nobody.
pub(crate) const NEVER: u64 = u64::MAX;
const MESSAGE_BYTES: usize = size_of::<u64>();

/// Our end of the switch.
pub(crate) struct Guardian {
    pipe: ChildStdin,
    told: u64,
}

impl Guardian {
    /// Starts the guardian of a group, to kill it at `kill_at` (nanoseconds of the clock that counts suspend).
    ///
    /// The moment goes with the start and not through the pipe: we may be stopped before we write.
    pub(crate) fn start(group: Group, kill_at: u64) -> io::Result<Self> {
        let mut process = Command::new(OURSELVES)
            .arg0("leasehold")
            .args([MARK, &group.0.as_raw_nonzero().to_string(), &kill_at.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pipe = process.stdin.take().ok_or_else(|| io::Error::other("the guardian has no pipe"))?;
        // We must never hang on a guardian that somebody has stopped.
        fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
        Ok(Guardian { pipe, told: kill_at })
    }

    /// Moves the moment of the kill.
    ///
    /// # Errors
    /// The guardian has gone: start another.
    pub(crate) fn tell(&mut self, kill_at: u64) -> io::Result<()> {
        if self.told == kill_at {
            return Ok(());
        }
        self.told = kill_at;
        self.write(kill_at)
    }

    /// The command has ended: there is nobody to kill any more.
    pub(crate) fn farewell(mut self) {
        let _ = self.write(FAREWELL);
    }

    fn write(&mut self, message: u64) -> io::Result<()> {
        match self.pipe.write(&message.to_le_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            // So short a message is written whole or not at all.
            _ => Ok(()),
        }
    }
}

/// What the guardian woke for.
enum News {
    KillAt(u64),
    Farewell,
    PipeClosed,
}

/// Arguments: the number of the group, and when to kill it unless told otherwise.
pub(crate) fn run(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let number = arguments.next().and_then(|text| text.to_str()?.parse().ok());
    let kill_at = arguments.next().and_then(|text| text.to_str()?.parse().ok());
    let (Some(pid), Some(kill_at)) = (number.and_then(Pid::from_raw), kill_at) else {
        return exit::USAGE.into();
    };
    // A session of its own: no terminal, and no signal to our group, reaches it.
    let _ = setsid();
    let _ = chdir("/");
    match watch(Group(pid), kill_at) {
        Ok(()) => exit::success(),
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
        // The pipe first: an extension that has come in time counts, however late we were woken.
        if pipe {
            match hear()? {
                News::KillAt(moment) => {
                    armed = moment != NEVER;
                    arm(&timer, moment)?;
                    continue;
                }
                News::Farewell => return Ok(()),
                News::PipeClosed => group.send(Signal::KILL),
            }
        } else if !(alarm && armed) {
            continue;
        } else {
            group.send(Signal::KILL);
        }
        return Ok(());
    }
}

fn hear() -> io::Result<News> {
    let mut bytes = [0u8; 512 * MESSAGE_BYTES];
    let count = match read(stdio::stdin(), &mut bytes) {
        Ok(count) => count,
        Err(Errno::INTR) => return hear(),
        Err(errno) => return Err(errno.into()),
    };
    let messages = bytes[..count].as_chunks::<MESSAGE_BYTES>().0;
    let mut news = messages.iter().map(|bytes| u64::from_le_bytes(*bytes));
    Ok(match news.clone().find(|message| *message == FAREWELL).or(news.next_back()) {
        None => News::PipeClosed,
        Some(FAREWELL) => News::Farewell,
        Some(moment) => News::KillAt(moment),
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
