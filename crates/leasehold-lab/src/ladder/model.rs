//! Types that the clients, the counting and the drawing of the ladder share.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::{harness::Harness, result::ExperimentResult};

/// The time limit of every wait, for a busy machine.
pub(super) const SOON: Duration = Duration::from_secs(10);
/// The least time for which two clients hold at once.
pub(super) const TOGETHER: Duration = Duration::from_millis(200);

/// One way to lock in Redis.
pub(super) struct Rung {
    pub(super) number: u8,
    pub(super) name: &'static str,
    /// Injects its failures, one after the other.
    pub(super) play: fn(&Harness, &Rung) -> Result<Vec<ExperimentResult>>,
}

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

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Expectation {
    /// The lock is never free again.
    LockedForEver,
    /// Two hold at once, and an update is lost.
    TwoHolders,
    /// A client deletes the lock of another, and two hold at once.
    ForeignRelease,
    /// No failure.
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

/// The greatest number of holders at once, and the stretches with two or more.
pub(super) fn overlaps(spans: &[Span]) -> (usize, Vec<(u64, u64)>) {
    let holds = spans.iter().filter(|span| span.activity == Activity::Holds);
    crate::overlaps::overlaps(holds.map(|span| (span.from_ns, span.until_ns)))
}
