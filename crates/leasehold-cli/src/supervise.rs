//! Supervises the command: starts it, forwards signals, and ends it before its lease ends.

pub(crate) mod child;
mod ending;
mod exec;
mod group;
pub(crate) mod guardian;
pub(crate) mod own_process;
pub(crate) mod program;
pub(crate) mod signals;
pub(crate) mod terminal;

use std::{ffi::OsString, time::Duration};

use anyhow::{Context, Result};
use leasehold::{Lease, env::Env, session::Status};
use rustix::process::{Signal, getpgrp, kill_current_process_group};
use serde_json::json;

use crate::{
    child_env::ChildEnv,
    describe::plain,
    duration::{millis, show},
    hold_plan::HoldPlan,
    loss_policy::{OnLost, Step, signal_name},
    output::Output,
    platform::{NEVER, platform},
};
use child::Child;
pub(crate) use ending::Ending;
use group::{Group, Survivor};
use guardian::Guardian;
use signals::{Signals, asks_to_end};
use terminal::Terminal;

/// Two interrupts within this time kill the command.
const DOUBLE_INTERRUPT: Duration = Duration::from_secs(3);
/// The same signal within this time is one request: `timeout` and others signal their child and then its process group.
const ECHO: Duration = Duration::from_millis(20);
/// Interval between two checks whether the group of a command that has ended is empty: its members need not be our
/// children.
const LINGER_STEP: Duration = Duration::from_millis(20);
/// Time limit for a killed group to end: a process in a hung system call may never do so.
const VANISH: Duration = Duration::from_secs(1);

/// The command and the options of its supervision.
pub(crate) struct Task<'a> {
    pub(crate) command: &'a [OsString],
    pub(crate) environment: ChildEnv,
    /// The random number of the run.
    pub(crate) run: u64,
    pub(crate) plan: &'a HoldPlan,
}

/// Runs the command until it ends, or until its lease does.
pub(crate) async fn supervise(
    task: Task<'_>,
    lease: &Lease,
    env: &Env,
    signals: &mut Signals,
    output: Output,
) -> Result<Ending> {
    signals.expect_child().context("cannot handle signals")?;
    // This process may have been stopped since the grant.
    if let Err(lost) = lease.check() {
        return Ok(Ending::without_process(None, Some(lost)));
    }
    let terminal = Terminal::controlling();
    let foreground = terminal.as_ref().is_some_and(Terminal::is_ours) && !terminal::is_piped();
    let group = Group { leader: None, run: task.run, subreaper: platform().adopt_orphans() };
    let guardian = Guardian::start(group, kill_deadline(task.plan, lease)).ok();
    let tie = platform().tie(guardian.as_ref().and_then(Guardian::tie));
    let tie = tie.context("cannot start the process that kills the command if leasehold is killed")?;
    let given = terminal.as_ref().filter(|_| foreground);
    let child = match Child::start(task.command, &task.environment, given.and_then(Terminal::duplicate), tie)
    {
        Ok(child) => child,
        Err(error) => {
            if let Some(guardian) = guardian {
                guardian.dismiss();
            }
            if let Some(terminal) = given {
                terminal.give(getpgrp());
            }
            let code = exec::fail(&task, lease.name(), error, output).context("cannot start a process")?;
            return Ok(Ending::without_process(Some(code), lease.check().err()));
        }
    };
    let mut supervisor = Supervisor {
        group: Group { leader: Some(child.pid()), ..group },
        task,
        lease,
        env,
        output,
        terminal,
        child,
        guardian,
        seen: Status::Safe,
        asked: false,
        killed: false,
        is_overdue: false,
        survivor_since: None,
        interrupted: None,
        lingers_until: None,
    };
    supervisor.run(signals).await;
    Ok(supervisor.end())
}

/// The time at which the guardian kills the command.
fn kill_deadline(plan: &HoldPlan, lease: &Lease) -> u64 {
    match plan.on_lost {
        OnLost::Kill => (lease.deadline() - plan.schedule.margin).nanos(),
        OnLost::Send(_) | OnLost::Ignore => NEVER,
    }
}

