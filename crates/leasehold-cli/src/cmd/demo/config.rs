//! [`Config`]: the numbers of a demo; [`Strategy`]: the kind of mutual exclusion in one round.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::duration::millis;

/// The kind of mutual exclusion between the workers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Strategy {
    /// None.
    NoLock,
    /// Set if absent, with an expiry; deleted without an owner check.
    NaiveLock,
    /// A Leasehold mutex, and a shop that checks fencing tokens.
    Leasehold,
}

impl Strategy {
    /// All strategies, in the order of the rounds.
    pub(super) const ALL: [Strategy; 3] = [Strategy::NoLock, Strategy::NaiveLock, Strategy::Leasehold];

    /// The name in text.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Strategy::NoLock => "no lock",
            Strategy::NaiveLock => "naive lock",
            Strategy::Leasehold => "leasehold",
        }
    }

    /// A description of the strategy.
    pub(super) const fn method(self) -> &'static str {
        match self {
            Strategy::NoLock => "nothing excludes the workers from each other",
            Strategy::NaiveLock => "SET NX EX, then DEL without an owner check",
            Strategy::Leasehold => "a mutex, and a shop that checks fencing tokens",
        }
    }
}

/// The numbers of a demo.
#[derive(Clone, Debug)]
pub(super) struct Config {
    /// Items at the start of each round.
    pub(super) stock: u32,
    /// Worker processes in each round.
    pub(super) workers: u32,
    /// Seed of the payment times.
    pub(super) seed: u64,
    /// Time to live of the locks.
    pub(super) ttl: Duration,
}

/// Duration of all sales of a round one after the other, so that a large stock does not take longer.
const SELLING: Duration = Duration::from_millis(2100);
/// Longest average payment.
const PAYMENT_MAX: Duration = Duration::from_millis(70);

impl Config {
    /// The stock at which a worker is stopped before it writes.
    pub(super) fn pause_at(&self) -> i64 {
        i64::from(self.stock - self.stock / 4)
    }

    /// Sales of the other workers after which the stopped worker continues.
    pub(super) fn sales_in_pause(&self) -> u32 {
        (self.stock / 8).max(2)
    }

    /// Shortest pause, the same in all rounds.
    pub(super) fn pause_min(&self) -> Duration {
        self.ttl.mul_f64(1.3)
    }

    /// The arguments of one worker process.
    pub(super) fn worker_args(&self, strategy: Strategy, worker: u32, directory: &Path) -> WorkerArgs {
        WorkerArgs {
            strategy,
            worker,
            directory: directory.to_owned(),
            seed: self.seed,
            pause_at: self.pause_at(),
            payment: (SELLING / self.stock).min(PAYMENT_MAX),
            ttl_ms: millis(self.ttl),
        }
    }
}

/// The arguments of one worker process, passed as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct WorkerArgs {
    pub(super) strategy: Strategy,
    /// Number of the worker, from 1.
    pub(super) worker: u32,
    /// Directory of the databases.
    pub(super) directory: PathBuf,
    /// Seed of the payment times.
    pub(super) seed: u64,
    /// At this stock the worker asks before it writes.
    pub(super) pause_at: i64,
    /// Average duration of a payment.
    pub(super) payment: Duration,
    /// Time to live of the locks.
    pub(super) ttl_ms: u64,
}

impl WorkerArgs {
    /// The database of the shop.
    pub(super) fn shop(&self) -> PathBuf {
        shop_path(&self.directory, self.strategy)
    }

    /// The database of the Leasehold locks.
    pub(super) fn locks(&self) -> PathBuf {
        self.directory.join("locks.db")
    }
}

impl std::str::FromStr for WorkerArgs {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
    }
}

/// The database of the shop in one round.
pub(super) fn shop_path(directory: &Path, strategy: Strategy) -> PathBuf {
    directory.join(format!("{}.db", strategy.title().replace(' ', "-")))
}
