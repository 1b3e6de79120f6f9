//! What is done under the lock: read, think, raise by one, write.

use std::time::Duration;

use leasehold::{FencingToken, Lease};

use super::Client;
use crate::{history::What, plan::Kind, stage::LOCK, world::world_us};

/// The name of the resource.
pub(crate) const RESOURCE: &str = "account";

/// A write that is under way. What becomes of it is written down also when its future is dropped: then nobody knows.
struct Write<'a> {
    client: &'a Client,
    attempt: u64,
    value: u64,
    accepted: Option<bool>,
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        let Write { attempt, value, accepted, .. } = *self;
        self.client.record(What::Write { attempt, resource: RESOURCE.to_string(), value, accepted });
    }
}

/// A grant, as the client sees it.
#[derive(Clone, Copy)]
pub(super) struct Held<'a> {
    pub(super) attempt: u64,
    pub(super) token: Option<FencingToken>,
    /// What it knows of its lease. Naive clients know nothing.
    pub(super) lease: Option<&'a Lease>,
    /// Whether it looks at the lease before each step, or something else does.
    pub(super) looks: bool,
}

impl Client {
    pub(super) fn record(&self, what: What) {
        self.process.world().record(self.name, what);
    }

    pub(super) async fn sleep(&self, span: Duration) {
        self.process.env().sleep(span).await;
    }

    /// Begins to ask.
    pub(super) fn ask(&self) -> u64 {
        let attempt = self.process.world().attempt();
        self.record(What::Ask { attempt, lock: LOCK.to_string(), shared: false });
        self.stage.reached(self, Kind::PauseAsking);
        attempt
    }

    /// It has been answered.
    pub(super) fn waited(&self, attempt: u64, since: Duration) {
        let Some(bound) = self.stage.cast.scenario.wait_bound else { return };
        if self.process.world().age() - since > bound {
            let text = format!("attempt {attempt} was not answered within {bound:?}");
            self.stage.breach("long wait", text);
        }
    }

    /// What a granted client does. Answers early when it finds that it does not hold any more.
    pub(super) async fn work(&self, held: Held<'_>, spans: (Duration, Duration)) {
        if !self.may_go_on(held) {
            return;
        }
        let env = self.process.env();
        let read = self.stage.resource.read(&self.process, &env, held.token).await;
        let resource = || RESOURCE.to_string();
        let Some(value) = read else { return };
        self.record(What::Read { attempt: held.attempt, resource: resource(), value });
        let Some(value) = value else { return };
        env.sleep(spans.0).await;
        if held.looks && !self.may_go_on(held) {
            return;
        }
        // Between the last look and the write anything may happen.
        self.stage.reached(self, Kind::PauseWriting);
        self.process.give_way().await;
        self.acts(held);
        let mut write = Write { client: self, attempt: held.attempt, value: value + 1, accepted: None };
        write.accepted = self.stage.resource.write(&self.process, &env, held.token, value + 1).await;
        drop(write);
        env.sleep(spans.1).await;
    }

    /// Looks at the lease, if there is one, and sends nothing after its end.
    fn may_go_on(&self, held: Held<'_>) -> bool {
        if held.looks && held.lease.is_some_and(|lease| lease.check().is_err()) {
            return false;
        }
        self.acts(held);
        true
    }

    /// It is about to touch the resource: so it takes itself to hold, whatever it was told.
    fn acts(&self, held: Held<'_>) {
        let Some(lease) = held.lease else { return };
        let now_us = self.process.world().age().as_micros() as u64;
        let deadline_us = world_us(&self.process, lease.deadline());
        if lease.deadline() <= self.process.env().now() && !held.looks {
            let text = format!("attempt {} acts at {now_us} us, after its deadline", held.attempt);
            self.stage.breach("late act", text);
        }
        self.record(What::Extend { attempt: held.attempt, deadline_us });
    }

    /// How long it works before and after the write.
    pub(super) fn spans(&mut self) -> (Duration, Duration) {
        let scenario = self.stage.cast.scenario;
        let (low, high) =
            if self.dice.percent(scenario.long_percent) { scenario.long } else { scenario.work };
        let before = self.dice.span(low, high);
        (before, self.dice.span(Duration::ZERO, Duration::from_millis(8)))
    }

    /// A while outside of the lock.
    pub(super) async fn think(&mut self) {
        let span = self.dice.span(Duration::ZERO, Duration::from_millis(30));
        self.sleep(span).await;
    }
}
