//! [`ExperimentResult`]: the counts of an experiment, in numbers and words, and whether they meet the expectation.

use leasehold_testkit::redis::Reply;
use serde::Serialize;

use crate::overlaps;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Activity {
    /// Believes that it holds the lock, and works.
    Holds,
    /// Asks for the lock in a loop.
    Waits,
    /// Has crashed or is paused.
    Gone,
}

/// A stretch of time of one client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    pub(super) client: char,
    pub(super) activity: Activity,
    /// Nanoseconds since the beginning of the experiment.
    pub(super) from_ns: u64,
    pub(super) until_ns: u64,
}

/// The greatest number of holders at once, and the stretches with two or more.
pub(super) fn overlaps(spans: &[Span]) -> (usize, Vec<(u64, u64)>) {
    let holds = spans.iter().filter(|span| span.activity == Activity::Holds);
    overlaps::overlaps(holds.map(|span| (span.from_ns, span.until_ns)))
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Expectation {
    /// The lock is never free again.
    LockedForEver,
    /// Two hold at once, and an update is lost.
    TwoHolders,
    /// A client deletes the lock of another, and two hold at once.
    ForeignRelease,
    /// No failure.
    #[default]
    Kept,
    /// The loss is signalled before the deadline, no other holder enters before, and the late write is refused.
    Told,
    /// The same, but the server itself has lost the grant: another holder may enter before the signal.
    Forgotten,
}

impl Expectation {
    /// Whether the client is expected to fail.
    pub(super) fn is_failure(self) -> bool {
        matches!(self, Self::LockedForEver | Self::TwoHolders | Self::ForeignRelease)
    }
}

#[derive(Clone, Default, Debug, Serialize)]
pub(super) struct Counts {
    /// The greatest number of clients that believed at the same time that they hold the lock.
    pub(super) holders_at_once: usize,
    /// The time for which two or more did.
    pub(super) together_ms: f64,
    /// Refused requests: the lock does exclude.
    pub(super) refused_attempts: u64,
    /// No client got the lock while it was watched, and the server has no expiry for it.
    pub(super) locked_for_ever: bool,
    /// The answer to `TTL`: -1 is never.
    pub(super) ttl_on_server: Option<i64>,
    /// The time for which the lock was watched.
    pub(super) watched_ms: u64,
    /// Deleted locks of other clients.
    pub(super) foreign_releases: u64,
    /// Confirmed renewals, where they are counted.
    pub(super) renewals: u64,
    pub(super) renewals_failed: u64,
    /// Accepted writes of a client after which another had begun.
    pub(super) late_writes_accepted: u64,
    /// Refused writes and reads.
    pub(super) late_writes_refused: u64,
    /// Accepted updates that are not in the result.
    pub(super) lost_updates: u64,
    /// The time from the signal of the loss to the deadline; negative: after the deadline, `None`: never.
    pub(super) told_ms_before_deadline: Option<f64>,
}

/// A command and the server's answer.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Observation {
    command: String,
    reply: String,
}

#[derive(Clone, Default, Debug, Serialize)]
pub(super) struct ExperimentResult {
    pub(super) rung: u8,
    pub(super) client: &'static str,
    pub(super) failure: &'static str,
    pub(super) expected: Expectation,
    pub(super) proves: bool,
    /// The events in words.
    pub(super) happened: String,
    /// The signal of the loss in words.
    pub(super) told: String,
    #[serde(flatten)]
    pub(super) counts: Counts,
    pub(super) observed: Vec<Observation>,
    pub(super) elapsed_ms: u64,
    #[serde(skip)]
    pub(super) elapsed_ns: u64,
    #[serde(skip)]
    pub(super) spans: Vec<Span>,
}

impl ExperimentResult {
    pub(super) fn new(
        (rung, client): (u8, &'static str),
        failure: &'static str,
        expected: Expectation,
    ) -> ExperimentResult {
        ExperimentResult { rung, client, failure, expected, ..ExperimentResult::default() }
    }

    pub(super) fn observe(&mut self, command: &[&str], reply: &Reply) {
        let reply = match reply {
            Reply::Nil => "nil".into(),
            Reply::Int(number) => number.to_string(),
            Reply::Text(text) | Reply::Error(text) => text.clone(),
            Reply::Array(items) => format!("{} elements", items.len()),
        };
        self.observed.push(Observation { command: command.join(" "), reply });
    }

    pub(super) fn finish(mut self, spans: Vec<Span>) -> ExperimentResult {
        let (most, together) = overlaps(&spans);
        let together_ns: u64 = together.iter().map(|(from, until)| until - from).sum();
        self.counts.holders_at_once = most;
        self.counts.together_ms = (together_ns as f64 / 1e5).round() / 10.0;
        self.proves = self.counts.meet(self.expected);
        self.happened = self.counts.words();
        self.told = self.counts.told_words(self.expected);
        self.elapsed_ns = spans.iter().map(|span| span.until_ns).max().unwrap_or_default();
        (self.elapsed_ms, self.spans) = (self.elapsed_ns / 1_000_000, spans);
        self
    }
}

impl Counts {
    /// Whether the counts meet an expectation. A lock that never refused a request was no lock.
    pub(super) fn meet(&self, expected: Expectation) -> bool {
        let excludes = self.refused_attempts > 0;
        let two = self.holders_at_once > 1 && self.lost_updates > 0 && self.told_ms_before_deadline.is_none();
        let safe = self.lost_updates == 0 && self.late_writes_accepted == 0;
        let told = self.told_ms_before_deadline.is_some_and(|ahead| ahead >= 0.0);
        let refused = safe && told && self.late_writes_refused > 0;
        excludes
            && match expected {
                Expectation::LockedForEver => self.locked_for_ever,
                Expectation::TwoHolders => two,
                Expectation::ForeignRelease => two && self.foreign_releases > 0,
                Expectation::Kept => safe && self.holders_at_once == 1,
                Expectation::Told => refused && self.holders_at_once == 1,
                Expectation::Forgotten => refused,
            }
    }

    fn words(&self) -> String {
        if self.locked_for_ever {
            let (ms, refused) = (self.watched_ms, self.refused_attempts);
            return format!("locked for ever: TTL -1, {refused} attempts refused in {ms} ms");
        }
        let mut words = Vec::new();
        if self.foreign_releases > 0 {
            words.push("freed another's lock".to_owned());
        }
        words.push(match self.holders_at_once {
            0 | 1 => "never 2 holders at once".to_owned(),
            most => format!("{most} holders at once for {:.0} ms", self.together_ms),
        });
        for (count, what) in [(self.late_writes_accepted, "accepted"), (self.late_writes_refused, "refused")]
        {
            if count > 0 {
                words.push(format!("late write {what}"));
            }
        }
        words.push(match self.lost_updates {
            1 => "1 update lost".to_owned(),
            lost => format!("{lost} updates lost"),
        });
        words.join(", ")
    }

    fn told_words(&self, expected: Expectation) -> String {
        match (self.told_ms_before_deadline, expected) {
            (Some(ahead), _) if ahead >= 0.0 => format!("yes, {ahead:.0} ms before the deadline"),
            (Some(ahead), _) => format!("{:.0} ms too late", -ahead),
            (None, Expectation::LockedForEver) => "nobody is left".to_owned(),
            (None, Expectation::Kept) => "no need: renewed".to_owned(),
            (None, _) if self.renewals_failed > 0 => {
                let (failed, many) = (self.renewals_failed, if self.renewals_failed == 1 { "" } else { "s" });
                format!("no ({failed} renewal{many} failed)")
            }
            (None, _) => "no".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
