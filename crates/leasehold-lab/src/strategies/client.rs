//! [`Client`], and its critical section: read, wait, add one, write.

use std::{sync::Arc, time::Duration};

use leasehold::{FencingToken, Lease};

use crate::{
    checker::Rule,
    config::RunConfig,
    faults::Kind,
    history::EventKind,
    model::{LOCK, RESOURCE},
    rng::Rng,
    scenario::Scenario,
    simulation::Simulation,
    virtual_world::Process,
};

pub(crate) struct Client {
    pub(crate) simulation: Arc<Simulation>,
    pub(crate) process: Process,
    /// From 1.
    pub(crate) number: u32,
    /// The process number in the history: a restarted client gets another one.
    pub(crate) name: u32,
    pub(crate) rng: Rng,
}

/// A write in flight. Drop records its result, also when the future is dropped: the result is unknown then.
struct Write<'a> {
    client: &'a Client,
    attempt: u64,
    value: u64,
    accepted: Option<bool>,
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        let Write { attempt, value, accepted, .. } = *self;
        self.client.record(EventKind::Write { attempt, resource: RESOURCE.to_string(), value, accepted });
    }
}

/// A grant as the client knows it.
#[derive(Clone, Copy)]
pub(super) struct Held<'a> {
    pub(super) attempt: u64,
    pub(super) token: Option<FencingToken>,
    /// `None`: naive clients have no lease.
    pub(super) lease: Option<&'a Lease>,
    /// Whether the client checks the lease before each step; else `lease.run` does.
    pub(super) checks: bool,
}

impl Client {
    pub(super) fn config(&self) -> &RunConfig {
        &self.simulation.config
    }

    pub(super) fn scenario(&self) -> &'static Scenario {
        self.config().scenario
    }

    pub(super) fn record(&self, kind: EventKind) {
        self.process.world().record(self.name, kind);
    }

    pub(super) async fn sleep(&self, span: Duration) {
        self.process.env().sleep(span).await;
    }

    /// Sleeps for a span in `[low, high)` milliseconds.
    pub(super) async fn sleep_between(&mut self, low: u64, high: u64) {
        let span = self.rng.span(Duration::from_millis(low), Duration::from_millis(high));
        self.sleep(span).await;
    }

    /// Begins an attempt; returns its number.
    pub(super) fn ask(&self) -> u64 {
        let attempt = self.process.world().attempt();
        self.record(EventKind::Ask { attempt, lock: LOCK.to_string(), shared: false });
        self.simulation.reached(self.number, Kind::PauseAsking);
        attempt
    }

    /// Checks the time from the request to the answer against the bound of the scenario.
    pub(super) fn check_wait(&self, attempt: u64, since: Duration) {
        let Some(bound) = self.scenario().wait_bound else { return };
        if self.process.world().age() - since > bound {
            let text = format!("attempt {attempt} was not answered within {bound:?}");
            self.simulation.violation(Rule::LongWait, text);
        }
    }

    /// Runs the critical section; ends early when the client finds that its lease is over.
    pub(super) async fn work(&self, held: Held<'_>, spans: (Duration, Duration)) {
        if !self.may_go_on(held) {
            return;
        }
        let env = self.process.env();
        let read = self.simulation.resource.read(&self.process, held.token).await;
        let resource = || RESOURCE.to_string();
        let Some(value) = read else { return };
        self.record(EventKind::Read { attempt: held.attempt, resource: resource(), value });
        let Some(value) = value else { return };
        env.sleep(spans.0).await;
        if held.checks && !self.may_go_on(held) {
            return;
        }
        // Any fault may occur between the last check and the write.
        self.simulation.reached(self.number, Kind::PauseWriting);
        self.process.yield_now().await;
        self.accesses(held);
        let mut write = Write { client: self, attempt: held.attempt, value: value + 1, accepted: None };
        write.accepted = self.simulation.resource.write(&self.process, held.token, value + 1).await;
        drop(write);
        env.sleep(spans.1).await;
    }

    /// Checks the lease, if there is one.
    fn may_go_on(&self, held: Held<'_>) -> bool {
        if held.checks && held.lease.is_some_and(|lease| lease.check().is_err()) {
            return false;
        }
        self.accesses(held);
        true
    }

    /// Records that the client is about to access the resource: it believes that it holds until its deadline.
    fn accesses(&self, held: Held<'_>) {
        let Some(lease) = held.lease else { return };
        let now_us = self.process.world().age().as_micros() as u64;
        let deadline_us = self.process.world_us(lease.deadline());
        if lease.deadline() <= self.process.env().now() && !held.checks {
            let text = format!("attempt {} acts at {now_us} us, after its deadline", held.attempt);
            self.simulation.violation(Rule::LateAct, text);
        }
        self.record(EventKind::Extend { attempt: held.attempt, deadline_us });
    }

    /// The durations of the work before and after the write.
    pub(super) fn spans(&mut self) -> (Duration, Duration) {
        let scenario = self.scenario();
        let (low, high) = if self.rng.percent(scenario.long_percent) { scenario.long } else { scenario.work };
        let before = self.rng.span(low, high);
        (before, self.rng.span(Duration::ZERO, Duration::from_millis(8)))
    }

    pub(super) async fn think(&mut self) {
        self.sleep_between(0, 30).await;
    }

    /// Waits until the last fault is over. The client's clock may be wrong, so the age of the world is checked again.
    pub(super) async fn await_healed(&self) {
        let (env, heals) = (self.process.env(), self.simulation.heals);
        let mut left = heals.saturating_sub(self.process.world().age());
        while !left.is_zero() {
            env.sleep(left + Duration::from_millis(1)).await;
            left = heals.saturating_sub(self.process.world().age());
        }
    }
}
