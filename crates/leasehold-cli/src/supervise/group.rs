//! The processes of the command.

use std::{collections::HashSet, fs};

use rustix::{
    io::Errno,
    process::{Pid, Signal, getpid, kill_process, kill_process_group, test_kill_process_group},
};

use super::own_process::{GUARDIAN_MODE, RUN_ID};

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
        for process in members.iter().filter(|process| !is_inside(process) && self.is_marked(process)) {
            let parent = members.iter().find(|other| other.pid.as_raw_pid() == process.parent);
            if parent.is_none_or(is_inside) {
                let _ = process.send(signal);
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
                if process.send(Signal::KILL) == Err(Errno::PERM) {
                    survivor = Some(Survivor { pid: process.pid.as_raw_pid(), program: process.program });
                }
            }
        }
    }

    /// Whether no process is left, not even a zombie in the group.
    pub(crate) fn is_empty(self) -> bool {
        self.leader.is_none_or(|leader| test_kill_process_group(leader) == Err(Errno::SRCH))
            && self.members().is_empty()
    }

    /// The living processes. A guardian is none of them: it may have to end a run inside of this one.
    fn members(self) -> Vec<Process> {
        let is_own = |process: &Process| {
            process.group == self.id()
                || self.subreaper.is_some_and(|reaper| reaper.as_raw_pid() == process.parent)
                || self.is_marked(process)
        };
        let (mut members, mut others): (Vec<_>, Vec<_>) = Process::all().partition(is_own);
        loop {
            let is_child = |process: &Process| {
                members.iter().any(|parent: &Process| parent.pid.as_raw_pid() == process.parent)
            };
            let (children, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(is_child);
            if children.is_empty() {
                break;
            }
            members.extend(children);
            others = rest;
        }
        members.retain(|process| !process.is_guardian());
        members
    }

    /// The id of the process group; before the start, one that no process has.
    fn id(self) -> i32 {
        self.leader.map_or(-1, Pid::as_raw_pid)
    }

    fn is_marked(self, process: &Process) -> bool {
        let marker = format!("{RUN_ID}={}", self.run);
        process.read("environ").split(|byte| *byte == 0).any(|variable| variable == marker.as_bytes())
    }
}

/// A process that cannot be killed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Survivor {
    pub(crate) pid: i32,
    pub(crate) program: String,
}

/// A process that lives.
struct Process {
    pid: Pid,
    program: String,
    parent: i32,
    group: i32,
    /// Tells it from a later process with the same id.
    started: u64,
}

impl Process {
    fn all() -> impl Iterator<Item = Process> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|entry| Process::find(entry.file_name().to_str()?.parse().ok()?))
    }

    /// Reads `pid (program) state parent group …`, in which the program may have any name.
    fn find(pid: i32) -> Option<Process> {
        let pid = Pid::from_raw(pid)?;
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        let (head, tail) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = tail.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let id = |at: usize| i32::try_from(number(at)?).ok();
        let is_alive = fields.first().is_some_and(|state| !["Z", "X"].contains(state));
        is_alive.then_some(())?;
        let program = head.split_once('(')?.1.to_string();
        Some(Process { pid, program, parent: id(1)?, group: id(2)?, started: number(19)? })
    }

    /// A file of the process; empty if it is not for this user to read.
    fn read(&self, file: &str) -> Vec<u8> {
        fs::read(format!("/proc/{}/{file}", self.pid)).unwrap_or_default()
    }

    fn is_guardian(&self) -> bool {
        self.pid == getpid()
            || self.read("cmdline").split(|byte| *byte == 0).nth(1) == Some(GUARDIAN_MODE.as_bytes())
    }

    /// Sends a signal, unless the process has ended and another one has its id.
    fn send(&self, signal: Signal) -> Result<(), Errno> {
        match Process::find(self.pid.as_raw_pid()) {
            Some(now) if now.started == self.started => kill_process(self.pid, signal),
            _ => Ok(()),
        }
    }
}
