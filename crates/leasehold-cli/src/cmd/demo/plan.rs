//! [`Plan`]: the numbers of a run, and [`Lane`]: who keeps the workers apart.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

/// Who keeps the workers apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Lane {
    /// Nobody.
    NoLock,
    /// Set if absent, with an expiry; deleted by whoever is done.
    NaiveLock,
    /// A mutex of ours and a shop that checks fencing tokens.
    Leasehold,
}

impl Lane {
    /// In the order in which they are run.
    pub(crate) const ALL: [Lane; 3] = [Lane::NoLock, Lane::NaiveLock, Lane::Leasehold];

    /// Its name for people.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Lane::NoLock => "no lock",
            Lane::NaiveLock => "naive lock",
            Lane::Leasehold => "leasehold",
        }
    }

    /// What it does.
    pub(crate) const fn method(self) -> &'static str {
        match self {
            Lane::NoLock => "nothing keeps the workers apart",
            Lane::NaiveLock => "SET NX EX, then DEL, whoever holds it by then",
            Lane::Leasehold => "mutex, and a shop that checks fencing tokens",
        }
    }

    /// Its file name.
    pub(crate) const fn slug(self) -> &'static str {
        match self {
            Lane::NoLock => "no-lock",
            Lane::NaiveLock => "naive-lock",
            Lane::Leasehold => "leasehold",
        }
    }
}

/// How many sell what, and how they are disturbed.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Items on the shelf.
    pub(crate) stock: u32,
    /// Processes that sell.
    pub(crate) workers: u32,
    /// Seed of the payment times.
    pub(crate) seed: u64,
    /// How long a lock lives without news of its holder.
    pub(crate) ttl: Duration,
}

/// All sales of a lane take this long one after the other, so that a large stock is not a long demonstration.
const SELLING: Duration = Duration::from_millis(2100);
/// The slowest payment on average.
const PAYMENT_MAX: Duration = Duration::from_millis(70);

impl Plan {
    /// How long the payment service takes on average.
    pub(crate) fn payment(&self) -> Duration {
        (SELLING / self.stock).min(PAYMENT_MAX)
    }

    /// The worker that reads this stock first is stopped before it writes.
    pub(crate) fn pause_at(&self) -> i64 {
        i64::from(self.stock - self.stock / 4)
    }

    /// It goes on when the others have sold this many …
    pub(crate) fn sales_in_pause(&self) -> u32 {
        (self.stock / 8).max(2)
    }

    /// … and not before this, which is the same in all lanes.
    pub(crate) fn pause_min(&self) -> Duration {
        self.ttl.mul_f64(1.3)
    }

    /// What one worker has to know.
    pub(crate) fn assignment(&self, lane: Lane, worker: u32, shop: PathBuf, locks: PathBuf) -> Assignment {
        let payment_us = u64::try_from(self.payment().as_micros()).unwrap_or(u64::MAX);
        let ttl_ms = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        Assignment {
            lane,
            worker,
            shop,
            locks,
            seed: self.seed,
            pause_at: self.pause_at(),
            payment_us,
            ttl_ms,
        }
    }
}

/// What one worker has to know: the value of its hidden argument.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Assignment {
    /// Who keeps the workers apart.
    pub(crate) lane: Lane,
    /// Its number, from 1.
    pub(crate) worker: u32,
    /// The database of the shop.
    pub(crate) shop: PathBuf,
    /// The database of the locks.
    pub(crate) locks: PathBuf,
    /// Seed of the payment times.
    pub(crate) seed: u64,
    /// At this stock it asks for the word before it writes.
    pub(crate) pause_at: i64,
    /// Microseconds that the payment service takes on average.
    pub(crate) payment_us: u64,
    /// How long a lock lives without news of its holder, in milliseconds.
    pub(crate) ttl_ms: u64,
}

impl std::str::FromStr for Assignment {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
    }
}
