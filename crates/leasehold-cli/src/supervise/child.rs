//! The process of the command.

use std::{ffi::OsString, io, os::fd::OwnedFd, process::Command};

use leasehold_exec::Tie;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions, WaitStatus, wait, waitid};

use crate::child_env::ChildEnv;

pub(crate) struct Child {
    pid: Pid,
    ended: Option<WaitStatus>,
}

impl Child {
    /// Starts the command in its own process group, in the foreground of `terminal` if that is given.
    ///
    /// Must be called on the main thread: the parent-death signal is sent when the thread that started the child ends, not
    /// the process.
    pub(crate) fn start(
        command: &[OsString],
        environment: &ChildEnv,
        terminal: Option<OwnedFd>,
        tie: Tie,
    ) -> io::Result<Self> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut process = Command::new(program);
        environment.apply(process.args(arguments));
        let child = leasehold_exec::spawn(&mut process, terminal, tie)?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("the child has no process id"))?;
        Ok(Child { pid, ended: None })
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// The exit status, once the command has been reaped.
    pub(crate) fn ended(&self) -> Option<WaitStatus> {
        self.ended
    }

    /// Whether the command has ended; until it is reaped, its process id is not reused.
    pub(crate) fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.ended.is_some() || matches!(waitid(WaitId::Pid(self.pid), options), Ok(Some(_)))
    }

    /// Reaps all children that have ended: the command, and orphans of its group. Returns the signal that stopped the
    /// command, if one did.
    pub(crate) fn reap(&mut self) -> Option<i32> {
        let mut stopped = None;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
            if pid != self.pid {
                continue;
            }
            stopped = status.stopping_signal();
            if status.exited() || status.signaled() {
                self.ended = Some(status);
            }
        }
        stopped
    }
}
