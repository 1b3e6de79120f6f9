//! Who competes for the lock: Leasehold, and the clients that people write.

mod naive;
mod ours;
mod redlock;
mod work;

use std::{fmt, str::FromStr};

use crate::{dice::Dice, stage::Stage, world::Process};
pub(crate) use work::RESOURCE;

/// A way to lock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Contestant {
    /// `SET NX PX`, and a bare `DEL`.
    BareDelete,
    /// `SET NX PX` with a value of one's own, and a release that compares it.
    OwnerChecked,
    /// The same, prolonged in the background for as long as it works.
    Watchdog,
    /// Redlock as it is written down, on all servers.
    Redlock,
    /// Leasehold; work runs under the lease, which is looked at before every step.
    Leasehold,
    /// Leasehold; the work looks at the lease itself before it writes.
    LeaseholdGuard,
}

impl Contestant {
    /// All of them.
    pub const ALL: [Contestant; 6] = [
        Contestant::BareDelete,
        Contestant::OwnerChecked,
        Contestant::Watchdog,
        Contestant::Redlock,
        Contestant::Leasehold,
        Contestant::LeaseholdGuard,
    ];

    const fn word(self) -> &'static str {
        match self {
            Contestant::BareDelete => "bare-delete",
            Contestant::OwnerChecked => "owner-checked",
            Contestant::Watchdog => "watchdog",
            Contestant::Redlock => "redlock",
            Contestant::Leasehold => "leasehold",
            Contestant::LeaseholdGuard => "leasehold-guard",
        }
    }

    /// Whether it is ours.
    pub const fn is_ours(self) -> bool {
        matches!(self, Contestant::Leasehold | Contestant::LeaseholdGuard)
    }
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Contestant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Contestant::ALL.into_iter().find(|contestant| contestant.word() == text);
        found.ok_or_else(|| format!("there is no contestant `{text}`"))
    }
}

/// One client, in its process.
pub(crate) struct Client {
    pub(crate) stage: Stage,
    pub(crate) process: Process,
    /// From 1.
    pub(crate) number: u32,
    /// How it is called in the history: one that was started again is another.
    pub(crate) name: u32,
    /// What it does by chance.
    pub(crate) dice: Dice,
}

/// Runs a client to the end of its work.
pub(crate) async fn run(client: Client) {
    let (stage, number) = (client.stage.clone(), client.number);
    match stage.cast.contestant {
        Contestant::Leasehold => ours::run(client, ours::Style::Run).await,
        Contestant::LeaseholdGuard => ours::run(client, ours::Style::Guard).await,
        Contestant::Redlock => redlock::run(client).await,
        Contestant::BareDelete => naive::run(client, naive::Release::Bare, false).await,
        Contestant::OwnerChecked => naive::run(client, naive::Release::Compared, false).await,
        Contestant::Watchdog => naive::run(client, naive::Release::Compared, true).await,
    }
    stage.is_done(number);
}
