//! A command under a lease: started, watched, signalled, and ended before the lease ends.

pub(crate) mod child;
pub(crate) mod exec;
mod group;
pub(crate) mod guardian;
pub(crate) mod signals;
pub(crate) mod terminal;

use std::{ffi::OsString, time::Duration};

use anyhow::{Context, Result};
use leasehold::{Env, Lease, Lost, Status};
use rustix::process::{Signal, WaitStatus, getpid, kill_current_process_group, set_child_subreaper};
use serde_json::json;

use crate::{
    duration::{millis, show},
    environment::Environment,
    exit,
    loss::{OnLost, Schedule, Step, signal_name},
    message::Output,
};
use child::Child;
pub(crate) use group::Group;
use guardian::Guardian;
use signals::{Signals, asks_to_end};
use terminal::Terminal;

/// Commands shorter than this never see a guardian: its start would cost them more than it is worth.
const GUARDIAN_AFTER: Duration = Duration::from_millis(20);
/// Two interrupts within this time mean "now".
const IMPATIENCE: Duration = Duration::from_secs(3);
/// How often to look whether the group of a command that has ended is empty: its members need not be our children.
const LINGER_STEP: Duration = Duration::from_millis(20);
/// How long a group that was killed may take to vanish; processes in a hung system call cannot be waited for.
const VANISH: Duration = Duration::from_secs(1);

/// What to run, and on what terms.
pub(crate) struct Task<'a> {
    pub(crate) command: &'a [OsString],
    pub(crate) environment: Environment,
    pub(crate) on_lost: OnLost,
    pub(crate) schedule: Schedule,
    pub(crate) ttl: Duration,
    pub(crate) hold_max: Option<Duration>,
}

/// How it ended.
pub(crate) struct Ending {
    status: Option<WaitStatus>,
    /// The lease was lost by then.
    pub(crate) lost: Option<Lost>,
    /// We asked the command to stop because of its lease.
    asked: bool,
    /// A signal asked us to end.
    pub(crate) interrupted: bool,
}

impl Ending {
    /// The exit code that tells of it.
    pub(crate) fn code(&self) -> u8 {
        if self.is_lost() { exit::LOST } else { self.status.map_or(exit::LOST, code_of) }
    }

    /// Whether the command did not do its work under the lock: the lease was lost, or the command was stopped so that
    /// it would not be, and was not done.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_some() || (self.asked && self.status.is_none_or(|status| code_of(status) != 0))
    }
}

fn code_of(status: WaitStatus) -> u8 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
        (None, signal) => exit::of_signal(signal.unwrap_or_default()),
    }
}

/// Runs the command to its end, or to that of its lease.
///
/// # Errors
/// The command's process cannot be started.
pub(crate) async fn supervise(
    task: Task<'_>,
    lease: &Lease,
    env: &Env,
    signals: &mut Signals,
    output: Output,
) -> Result<Ending> {
    signals.expect_child().context("cannot take over signals")?;
    // Between the grant and here we may have been stopped for long.
    if let Err(lost) = lease.check() {
        return Ok(Ending { status: None, lost: Some(lost), asked: false, interrupted: false });
    }
    let terminal = Terminal::controlling();
    let foreground = terminal.as_ref().is_some_and(Terminal::is_ours) && !terminal::is_piped();
    let orders = exec::Orders { foreground, json: output.json };
    let child = Child::start(task.command, &task.environment, orders).context("cannot start a process")?;
    let mut supervisor = Supervisor {
        task,
        lease,
        env,
        output,
        terminal,
        child,
        guardian: None,
        seen: Status::Safe,
        asked: false,
        killed: false,
        interrupted: None,
        lingers_until: None,
    };
    supervisor.run(signals).await;
    Ok(supervisor.end())
}

struct Supervisor<'a> {
    task: Task<'a>,
    lease: &'a Lease,
    env: &'a Env,
    output: Output,
    terminal: Option<Terminal>,
    child: Child,
    guardian: Option<Guardian>,
    /// The status of the lease that was last acted upon.
    seen: Status,
    /// The command was asked to stop because of its lease.
    asked: bool,
    killed: bool,
    /// The first signal that asked us to end, as the lease's age in whose course it came.
    interrupted: Option<(Signal, Duration)>,
    /// The command has ended; the rest of its group is waited for until the lease is this old.
    lingers_until: Option<Duration>,
}

