//! Names, time limits and [`Strategy`]: the vocabulary of simulated clients, servers and scenarios.

use std::{fmt, time::Duration};

use clap::ValueEnum;

pub(crate) const LOCK: &str = "account";
pub(crate) const RESOURCE: &str = "account";
/// The time limit for one answer of a server.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_millis(250);
/// The time for which a client retries a store that fails.
pub(crate) const RETRY_TIMEOUT: Duration = Duration::from_secs(1);

/// A way to lock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, ValueEnum)]
pub enum Strategy {
    /// `SET NX PX`, and a bare `DEL`.
    BareDelete,
    /// `SET NX PX` with a unique value, and a release that compares it.
    OwnerChecked,
    /// The same with a background renewal every third of the time to live.
    Watchdog,
    /// Redlock as published, on all servers.
    Redlock,
    /// Leasehold; the work runs under `lease.run`, which checks the lease before every poll.
    Leasehold,
    /// Leasehold; the work checks the lease itself before it writes.
    LeaseholdGuard,
}

impl Strategy {
    /// Whether it is Leasehold.
    pub const fn is_leasehold(self) -> bool {
        matches!(self, Strategy::Leasehold | Strategy::LeaseholdGuard)
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&name_of(self))
    }
}

/// The name of a value on the command line.
pub(crate) fn name_of(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string())
}
