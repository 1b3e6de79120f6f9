//! The command as a process.

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    process::{Command, id},
};

use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions, WaitStatus, wait, waitid};

use super::{
    Group,
    exec::{self, Orders},
};
use crate::environment::Environment;

/// This very program, whatever has become of its file since.
pub(super) const OURSELVES: &str = "/proc/self/exe";

/// The command as a process.
pub(crate) struct Child {
    pid: Pid,
    ended: Option<WaitStatus>,
}

impl Child {
    /// Starts the command in a process group of its own.
    ///
    /// To be called on the main thread: the parent-death signal comes at the death of the thread that started the
    /// child, not of the process.
    pub(crate) fn start(command: &[OsString], environment: &Environment, orders: Orders) -> io::Result<Self> {
        let mut process = Command::new(OURSELVES);
        process.arg0("leasehold").args([exec::MARK, &id().to_string(), &orders.to_text()]).args(command);
        environment.put(&mut process);
        let pid = i32::try_from(process.process_group(0).spawn()?.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("the child has no process id"))?;
        Ok(Child { pid, ended: None })
    }

    /// Its process group.
    pub(crate) fn group(&self) -> Group {
        Group(self.pid)
    }

    /// How it ended, once it has been reaped.
    pub(crate) fn ended(&self) -> Option<WaitStatus> {
        self.ended
    }

    /// Whether it has ended and waits to be reaped: its number still means itself.
    pub(crate) fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.ended.is_some() || matches!(waitid(WaitId::Pid(self.pid), options), Ok(Some(_)))
    }

    /// Reaps all children that have ended: the command, and the orphans of its group. Answers the signal by which the
    /// command was stopped, if it was.
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
