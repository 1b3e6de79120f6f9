//! The processes of the command.

use std::collections::HashSet;

use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group},
};

use super::own_process::RUN_ID;
use crate::platform::{Process, platform};

/// The processes of the command: the process group that it leads, those that left the group, and all their descendants.
///
/// The id of the group is not reused while a member exists or the command has not been reaped. No signal is sent after that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Group {
    /// The process id of the command, once it is started.
    pub(crate) leader: Option<Pid>,
    /// The value of [`RUN_ID`].
    pub(crate) run: u64,
    /// The process whose children belong to the command, too: the subreaper of its orphans.
    pub(crate) subreaper: Option<Pid>,
}

impl Group {
    /// Sends a signal to the process group. An empty group is no error.
    pub(crate) fn send(self, signal: Signal) {
        if let Some(leader) = self.leader {
            let _ = kill_process_group(leader, signal);
        }
    }

    /// Sends a signal to the first of each family that has left the group. It tells its descendants, if they need to know.
    pub(crate) fn send_outside(self, signal: Signal) {
        let members = self.members();
        let is_inside = |process: &Process| process.group == self.id();
        for process in members.iter().filter(|process| !is_inside(process) && process.is_marked) {
            let parent = members.iter().find(|other| other.pid.as_raw_pid() == process.parent);
            if parent.is_none_or(is_inside) {
                let _ = send(process, signal);
            }
        }
    }

    /// Kills every process, also those that are started meanwhile. Answers one that runs as another user and cannot be killed.
    pub(crate) fn kill(self) -> Option<Survivor> {
        self.send(Signal::KILL);
        let (mut seen, mut survivor) = (HashSet::new(), None);
        loop {
            let mut members = self.members();
            members.retain(|process| seen.insert(process.pid.as_raw_pid()));
            if members.is_empty() {
                return survivor;
            }
            for process in members {
                if send(&process, Signal::KILL) == Err(Errno::PERM) {
                    survivor = Some(Survivor { pid: process.pid.as_raw_pid(), program: process.program });
                }
            }
        }
    }

    /// Whether no process is left, not even a zombie in the group.
    pub(crate) fn is_empty(self) -> bool {
        self.leader.is_none_or(|leader| test_kill_process_group(leader).is_err()) && self.members().is_empty()
    }

    fn members(self) -> Vec<Process> {
        platform().members(self.id(), &format!("{RUN_ID}={}", self.run), self.subreaper)
    }

    /// The id of the process group; before the start, one that no process has.
    fn id(self) -> i32 {
        self.leader.map_or(-1, Pid::as_raw_pid)
    }
}

/// A process that cannot be killed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Survivor {
    pub(crate) pid: i32,
    pub(crate) program: String,
}

/// Sends a signal, unless the process has ended and another one has its id.
fn send(process: &Process, signal: Signal) -> Result<(), Errno> {
    if platform().is_alive(process) { kill_process(process.pid, signal) } else { Ok(()) }
}
