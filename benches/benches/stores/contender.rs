//! [`Contender`]: whoever locks, and what it has reached.

use std::time::Duration;

use leasehold_benches::Samples;

/// A library on a server. What it cannot do is `None`, or no hand-over at all.
pub(crate) trait Contender {
    /// Its name and version.
    fn label(&self) -> String;

    /// Begins the names of its locks, which are its own: no contender stands in the way of another one.
    fn word(&self) -> &'static str;

    /// How long so many pairs of lock and unlock take, each by so many tasks with a lock of their own.
    fn pairs(&mut self, name: &str, times: usize, tasks: usize) -> Option<Duration>;

    /// From the moment at which one client begins to release to the moment at which another one, which waits, holds.
    fn hand_overs(&mut self, name: &str, times: usize) -> Vec<Duration>;
}

/// Pairs a second round by round, and all hand-overs.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) alone: Vec<Option<f64>>,
    pub(crate) many: Vec<Option<f64>>,
    pub(crate) waits: Waits,
}

/// Hand-overs of all rounds.
#[derive(Default)]
pub(crate) struct Waits(Samples);

impl Waits {
    pub(crate) fn extend(&mut self, waits: Vec<Duration>) {
        waits.into_iter().for_each(|wait| self.0.push(wait));
    }

    /// The value that `share` of them do not exceed; `None` of none.
    pub(crate) fn quantile(&self, share: f64) -> Option<Duration> {
        (self.0.count() > 0).then(|| self.0.quantile(share))
    }
}

/// How long the holder waits before hand-over number `turn`: long enough for the other to have settled (etcd looks ten times a
/// second after watches that begin in the past, as Go's do), and no multiple of the interval of who polls. The peers do
/// the same.
pub(crate) fn pause(turn: usize) -> Duration {
    Duration::from_millis((120 + 37 * turn % 100) as u64)
}
