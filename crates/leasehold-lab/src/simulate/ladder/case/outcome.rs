//! [`Outcome`]: what a case came to, in numbers, in words, and whether it shows what it is there to show.

use leasehold_testkit::redis::Reply;
use serde::Serialize;

use super::{Doing, Span};
use crate::simulate::ladder::{resource::Resource, rungs::Rung};

/// What a case is there to show.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Expectation {
    /// The lock is never free again.
    LockedForEver,
    /// Two work at once, and an update is lost.
    TwoHolders,
    /// Somebody frees a lock that is another's, and two work at once.
    ForeignRelease,
    /// Nothing goes wrong.
    Kept,
    /// The loss is told before the deadline, nobody else is in before, and the late write is refused.
    Told,
    /// The same, but the lock system itself has forgotten the grant: another may be in before the holder is told.
    Forgotten,
}

/// What was counted.
#[derive(Clone, Default, Debug, Serialize)]
pub(crate) struct Counts {
    /// How many believed at the same time that the lock was theirs, at most.
    pub(crate) holders_at_once: usize,
    /// For how long two or more did.
    pub(crate) together_ms: f64,
    /// Attempts to lock that were refused: the lock does exclude.
    pub(crate) refused_attempts: u64,
    /// Nobody got the lock while it was watched, and the server says that it never ends.
    pub(crate) locked_for_ever: bool,
    /// What `TTL` says: -1 is never.
    pub(crate) ttl_on_server: Option<i64>,
    /// For how long the lock was watched.
    pub(crate) watched_ms: u64,
    /// Locks of others that were deleted.
    pub(crate) foreign_releases: u64,
    /// Renewals that were confirmed, where they are counted.
    pub(crate) renewals: u64,
    /// Renewals that failed.
    pub(crate) renewals_failed: u64,
    /// Writes taken, of somebody after whom another had begun.
    pub(crate) late_writes_accepted: u64,
    /// Writes refused, likewise.
    pub(crate) late_writes_refused: u64,
    /// Updates that were taken and are gone.
    pub(crate) lost_updates: u64,
    /// How long before its deadline the holder was told of the loss; negative after it, nothing when never.
    pub(crate) told_ms_before_deadline: Option<f64>,
}

/// A question to a server, and its answer.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Observation {
    command: String,
    reply: String,
}

/// What a case came to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) rung: u8,
    pub(crate) client: &'static str,
    pub(crate) failure: &'static str,
    pub(crate) expected: Expectation,
    /// Whether that is what happened.
    pub(crate) proves: bool,
    /// What happened, in words.
    pub(crate) happened: String,
    /// Whether the holder was told, in words.
    pub(crate) told: String,
    #[serde(flatten)]
    pub(crate) counts: Counts,
    /// What the servers were asked.
    pub(crate) observed: Vec<Observation>,
    pub(crate) elapsed_ms: u64,
    #[serde(skip)]
    pub(crate) elapsed_ns: u64,
    #[serde(skip)]
    pub(crate) spans: Vec<Span>,
}

impl Outcome {
    pub(crate) fn new(rung: &Rung, failure: &'static str, expected: Expectation) -> Outcome {
        Outcome {
            rung: rung.number,
            client: rung.name,
            failure,
            expected,
            proves: false,
            happened: String::new(),
            told: String::new(),
            counts: Counts::default(),
            observed: Vec::new(),
            elapsed_ms: 0,
            elapsed_ns: 0,
            spans: Vec::new(),
        }
    }

    /// Whether a naive client is to fail here.
    pub(crate) fn is_naive(&self) -> bool {
        use Expectation::{ForeignRelease, LockedForEver, TwoHolders};
        matches!(self.expected, LockedForEver | TwoHolders | ForeignRelease)
    }

    pub(crate) fn observe(&mut self, command: &[&str], reply: &Reply) {
        let reply = match reply {
            Reply::Nil => "nil".into(),
            Reply::Int(number) => number.to_string(),
            Reply::Text(text) | Reply::Error(text) => text.clone(),
            Reply::Array(items) => format!("{} elements", items.len()),
        };
        self.observed.push(Observation { command: command.join(" "), reply });
    }

    pub(crate) fn finish(mut self, spans: Vec<Span>, resource: &Resource, elapsed_ns: u64) -> Outcome {
        let (most, together) = crowded(&spans);
        let together_ns: u64 = together.iter().map(|(from, until)| until - from).sum();
        self.counts.holders_at_once = most;
        self.counts.together_ms = (together_ns as f64 / 1e5).round() / 10.0;
        self.counts.late_writes_accepted = resource.late_accepted;
        self.counts.late_writes_refused = resource.late_refused;
        self.counts.lost_updates = resource.lost_updates();
        self.proves = self.counts.show(self.expected);
        self.happened = self.counts.words();
        self.told = self.counts.told_words(self.expected);
        (self.elapsed_ns, self.elapsed_ms, self.spans) = (elapsed_ns, elapsed_ns / 1_000_000, spans);
        self
    }
}

impl Counts {
    /// Whether the numbers show that. Each wants that the lock excluded somebody before, else it was none.
    pub(crate) fn show(&self, expected: Expectation) -> bool {
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
        let mut words = Vec::new();
        if self.locked_for_ever {
            let (ms, refused) = (self.watched_ms, self.refused_attempts);
            return format!("locked for ever: TTL -1, {refused} attempts refused in {ms} ms");
        }
        if self.foreign_releases > 0 {
            words.push("freed another's lock".to_owned());
        }
        words.push(match self.holders_at_once {
            0 | 1 => "never 2 holders at once".to_owned(),
            most => format!("{most} holders at once for {:.0} ms", self.together_ms),
        });
        if self.late_writes_accepted > 0 {
            words.push("late write accepted".to_owned());
        }
        if self.late_writes_refused > 0 {
            words.push("late write refused".to_owned());
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

/// How many held at once at most, and the stretches in which two or more did.
pub(crate) fn crowded(spans: &[Span]) -> (usize, Vec<(u64, u64)>) {
    let mut turns: Vec<(u64, bool)> = Vec::with_capacity(spans.len() * 2);
    for span in spans.iter().filter(|span| span.doing == Doing::Holds) {
        turns.extend([(span.from_ns, true), (span.until_ns, false)]);
    }
    // Who leaves at the same moment leaves first.
    turns.sort_unstable();
    let (mut inside, mut most, mut since, mut together) = (0_usize, 0, 0, Vec::new());
    for (at_ns, enters) in turns {
        inside = if enters { inside + 1 } else { inside.saturating_sub(1) };
        match (enters, inside) {
            (true, 2) => since = at_ns,
            (false, 1) => together.push((since, at_ns)),
            _ => {}
        }
        most = most.max(inside);
    }
    (most, together)
}

#[cfg(test)]
mod tests;
