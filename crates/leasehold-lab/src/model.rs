//! Names, time limits and [`Strategy`]: the vocabulary of simulated clients, servers and scenarios.

use std::{fmt, str::FromStr, time::Duration};

pub(crate) const LOCK: &str = "account";
pub(crate) const RESOURCE: &str = "account";
/// The time limit for one answer of a server.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_millis(250);
/// The time for which a client retries a store that fails.
pub(crate) const RETRY_TIMEOUT: Duration = Duration::from_secs(1);

/// A way to lock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
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
    /// All strategies.
    pub const ALL: [Strategy; 6] = [
        Strategy::BareDelete,
        Strategy::OwnerChecked,
        Strategy::Watchdog,
        Strategy::Redlock,
        Strategy::Leasehold,
        Strategy::LeaseholdGuard,
    ];

    /// Whether it is Leasehold.
    pub const fn is_leasehold(self) -> bool {
        matches!(self, Strategy::Leasehold | Strategy::LeaseholdGuard)
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Strategy::BareDelete => "bare-delete",
            Strategy::OwnerChecked => "owner-checked",
            Strategy::Watchdog => "watchdog",
            Strategy::Redlock => "redlock",
            Strategy::Leasehold => "leasehold",
            Strategy::LeaseholdGuard => "leasehold-guard",
        })
    }
}

impl FromStr for Strategy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Strategy::ALL.into_iter().find(|strategy| strategy.to_string() == text);
        found.ok_or_else(|| format!("there is no contestant `{text}`"))
    }
}
