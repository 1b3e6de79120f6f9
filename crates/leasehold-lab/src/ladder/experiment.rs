//! [`Experiment`]: one failure of one client under way, and the counting of its effects.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use leasehold::{
    FencingToken,
    env::{Env, Moment},
};
use leasehold_testkit::{
    redis::{Reply, Server},
    wait,
};

use super::result::{Activity, ExperimentResult, Span};
use crate::{
    naive_redis::NaiveRedis,
    resource::{Counter, Fence},
};

/// The time limit of every wait, for a busy machine.
pub(super) const SOON: Duration = Duration::from_secs(10);
/// The least time for which two clients hold at once.
pub(super) const TOGETHER: Duration = Duration::from_millis(200);
/// The interval between two checks for a signal.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The clock, the server that most experiments share, and the signal that ends them.
pub(super) struct Harness {
    pub(super) env: Env,
    pub(super) server: Server,
    /// 0: none has arrived.
    pub(super) signal: Arc<AtomicI32>,
}

impl Harness {
    /// Polls until the condition holds; whether it held within the limit.
    fn until(&self, limit: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<bool> {
        let mut answer = Ok(false);
        wait::until(limit, || {
            answer = if self.is_stopped() { stopped() } else { condition() };
            !matches!(answer, Ok(false))
        });
        answer
    }

    fn is_stopped(&self) -> bool {
        self.signal.load(Ordering::Relaxed) != 0
    }
}

fn stopped<T>() -> Result<T> {
    bail!("ended by a signal")
}

pub(super) struct Experiment<'h> {
    pub(super) harness: &'h Harness,
    begin: Moment,
    spans: Vec<Span>,
    counter: Counter,
    pub(super) result: ExperimentResult,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Read {
    number: u64,
    value: u64,
}

impl<'h> Experiment<'h> {
    pub(super) fn new(harness: &'h Harness, result: ExperimentResult) -> Experiment<'h> {
        let fence = if result.expected.is_failure() { Fence::None } else { Fence::ByClaim };
        let (begin, spans, counter) = (harness.env.now(), Vec::new(), Counter::new(fence));
        Experiment { harness, begin, spans, counter, result }
    }

    pub(super) fn env(&self) -> &'h Env {
        &self.harness.env
    }

    /// Plays a future, which a signal ends.
    pub(super) fn block_on(&mut self, play: impl AsyncFnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let harness = self.harness;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let mut play = Box::pin(play(self));
        runtime.block_on(async {
            while !harness.is_stopped() {
                let limit = harness.env.now() + POLL_INTERVAL;
                if let Some(played) = harness.env.until(limit, play.as_mut()).await {
                    return played;
                }
            }
            stopped()
        })
    }

    /// Takes the lock, which must be free; returns the holder's read of the counter.
    pub(super) fn acquire(&mut self, client: char, try_lock: impl FnOnce() -> Result<bool>) -> Result<Read> {
        ensure!(try_lock()?, "the lock is not free for {client}");
        self.begin(client, Activity::Holds);
        Ok(self.read())
    }

    /// Asks for the lock until it is granted or the limit is over; whether it was granted.
    pub(super) fn wait(
        &mut self,
        client: char,
        limit: Duration,
        mut try_lock: impl FnMut() -> Result<bool>,
    ) -> Result<bool> {
        self.begin(client, Activity::Waits);
        let mut refused = 0;
        let granted = self.harness.until(limit, || {
            let granted = try_lock()?;
            refused += u64::from(!granted);
            Ok(granted)
        })?;
        self.result.counts.refused_attempts += refused;
        self.end(client);
        if granted {
            self.begin(client, Activity::Holds);
        }
        Ok(granted)
    }

    pub(super) fn work(&self, until: Moment) -> Result<()> {
        let length = until.since(self.env().now());
        self.harness.until(length + POLL_INTERVAL, || Ok(self.env().now() >= until)).map(drop)
    }

    pub(super) fn end(&mut self, client: char) {
        let now = self.now_ns();
        let is_open = |span: &&mut Span| span.client == client && span.until_ns == u64::MAX;
        if let Some(span) = self.spans.iter_mut().rfind(is_open) {
            span.until_ns = now;
        }
    }

    /// The client crashes or is paused.
    pub(super) fn vanish(&mut self, client: char) {
        self.end(client);
        self.begin(client, Activity::Gone);
    }

    pub(super) fn write_and_end(&mut self, client: char, read: Read) {
        self.write(read, None);
        self.end(client);
    }

    /// B has entered while A holds: both work until then, the servers are asked for the key, and both write.
    pub(super) fn overlap(
        &mut self,
        read: Read,
        until: Moment,
        key: &str,
        observers: &mut [NaiveRedis],
    ) -> Result<()> {
        let next_read = self.read();
        self.work(until)?;
        for observer in observers {
            self.observe(observer, &["GET", key])?;
        }
        self.write_and_end('A', read);
        self.write_and_end('B', next_read);
        Ok(())
    }

    /// Adds a stretch that was measured elsewhere.
    pub(super) fn span(&mut self, client: char, activity: Activity, from: Moment, until: Moment) {
        let nanos = |moment: Moment| nanos(moment.since(self.begin));
        self.spans.push(Span { client, activity, from_ns: nanos(from), until_ns: nanos(until) });
    }

    /// Sends a command and records its answer.
    pub(super) fn observe(&mut self, client: &mut NaiveRedis, command: &[&str]) -> Result<Reply> {
        let reply = client.call(command)?;
        self.result.observe(command, &reply);
        Ok(reply)
    }

    /// A holder learns that its lease is over.
    pub(super) fn told(&mut self, at: Moment, deadline: Moment) {
        let ahead = nanos(deadline.since(at)) as f64 - nanos(at.since(deadline)) as f64;
        self.result.counts.told_ms_before_deadline = Some((ahead / 1e5).round() / 10.0);
    }

    pub(super) fn read(&mut self) -> Read {
        let value = self.counter.read(None).unwrap_or_default();
        Read { number: self.counter.reads(), value }
    }

    /// Reads the counter with a token; `None`: refused.
    pub(super) fn read_fenced(&mut self, token: FencingToken) -> Option<Read> {
        let value = self.counter.read(Some(token.get()));
        self.result.counts.late_writes_refused += u64::from(value.is_none());
        Some(Read { value: value?, number: self.counter.reads() })
    }

    /// Writes one more than was read.
    pub(super) fn write(&mut self, read: Read, token: Option<FencingToken>) {
        let accepted = self.counter.write(token.map(FencingToken::get), read.value + 1);
        let is_late = read.number < self.counter.reads();
        let counts = &mut self.result.counts;
        counts.late_writes_accepted += u64::from(accepted && is_late);
        counts.late_writes_refused += u64::from(!accepted);
    }

    /// Ends the experiment and counts.
    pub(super) fn finish(mut self) -> ExperimentResult {
        let now = self.now_ns();
        self.spans.iter_mut().for_each(|span| span.until_ns = span.until_ns.min(now));
        self.result.counts.lost_updates = self.counter.lost();
        self.result.finish(self.spans)
    }

    fn begin(&mut self, client: char, activity: Activity) {
        let from_ns = self.now_ns();
        self.spans.push(Span { client, activity, from_ns, until_ns: u64::MAX });
    }

    fn now_ns(&self) -> u64 {
        nanos(self.harness.env.now().since(self.begin))
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