struct Supervisor<'a> {
    task: Task<'a>,
    lease: &'a Lease,
    env: &'a Env,
    output: Output,
    terminal: Option<Terminal>,
    child: Child,
    group: Group,
    guardian: Option<Guardian>,
    /// The status of the lease that was last handled.
    seen: Status,
    /// The command was asked to stop because of its lease.
    asked: bool,
    killed: bool,
    /// The guardian's time came before its dismissal: this process was stopped meanwhile.
    is_overdue: bool,
    /// Age of the lease when a process was found that cannot be killed.
    survivor_since: Option<Duration>,
    /// The last signal that asked leasehold to end, and the age of the lease at that time.
    interrupted: Option<(Signal, Duration)>,
    /// Age of the lease up to which the rest of the group is waited for, once the command has ended.
    lingers_until: Option<Duration>,
}

impl Supervisor<'_> {
    async fn run(&mut self, signals: &mut Signals) {
        loop {
            self.check_child();
            if self.is_over() {
                return;
            }
            let lingers = self.lingers_until.or(self.survivor_since).map(|_| LINGER_STEP);
            let nap = [self.check_lease(), Some(self.check_guardian()), lingers];
            let nap = nap.into_iter().flatten().min().unwrap_or(self.task.plan.ttl);
            tokio::select! {
                biased;
                signal = signals.next() => self.on_signal(signal),
                _ = self.lease.changed_from(self.seen) => {}
                () = self.env.sleep(nap) => {}
            }
        }
    }

    fn check_child(&mut self) {
        // Before the command is reaped and its process id can be reused.
        if self.lingers_until.is_none() && self.child.has_ended() && !self.must_linger() {
            self.dismiss_guardian();
        }
        if let Some(signal) = self.child.reap() {
            self.on_stop(signal);
        }
    }

    /// Whether to wait for the rest of the group: only if the group was asked to end. Background processes of a command
    /// that ended by itself are meant to stay.
    fn must_linger(&self) -> bool {
        let signalled = self.child.ended().and_then(|status| status.terminating_signal());
        self.asked
            || self.killed
            || self.interrupted.is_some()
            || signalled.and_then(Signal::from_named_raw).is_some_and(asks_to_end)
    }

    /// Whether the command has ended, and the rest of its group if it is waited for: a lock that is released while part of
    /// the group still runs would let the next holder in too early.
    fn is_over(&mut self) -> bool {
        let age = self.lease.age();
        let Some(status) = self.child.ended() else {
            return self.survivor_since.is_some_and(|since| age >= since + VANISH);
        };
        if let Some(terminal) = &self.terminal {
            terminal.take_back(self.child.pid(), status.signaled());
        }
        if !self.must_linger() || self.group.is_empty() {
            return true;
        }
        let until = *self.lingers_until.get_or_insert(age + self.task.plan.schedule.grace);
        if age >= until + VANISH {
            return true;
        }
        if age >= until || self.killed {
            self.kill();
        }
        false
    }

    /// Signals the command if that is due, and returns the time until the next check.
    fn check_lease(&mut self) -> Option<Duration> {
        let status = self.lease.status();
        self.report(status);
        let allowance = self.task.plan.hold_max.map(|span| span.saturating_sub(self.lease.age()));
        let remaining = self.lease.remaining();
        let step = self.task.plan.schedule.step(status, remaining, allowance);
        match (self.task.plan.on_lost, step) {
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
                    self.output.say("killing the command: its lease ends");
                    self.kill();
                }
                None
            }
            (OnLost::Kill, Step::Ask) => {
                if !self.asked {
                    self.ask(Signal::TERM);
                }
                Some(self.task.plan.schedule.until_kill(remaining.min(allowance.unwrap_or(remaining))))
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
                    "warning: the lease of `{name}` is in jeopardy: a renewal is overdue · {} left",
                    show(left)
                ));
            }
            Status::Safe => {
                self.output.event("safe", json!({ "lock": name.as_str(), "left_ms": millis(left) }));
                self.output.say(format!("the lease of `{name}` was renewed"));
            }
            Status::Lost(lost) => {
                let fields = json!({ "lock": name.as_str(), "reason": lost.reason.to_string(), "certain": lost.certain });
                self.output.event("lost", fields);
            }
        }
        self.seen = status;
    }

    fn ask(&mut self, signal: Signal) {
        self.asked = true;
        let name = signal_name(signal.as_raw());
        self.output.say(format!(
            "sending {name} to the command: its lease ends in {}",
            show(self.lease.remaining())
        ));
        self.send(signal);
    }

    fn kill(&mut self) {
        self.killed = true;
        let Some(survivor) = self.group.kill().filter(|_| self.survivor_since.is_none()) else { return };
        self.survivor_since = Some(self.lease.age());
        let Survivor { pid, program } = survivor;
        let fields = json!({ "lock": self.lease.name().as_str(), "pid": pid, "program": program });
        self.output.event("unkillable", fields);
        let program = plain(&program);
        self.output.say(format!(
            "error: process {pid} (`{program}`) cannot be killed, since it runs as another user: it goes on beside the next holder\n\
             hint: stop it by hand, and run leasehold as that user"
        ));
    }

    /// Sends a signal to the command. A stopped process is continued, so that it receives a request to end.
    fn send(&self, signal: Signal) {
        self.group.send(signal);
        if asks_to_end(signal) {
            self.group.send_outside(signal);
            self.group.send(Signal::CONT);
        }
    }

    fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::CHILD => {}
            Signal::CONT => self.resume(),
            _ if !asks_to_end(signal) => self.send(signal),
            _ => {
                let age = self.lease.age();
                let is_echo =
                    |(first, since): (Signal, Duration)| first == signal && age.saturating_sub(since) < ECHO;
                if self.interrupted.is_some_and(is_echo) {
                    return;
                }
                let is_repeated = |(first, since): (Signal, Duration)| {
                    (first, signal) == (Signal::INT, Signal::INT)
                        && age.saturating_sub(since) < DOUBLE_INTERRUPT
                };
                if self.interrupted.is_some_and(is_repeated) {
                    self.output.say("killing the command: interrupted twice");
                    self.kill();
                } else {
                    self.send(signal);
                }
                self.interrupted = Some((signal, age));
            }
        }
    }

    /// Handles a command that was stopped by `number`.
    fn on_stop(&self, number: i32) {
        let Some(terminal) = &self.terminal else { return };
        let signal = Signal::from_named_raw(number);
        let wants_terminal = matches!(signal, Some(Signal::TTIN | Signal::TTOU));
        if !wants_terminal && signal != Some(Signal::TSTP) {
            // Stopped on purpose: keep renewing the lease.
            return;
        }
        if wants_terminal && terminal.is_ours() {
            return self.resume();
        }
        if terminal.has_shell() {
            terminal.take_back(self.child.pid(), false);
            let left = show(self.lease.remaining());
            self.output.say(format!(
                "stopped: the lease of `{}` is not renewed and ends in {left} unless continued",
                self.lease.name()
            ));
            // The whole group, as the terminal does it, so that the shell sees the job stop. The next line runs after
            // SIGCONT. Meanwhile the guardian kills the command before the lease ends.
            let _ = kill_current_process_group(Signal::STOP);
        }
        self.resume();
    }

    /// Continues the command, in the foreground if this process is there; not if the lease was lost.
    fn resume(&self) {
        if self.child.ended().is_some() || self.lease.check().is_err() {
            return;
        }
        if let Some(terminal) = self.terminal.as_ref().filter(|terminal| terminal.is_ours()) {
            terminal.give(self.child.pid());
        }
        self.group.send(Signal::CONT);
    }

    /// Sends the deadline to the guardian, and replaces one that has ended. Returns the time until the next check.
    ///
    /// A guardian that cannot be started (out of processes) is no failure: this process and the parent-death signal still
    /// end the command.
    fn check_guardian(&mut self) -> Duration {
        let kill_at = kill_deadline(self.task.plan, self.lease);
        if self.guardian.as_mut().is_none_or(|guardian| guardian.order(self.group, kill_at).is_err()) {
            self.guardian = Guardian::start(self.group, kill_at).ok();
        }
        // The lease is renewed every third of its ttl; checking twice as often always leaves half a ttl to the end.
        self.task.plan.ttl / 6
    }

    fn dismiss_guardian(&mut self) {
        if let Some(guardian) = self.guardian.take() {
            self.is_overdue |= guardian.is_due(self.env.now().nanos());
            guardian.dismiss();
        }
    }

    fn end(mut self) -> Ending {
        self.dismiss_guardian();
        let ended = self.child.ended();
        let is_killed =
            ended.is_some_and(|status| status.terminating_signal() == Some(Signal::KILL.as_raw()));
        let was_stopped = self.asked || self.is_overdue && is_killed;
        Ending {
            command: ended.map(ending::code_of),
            lost: self.lease.check().err(),
            asked: was_stopped.then_some(self.task.plan.on_lost),
            interrupted: self.interrupted.is_some(),
        }
    }
}
