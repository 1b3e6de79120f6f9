//! [`Config`]: the numbers of a demo; [`Strategy`]: the kind of mutual exclusion in one round.

use std::{path::PathBuf, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// The kind of mutual exclusion between the workers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Strategy {
    NoLock,
    /// Set if absent, with an expiry; deleted without an owner check.
    NaiveLock,
    /// A Leasehold mutex, and a shop that checks fencing tokens.
    Leasehold,
}

impl Strategy {
    /// All strategies, in the order of the rounds.
    pub(super) const ALL: [Strategy; 3] = [Strategy::NoLock, Strategy::NaiveLock, Strategy::Leasehold];

    /// Name and description.
    pub(super) const fn titles(self) -> (&'static str, &'static str) {
        match self {
            Strategy::NoLock => ("no lock", "nothing excludes the workers from each other"),
            Strategy::NaiveLock => ("naive lock", "SET NX EX, then DEL without an owner check"),
            Strategy::Leasehold => ("leasehold", "a mutex, and a shop that checks fencing tokens"),
        }
    }
}

/// The numbers of a demo.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Config {
    pub(super) stock: u32,
    pub(super) workers: u32,
    pub(super) seed: u64,
    pub(super) ttl_ms: u64,
}

/// Duration of all sales of a round one after the other, so that a large stock does not take longer.
const SELLING: Duration = Duration::from_millis(2100);
/// Longest average payment.
const PAYMENT_MAX: Duration = Duration::from_millis(70);

impl Config {
    pub(super) fn payment(&self) -> Duration {
        (SELLING / self.stock).min(PAYMENT_MAX)
    }

    pub(super) fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl_ms)
    }

    /// The stock from which on one worker is stopped before it writes.
    pub(super) fn pause_at(&self) -> i64 {
        i64::from(self.stock - self.stock / 4)
    }

    /// Sales of the other workers after which the stopped worker continues.
    pub(super) fn sales_in_pause(&self) -> u32 {
        (self.stock / 8).max(2)
    }
}

/// The arguments of one worker process, passed as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct WorkerArgs {
    pub(super) strategy: Strategy,
    /// Number of the worker, from 1.
    pub(super) worker: u32,
    pub(super) shop: PathBuf,
    pub(super) locks: PathBuf,
    pub(super) config: Config,
}

impl FromStr for WorkerArgs {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
    }
}
