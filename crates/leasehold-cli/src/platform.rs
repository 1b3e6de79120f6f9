//! Processes and alarms: the portable twin for all Unix systems, and Linux's own. SAFETY.md has the differences.

#[cfg(target_os = "linux")]
mod linux;

use std::{
    env, io,
    os::fd::BorrowedFd,
    path::PathBuf,
    process::{self, Command},
    time::Duration,
};

use leasehold::env::Env;
use leasehold_exec::Tie;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::Pid,
};

/// A moment that does not come.
pub(crate) const NEVER: u64 = u64::MAX;
/// Bounds the delay of an alarm after a suspend.
const SLICE: Duration = Duration::from_millis(250);

/// The platform of this process.
pub(crate) fn platform() -> &'static dyn Platform {
    #[cfg(target_os = "linux")]
    if !leasehold::env::is_portable() {
        return &linux::Linux;
    }
    &Portable
}

struct Portable;

impl Platform for Portable {}

/// The differences between the systems. The methods here are the twin's.
pub(crate) trait Platform {
    /// The file of the running program.
    fn own_program(&self) -> io::Result<PathBuf> {
        env::current_exe()
    }

    /// The mask of the signals that this process ignores.
    fn ignored_signals(&self) -> u64 {
        let output = Command::new("ps").args(["-o", "ignored=", "-p", &process::id().to_string()]).output();
        let mask = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        mask.ok().and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
    }

    /// The end of the command when this process is killed; `None` without a guardian that would see to it.
    fn tie(&self, guardian: Option<Tie>) -> Option<Tie> {
        guardian
    }

    /// Lets the kernel kill this process when the thread that started it ends.
    fn end_with_parent(&self) -> io::Result<()> {
        Ok(())
    }

    /// Makes orphans of this process's children its own. Answers its id if it has no other children.
    fn adopt_orphans(&self) -> Option<Pid> {
        None
    }

    /// The living processes of a group, those with a variable in their environment, and orphans that a process has adopted,
    /// with their descendants. A guardian is none of them: it may have to end a run inside of this one.
    fn members(&self, _group: i32, _variable: &str, _adopter: Option<Pid>) -> Vec<Process> {
        Vec::new()
    }

    /// Whether the process lives, and not another one with its id.
    fn is_alive(&self, _process: &Process) -> bool {
        false
    }

    /// Waits until the pipe can be read, and answers `false` if `moment` comes first.
    fn wait(&self, pipe: BorrowedFd<'_>, moment: u64) -> io::Result<bool> {
        let env = Env::system().map_err(io::Error::other)?;
        loop {
            let left = Duration::from_nanos(moment.saturating_sub(env.now().nanos()));
            let span = left.min(SLICE);
            let span = Timespec { tv_sec: 0, tv_nsec: span.subsec_nanos().into() };
            match poll(&mut [PollFd::from_borrowed_fd(pipe, PollFlags::IN)], Some(&span)) {
                Ok(0) if left.is_zero() => return Ok(false),
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(true),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Ends the connection when what was sent is not taken for this long.
    fn limit_unread(&self, _stream: BorrowedFd<'_>, _limit: Duration) -> io::Result<()> {
        Ok(())
    }
}

/// A process that lives.
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) program: String,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    /// Tells it from a later process with the same id.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "the twin finds no processes"))]
    pub(crate) started: u64,
    /// Whether its environment says that it belongs to the run.
    pub(crate) is_marked: bool,
}
