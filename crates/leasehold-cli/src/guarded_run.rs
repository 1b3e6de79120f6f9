//! A command under a lock, from the acquisition to the release.

use std::time::Duration;

use anyhow::Result;
use leasehold::{
    Client, ErrorKind, Lease, LockName, Lost, LostReason,
    store::{Liveness, Release},
};
use serde_json::json;

use crate::{
    acquire::{Acquired, WaitRequest, acquire},
    child_env::ChildEnv,
    cmd::common::GuardArgs,
    describe,
    duration::{millis, show},
    hold_plan::HoldPlan,
    lock::{Hold, Lock, WaitLimit},
    loss_policy::OnLost,
    output::Output,
    store_location::{StoreLocation, disconnect},
    supervise::{Ending, Task, program::check_killable, signals::Signals, supervise},
};

/// Time limit for releasing a lost lock: waiting clients gain nothing from it.
const RELEASE_OF_LOST: Duration = Duration::from_millis(500);

/// Time for which the lock stays shut when this process is killed.
const LOCK_DELAY: Duration = Duration::from_secs(1);

/// The loss that a release finds: the store does not say how it came.
const GONE: Lost = Lost { reason: LostReason::Gone, certain: true };

/// A command, the options of its lock, and the connection to the store.
pub(crate) struct GuardedRun<'a> {
    pub(crate) name: LockName,
    pub(crate) client: Client,
    pub(crate) output: Output,
    args: &'a GuardArgs,
    location: StoreLocation,
    plan: HoldPlan,
    /// The rest of the wait, once it is connected.
    pub(crate) limit: WaitLimit,
    /// Minimum time for which the lock is kept.
    hold_at_least: Option<Duration>,
}

pub(crate) struct RunEnd {
    pub(crate) code: u8,
    /// Whether the lock was busy or a signal ended the run: `--forever` does not run the command again.
    pub(crate) is_final: bool,
}

impl<'a> GuardedRun<'a> {
    /// Checks the arguments and connects to the store.
    pub(crate) async fn connect(
        args: &'a GuardArgs,
        default_limit: WaitLimit,
        hold_at_least: Option<Duration>,
        output: Output,
    ) -> Result<Self> {
        let name = LockName::new(&args.name)?;
        let location = args.store.location(output)?;
        if let (Some(program), OnLost::Kill | OnLost::Send(_)) = (args.command.first(), args.loss.on_lost) {
            check_killable(program)?;
        }
        let defaults = (location.ttl(), location.default(|defaults| defaults.grace));
        let plan = HoldPlan::new(&args.hold, &args.loss, defaults)?;
        let note = describe::own_note(args.hold.note_command.of(&args.command), args.hold.note.as_deref());
        let limit = args.wait.limit(location.default(|defaults| defaults.wait).unwrap_or(default_limit));
        let connecting =
            location.connect_within(limit, output, |options| plan.options(options, note.clone()));
        let (client, limit) = connecting.await?;
        let kept = describe::check_kept("--note", args.hold.note.as_deref(), client.capability());
        if kept.is_err() {
            disconnect(&client, &kept).await;
        }
        kept?;
        // Where the hold ends with this process, the guardian needs a moment to kill the command.
        let is_process = client.capability().liveness == Liveness::Process && client.capability().lock_delay;
        let client = if is_process { client.lock_delay(LOCK_DELAY) } else { client };
        Ok(GuardedRun { name, client, output, args, location, plan, limit, hold_at_least })
    }

    pub(crate) async fn disconnect<T>(&self, result: &Result<T>) {
        disconnect(&self.client, result).await;
    }

    /// Acquires the lock, runs the command and releases the lock.
    pub(crate) async fn run(
        &self,
        lock: Lock,
        limit: WaitLimit,
        is_fair: bool,
        signals: &mut Signals,
    ) -> Result<RunEnd> {
        let request = WaitRequest { name: &self.name, limit, is_fair };
        match acquire(lock, request, &self.client, signals, self.output).await? {
            Acquired::Held(hold) => {
                let ending = self.run_under(hold, signals).await?;
                Ok(RunEnd { code: ending.code(), is_final: ending.interrupted })
            }
            Acquired::Busy(report) => {
                Ok(RunEnd { code: report.print(&self.args.wait, self.output), is_final: true })
            }
        }
    }