impl Supervisor<'_> {
    async fn run(&mut self, signals: &mut Signals) {
        loop {
            self.look_after_child();
            if self.is_over() {
                return;
            }
            let nap = [self.look_after_lease(), Some(self.look_after_guardian()), self.linger_step()];
            let nap = nap.into_iter().flatten().min().unwrap_or(self.task.ttl);
            tokio::select! {
                biased;
                signal = signals.next() => self.on_signal(signal),
                _ = self.lease.changed_from(self.seen) => {}
                () = self.env.sleep(nap) => {}
            }
        }
    }

    fn group(&self) -> Group {
        self.child.group()
    }

    fn look_after_child(&mut self) {
        // Before the command is reaped, and its number may come to mean somebody else.
        if self.lingers_until.is_none() && self.child.has_ended() && !self.must_linger() {
            self.dismiss_guardian();
        }
        if let Some(signal) = self.child.reap() {
            self.on_stop(signal);
        }
    }

    /// Whether whoever is left of the group is waited for: only if the group was told to end. Else a background
    /// process that the command left behind is meant to stay.
    fn must_linger(&self) -> bool {
        let signalled = self.child.ended().and_then(|status| status.terminating_signal());
        self.asked
            || self.killed
            || self.interrupted.is_some()
            || signalled.and_then(Signal::from_named_raw).is_some_and(asks_to_end)
    }

    /// Whether the command has ended, and the rest of its group as far as it matters. A lock that were released while
    /// part of what it protects still cleans up would let the next one in too early.
    fn is_over(&mut self) -> bool {
        if self.child.ended().is_none() {
            return false;
        }
        if let Some(terminal) = &self.terminal {
            let killed = self.child.ended().is_some_and(|status| status.signaled());
            terminal.take_back(self.group().0, killed);
        }
        if !self.must_linger() || self.group().is_empty() {
            return true;
        }
        let age = self.lease.age();
        let until = *self.lingers_until.get_or_insert(age + self.task.schedule.grace);
        if age >= until + VANISH {
            return true;
        }
        if age >= until || self.killed {
            self.kill();
        }
        false
    }

    fn linger_step(&self) -> Option<Duration> {
        self.lingers_until.map(|_| LINGER_STEP)
    }

    /// Acts upon the lease, and answers how long nothing is due.
    fn look_after_lease(&mut self) -> Option<Duration> {
        let status = self.lease.status();
        self.report(status);
        let allowance = self.task.hold_max.map(|span| span.saturating_sub(self.lease.age()));
        let remaining = self.lease.remaining();
        let step = self.task.schedule.step(status, remaining, allowance);
        match (self.task.on_lost, step) {
            (_, Step::Wait(span)) => span,
            (OnLost::Ignore, _) => None,
            (OnLost::Send(signal), _) => {
                if !self.asked {
                    self.ask(signal);
                }
                None
            }
            (OnLost::Kill, Step::Kill) => {
                if !self.killed {
                    self.output.say("killing the command: its lease is over");
                    self.kill();
                }
                None
            }
            (OnLost::Kill, Step::Ask) => {
                if !self.asked {
                    self.ask(Signal::TERM);
                }
                Some(self.task.schedule.until_kill(remaining.min(allowance.unwrap_or(remaining))))
            }
        }
    }

    fn report(&mut self, status: Status) {
        if status == self.seen {
            return;
        }
        let name = self.lease.name();
        let left = self.lease.remaining();
        match status {
            Status::Jeopardy => {
                self.output.event("jeopardy", json!({ "lock": name.as_str(), "left_ms": millis(left) }));
                self.output.say(format!(
                    "warning: the lease of `{name}` is in danger: a renewal is overdue · {} left",
                    show(left)
                ));
            }
            Status::Safe => {
                self.output.event("safe", json!({ "lock": name.as_str(), "left_ms": millis(left) }));
                self.output.say(format!("the lease of `{name}` is renewed"));
            }
            Status::Lost(lost) => {
                let fields = json!({ "lock": name.as_str(), "reason": lost.reason.to_string(), "certain": lost.certain });
                self.output.event("lost", fields);
            }
        }
        self.seen = status;
    }

    /// Asks the whole group to stop, because of the lease.
    fn ask(&mut self, signal: Signal) {
        self.asked = true;
        self.collect_orphans();
        let name = signal_name(signal.as_raw());
        self.output.say(format!(
            "sending {name} to the command: its lease ends in {}",
            show(self.lease.remaining())
        ));
        self.send(signal);
    }

    fn kill(&mut self) {
        self.killed = true;
        self.collect_orphans();
        self.group().send(Signal::KILL);
    }

    /// Sends to the whole group. What is stopped would not hear it, and is continued.
    fn send(&self, signal: Signal) {
        self.group().send(signal);
        if asks_to_end(signal) {
            self.group().send(Signal::CONT);
        }
    }

    /// From now on orphans of the group become our children, so that we learn of their end.
    fn collect_orphans(&self) {
        let _ = set_child_subreaper(Some(getpid()));
    }

    fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::CHILD => {}
            Signal::CONT => self.resume(),
            _ if !asks_to_end(signal) => self.send(signal),
            _ => {
                let age = self.lease.age();
                self.collect_orphans();
                let hurry = |(first, since): (Signal, Duration)| {
                    (first, signal) == (Signal::INT, Signal::INT) && age.saturating_sub(since) < IMPATIENCE
                };
                if self.interrupted.is_some_and(hurry) {
                    self.output.say("killing the command: interrupted twice");
                    self.kill();
                } else {
                    self.send(signal);
                }
                self.interrupted = Some((signal, age));
            }
        }
    }

    /// The command was stopped by job control.
    fn on_stop(&self, number: i32) {
        let Some(terminal) = &self.terminal else { return };
        let signal = Signal::from_named_raw(number);
        let wants_terminal = matches!(signal, Some(Signal::TTIN | Signal::TTOU));
        if !wants_terminal && signal != Some(Signal::TSTP) {
            // Somebody stopped it on purpose. We stay and renew.
            return;
        }
        if wants_terminal && terminal.is_ours() {
            return self.resume();
        }
        if terminal.has_shell() {
            terminal.take_back(self.group().0, false);
            let left = show(self.lease.remaining());
            self.output.say(format!(
                "stopped: nobody renews the lease of `{}`, which ends in {left} unless continued",
                self.lease.name()
            ));
            // As the keyboard would: all of our group, so that the shell sees the whole job stop. The next line runs
            // when we are continued. Meanwhile the guardian kills the command when the lease is about to end.
            let _ = kill_current_process_group(Signal::STOP);
        }
        self.resume();
    }

    /// Continues the command, with the terminal if that is ours to give. Not if the lease did not last.
    fn resume(&self) {
        if self.child.ended().is_some() || self.lease.check().is_err() {
            return;
        }
        if let Some(terminal) = self.terminal.as_ref().filter(|terminal| terminal.is_ours()) {
            terminal.give(self.group().0);
        }
        self.group().send(Signal::CONT);
    }

    /// Starts the guardian when it is time, and tells it how the lease stands. Answers when to do so again.
    ///
    /// That it cannot be started (no process left, say) is no reason to fail: the command runs, and is still watched
    /// by us and by the kernel.
    fn look_after_guardian(&mut self) -> Duration {
        let age = self.lease.age();
        if self.guardian.is_none() && age < GUARDIAN_AFTER {
            return GUARDIAN_AFTER - age;
        }
        let kill_at = self.guardian_kills_at();
        if self.guardian.as_mut().is_none_or(|guardian| guardian.tell(kill_at).is_err()) {
            self.guardian = Guardian::start(self.group(), kill_at).ok();
        }
        // Renewals come every third of a ttl. Whoever looks twice as often knows of an end at least half a ttl away.
        self.task.ttl / 6
    }

    fn guardian_kills_at(&self) -> u64 {
        match self.task.on_lost {
            OnLost::Kill => (self.lease.deadline() - self.task.schedule.margin).nanos(),
            OnLost::Send(_) | OnLost::Ignore => guardian::NEVER,
        }
    }

    fn dismiss_guardian(&mut self) {
        if let Some(guardian) = self.guardian.take() {
            guardian.farewell();
        }
    }

    fn end(mut self) -> Ending {
        self.dismiss_guardian();
        Ending {
            status: self.child.ended(),
            lost: self.lease.check().err(),
            asked: self.asked,
            interrupted: self.interrupted.is_some(),
        }
    }
}
