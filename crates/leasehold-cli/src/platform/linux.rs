//! Linux's own: `/proc`, the parent-death signal, orphans that are adopted, and a timer that counts suspend.

use std::{fs, io, os::fd::BorrowedFd, path::PathBuf, time::Duration};

use leasehold_exec::Tie;
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::{Errno, retry_on_intr},
    net::sockopt::set_tcp_user_timeout,
    process::{
        Pid, Signal, WaitId, WaitIdOptions, getpid, set_child_subreaper, set_parent_process_death_signal,
        waitid,
    },
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};

use super::{NEVER, Platform, Process};
use crate::supervise::own_process::GUARDIAN_MODE;

pub(super) struct Linux;

impl Platform for Linux {
    /// Also if its file was replaced.
    fn own_program(&self) -> io::Result<PathBuf> {
        Ok("/proc/self/exe".into())
    }

    fn ignored_signals(&self) -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
    }

    fn tie(&self, _guardian: Option<Tie>) -> Option<Tie> {
        Some(Tie::Kernel)
    }

    fn end_with_parent(&self) -> io::Result<()> {
        Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
    }

    /// They are told from children that the process had before it was leasehold (`sh -c 'x & exec leasehold …'`).
    fn adopt_orphans(&self) -> Option<Pid> {
        let own = Some(getpid());
        let children = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let is_alone = matches!(waitid(WaitId::All, children), Err(Errno::CHILD));
        own.filter(|_| set_child_subreaper(own).is_ok() && is_alone)
    }

    fn members(&self, group: i32, variable: &str, adopter: Option<Pid>) -> Vec<Process> {
        let is_own = |process: &Process| {
            process.group == group
                || adopter.is_some_and(|reaper| reaper.as_raw_pid() == process.parent)
                || process.is_marked
        };
        let (mut members, mut others): (Vec<_>, Vec<_>) = processes(variable).partition(is_own);
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
        members.retain(|process| !is_guardian(process.pid));
        members
    }

    fn is_alive(&self, process: &Process) -> bool {
        find(process.pid.as_raw_pid()).is_some_and(|now| now.started == process.started)
    }

    fn wait(&self, pipe: BorrowedFd<'_>, moment: u64) -> io::Result<bool> {
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC)?;
        if moment != NEVER {
            let it_value = Timespec {
                tv_sec: (moment / 1_000_000_000) as i64,
                tv_nsec: (moment % 1_000_000_000) as i64,
            };
            let spec = Itimerspec { it_interval: Timespec::default(), it_value };
            timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &spec)?;
        }
        let mut sources = [PollFd::from_borrowed_fd(pipe, PollFlags::IN), PollFd::new(&timer, PollFlags::IN)];
        retry_on_intr(|| poll(&mut sources, None))?;
        Ok(!sources[0].revents().is_empty())
    }

    fn limit_unread(&self, stream: BorrowedFd<'_>, limit: Duration) -> io::Result<()> {
        Ok(set_tcp_user_timeout(stream, u32::try_from(limit.as_millis()).unwrap_or(u32::MAX))?)
    }
}

fn processes(mark: &str) -> impl Iterator<Item = Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let process = find(entry.file_name().to_str()?.parse().ok()?)?;
        let environment = read(process.pid, "environ");
        let is_marked = environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes());
        Some(Process { is_marked, ..process })
    })
}

/// Reads `pid (program) state parent group …`, in which the program may have any name.
fn find(pid: i32) -> Option<Process> {
    let pid = Pid::from_raw(pid)?;
    let stat = read(pid, "stat");
    let stat = String::from_utf8_lossy(&stat);
    let (head, tail) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let id = |at: usize| i32::try_from(number(at)?).ok();
    let is_alive = fields.first().is_some_and(|state| !["Z", "X"].contains(state));
    is_alive.then_some(())?;
    let program = head.split_once('(')?.1.to_string();
    let (parent, group, started) = (id(1)?, id(2)?, number(19)?);
    Some(Process { pid, program, parent, group, started, is_marked: false })
}

/// A file of the process; empty if it is not for this user to read.
fn read(pid: Pid, file: &str) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default()
}

fn is_guardian(pid: Pid) -> bool {
    pid == getpid() || read(pid, "cmdline").split(|byte| *byte == 0).nth(1) == Some(GUARDIAN_MODE.as_bytes())
}