    async fn run_under(&self, hold: Hold, signals: &mut Signals) -> Result<Ending> {
        let env = self.client.env();
        let lease = hold.lease().clone();
        let mut ending = self.supervise(&lease, signals).await;
        match &mut ending {
            Ok(ending) if ending.lost.is_some() => {
                let end = env.now() + RELEASE_OF_LOST;
                let _ = env.until(end, hold.release()).await;
            }
            // A hold that is shorter than the first renewal learns of its loss from the release alone.
            Ok(ending) => ending.lost = self.release(hold, &lease).await,
            Err(_) => drop(self.release(hold, &lease).await),
        }
        let ending = ending?;
        self.report_ending(&ending, lease.name());
        Ok(ending)
    }

    /// Runs the command under a lease.
    pub(crate) async fn supervise(&self, lease: &Lease, signals: &mut Signals) -> Result<Ending> {
        self.report_acquired(lease);
        let env = self.client.env();
        let run = env.random() as u64;
        let task = Task {
            command: &self.args.command,
            environment: ChildEnv::new(lease, run, self.plan.ttl, &self.location),
            run,
            plan: &self.plan,
        };
        supervise(task, lease, env, signals, self.output).await
    }

    /// Releases the lock, or leaves it for the rest of its minimum time. Answers the loss if it was not held any more.
    async fn release(&self, hold: Hold, lease: &Lease) -> Option<Lost> {
        let age = lease.age();
        let released = match self.hold_at_least.filter(|least| *least > age) {
            None => hold.release().await,
            Some(least) => hold.detach(least - age).await.map(|_| Release::Released),
        };
        let name = lease.name();
        match released {
            Ok(Release::NotHeld) => return Some(GONE),
            Err(error) if error.kind() == ErrorKind::Lost => return Some(error.lost().unwrap_or(GONE)),
            Ok(Release::Released) => {
                let kept = self.hold_at_least.and_then(|least| least.checked_sub(age)).map(millis);
                let fields = json!({ "lock": name.as_str(), "held_ms": millis(age), "kept_for_ms": kept });
                self.output.event("released", fields);
            }
            // The exit code stays that of the command: the lock ends by its ttl.
            Err(error) => {
                let fields = json!({ "lock": name.as_str(), "message": error.to_string() });
                self.output.event("unreleased", fields);
                let ttl = show(self.plan.ttl);
                self.output.say(format!("warning: {error}; the lock expires within {ttl}"));
            }
        }
        None
    }

    fn report_acquired(&self, lease: &Lease) {
        let fields = json!({
            "lock": lease.name().as_str(),
            "store": self.location.shown(),
            "mode": lease.mode().to_string(),
            "fencing_token": lease.fencing_token().map(|token| token.get()),
            "sequencer": lease.sequencer().map(|sequencer| sequencer.to_string()),
            "ttl_ms": millis(self.plan.ttl),
        });
        self.output.event("acquired", fields);
    }

    pub(crate) fn report_ending(&self, ending: &Ending, name: &LockName) {
        let code = ending.code();
        let fields = json!({ "lock": name.as_str(), "exit_code": code, "lost": ending.is_lost() });
        self.output.event("exit", fields);
        if !ending.is_lost() {
            return;
        }
        let stopped = "the command was stopped because its lease was about to end";
        let reason = ending.lost.map_or_else(|| stopped.to_string(), |lost| lost.to_string());
        self.output.say(format!("error: `{name}`: {reason}"));
        self.output.say(
            "hint: another client may hold the lock by now; writes of the command are safe only if the resource \
             checks fencing tokens",
        );
    }
}
