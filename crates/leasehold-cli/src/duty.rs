//! A command's time under a lock: from the grant to the release.

use std::{ffi::OsString, time::Duration};

use anyhow::Result;
use leasehold::{Client, Env, Lease, LockName};
use serde_json::json;

use crate::{
    duration::{millis, show},
    environment::Environment,
    lock::Hold,
    message::Output,
    store::Location,
    supervise::{Ending, Task, signals::Signals, supervise},
    tenure::Plan,
};

/// How long to try to give back what is lost anyway: whoever waits for us does not profit.
const RELEASE_OF_LOST: Duration = Duration::from_millis(500);
/// How long to wait for releases that are under way when we leave.
const FLUSH: Duration = Duration::from_secs(5);

/// A command, and what it needs of the lock.
pub(crate) struct Duty<'a> {
    pub(crate) command: &'a [OsString],
    pub(crate) plan: &'a Plan,
    pub(crate) location: &'a Location,
    /// Keep the lock at least so long.
    pub(crate) hold_at_least: Option<Duration>,
    pub(crate) output: Output,
}

impl Duty<'_> {
    /// Runs the command under the hold, and ends the hold.
    ///
    /// # Errors
    /// The command's process cannot be started.
    pub(crate) async fn run(&self, hold: Hold, env: &Env, signals: &mut Signals) -> Result<Ending> {
        let lease = hold.lease().clone();
        self.tell_acquired(&lease);
        let task = Task {
            command: self.command,
            environment: Environment::new(&lease, self.plan.ttl, self.location),
            on_lost: self.plan.on_lost,
            schedule: self.plan.schedule,
            ttl: self.plan.ttl,
            hold_max: self.plan.hold_max,
        };
        let ending = supervise(task, &lease, env, signals, self.output).await;
        match &ending {
            Ok(ending) if ending.lost.is_some() => {
                let end = env.now() + RELEASE_OF_LOST;
                let _ = env.until(end, hold.release()).await;
            }
            _ => self.give_back(hold, &lease).await,
        }
        let ending = ending?;
        self.tell_ending(&ending, lease.name());
        Ok(ending)
    }

    async fn give_back(&self, hold: Hold, lease: &Lease) {
        let age = lease.age();
        let given_back = match self.hold_at_least.filter(|least| *least > age) {
            None => hold.release().await.map(|_| ()),
            Some(least) => hold.detach(least - age).await.map(|_| ()),
        };
        let name = lease.name();
        match given_back {
            Ok(()) => {
                let kept = self.hold_at_least.and_then(|least| least.checked_sub(age)).map(millis);
                let fields = json!({ "lock": name.as_str(), "held_ms": millis(age), "kept_for_ms": kept });
                self.output.event("released", fields);
            }
            // The command's own result stands: the lock ends by its ttl.
            Err(error) => {
                self.output
                    .event("unreleased", json!({ "lock": name.as_str(), "message": error.to_string() }));
                self.output
                    .say(format!("warning: {error}; the lock ends by itself within {}", show(self.plan.ttl)));
            }
        }
    }

    fn tell_acquired(&self, lease: &Lease) {
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

    fn tell_ending(&self, ending: &Ending, name: &LockName) {
        let code = ending.code();
        self.output
            .event("exit", json!({ "lock": name.as_str(), "exit_code": code, "lost": ending.is_lost() }));
        let Some(reason) = ending.lost.map(|lost| lost.to_string()).or_else(|| {
            ending.is_lost().then(|| "the command was stopped because its lease was in danger".to_string())
        }) else {
            return;
        };
        self.output.say(format!("error: `{name}`: {reason}"));
        self.output.say("hint: another may hold the lock by now; writes of the command are safe only where the resource checks fencing tokens");
    }
}

/// Ends the client: what is being released is waited for.
pub(crate) async fn leave(client: &Client) {
    // What cannot be flushed ends by its ttl, and was warned of.
    let _ = client.close(FLUSH).await;
}
