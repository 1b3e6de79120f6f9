//! [`Case`]: one failure of one rung under way, and the [`Outcome`] that was counted.

mod outcome;

use std::time::Duration;

use anyhow::{Result, ensure};
use leasehold::env::Moment;
use leasehold_testkit::redis::{Connection, Reply};

use super::{resource::Resource, rungs::Rung, stage::Stage};

pub(crate) use outcome::{Expectation, Outcome, crowded};

/// Nothing that is waited for takes longer, even on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// What somebody does for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Doing {
    /// Believes that the lock is his, and works.
    Holds,
    /// Asks for the lock, again and again.
    Waits,
    /// Has crashed, or stands still.
    Gone,
}

/// A stretch of time in somebody's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub(crate) who: char,
    pub(crate) doing: Doing,
    /// Nanoseconds since the case began.
    pub(crate) from_ns: u64,
    pub(crate) until_ns: u64,
}

/// One failure of one rung, under way.
pub(crate) struct Case<'s> {
    stage: &'s Stage,
    begin: Moment,
    spans: Vec<Span>,
    pub(crate) resource: Resource,
    pub(crate) outcome: Outcome,
}

impl<'s> Case<'s> {
    /// A case in which nothing has happened yet.
    pub(crate) fn new(
        stage: &'s Stage,
        rung: &Rung,
        failure: &'static str,
        expected: Expectation,
    ) -> Case<'s> {
        let outcome = Outcome::new(rung, failure, expected);
        Case { stage, begin: stage.env.now(), spans: Vec::new(), resource: Resource::default(), outcome }
    }

    /// Takes the lock, which must be free, and begins to work.
    pub(crate) fn acquire(&mut self, who: char, try_lock: impl FnOnce() -> Result<bool>) -> Result<()> {
        ensure!(try_lock()?, "the lock is not free for {who}");
        self.begin(who, Doing::Holds);
        Ok(())
    }

    /// Asks for the lock until it is granted, which is then held, or the limit is over; whether it was granted.
    pub(crate) fn wait(
        &mut self,
        who: char,
        limit: Duration,
        mut try_lock: impl FnMut() -> Result<bool>,
    ) -> Result<bool> {
        self.begin(who, Doing::Waits);
        let mut refused = 0;
        let granted = self.stage.until(limit, || {
            let granted = try_lock()?;
            refused += u64::from(!granted);
            Ok(granted)
        })?;
        self.outcome.counts.refused_attempts += refused;
        self.end(who);
        if granted {
            self.begin(who, Doing::Holds);
        }
        Ok(granted)
    }

    /// Goes on working until then.
    pub(crate) fn work(&self, until: Moment) -> Result<()> {
        self.stage.work(until)
    }

    /// Stops working.
    pub(crate) fn end(&mut self, who: char) {
        let now = self.now_ns();
        if let Some(span) = self.spans.iter_mut().rfind(|span| span.who == who && span.until_ns == u64::MAX) {
            span.until_ns = now;
        }
    }

    /// Crashes, or stands still.
    pub(crate) fn vanish(&mut self, who: char) {
        self.end(who);
        self.begin(who, Doing::Gone);
    }

    /// Enters a stretch that was measured elsewhere.
    pub(crate) fn span(&mut self, who: char, doing: Doing, from: Moment, until: Moment) {
        let nanos = |moment: Moment| nanos(moment.since(self.begin));
        self.spans.push(Span { who, doing, from_ns: nanos(from), until_ns: nanos(until) });
    }

    /// Asks a server something, for the record.
    pub(crate) fn look(&mut self, connection: &mut Connection, command: &[&str]) -> Result<Reply> {
        let reply = connection.call(command)?.accepted()?;
        self.outcome.observe(command, &reply);
        Ok(reply)
    }

    /// The holder has crashed: waits for the bound and looks what the server says of the lock.
    pub(crate) fn watch_for_ever(
        &mut self,
        key: &str,
        bound: Duration,
        try_lock: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let freed = self.wait('B', bound, try_lock)?;
        let mut observer = self.stage.connect()?;
        let ttl = self.look(&mut observer, &["TTL", key])?.int();
        let exists = self.look(&mut observer, &["EXISTS", key])?.int();
        self.outcome.counts.ttl_on_server = ttl;
        self.outcome.counts.watched_ms = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
        self.outcome.counts.locked_for_ever = !freed && ttl == Some(-1) && exists == Some(1);
        Ok(())
    }

    /// A holder is told that its lease is over.
    pub(crate) fn told(&mut self, at: Moment, deadline: Moment) {
        let ahead = nanos(deadline.since(at)) as f64 - nanos(at.since(deadline)) as f64;
        self.outcome.counts.told_ms_before_deadline = Some((ahead / 1e5).round() / 10.0);
    }

    /// Counts.
    pub(crate) fn finish(mut self) -> Outcome {
        let now = self.now_ns();
        for span in self.spans.iter_mut().filter(|span| span.until_ns == u64::MAX) {
            span.until_ns = now;
        }
        self.outcome.finish(self.spans, &self.resource, now)
    }

    /// The end of a case that has nothing more to show.
    pub(crate) fn done(self) -> Result<Vec<Outcome>> {
        Ok(vec![self.finish()])
    }

    fn begin(&mut self, who: char, doing: Doing) {
        let from_ns = self.now_ns();
        self.spans.push(Span { who, doing, from_ns, until_ns: u64::MAX });
    }

    fn now_ns(&self) -> u64 {
        nanos(self.stage.env.now().since(self.begin))
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
