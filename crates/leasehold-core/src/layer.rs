//! Decorators: each is a [`Store`](crate::Store) around a store.
//!
//! A layer that observes or disturbs calls has one method, `around`, through which a macro sends every verb; the
//! layer writes `renew_around` for a batch.

#[macro_use]
mod forward;

mod chaos;
mod meter;
mod prefix;
mod trace;

pub use chaos::{Chaos, Fault};
pub use meter::Meter;
pub use prefix::Prefix;
pub use trace::Trace;

/// A verb of the [`Store`](crate::Store) trait.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verb {
    /// [`Store::claim`](crate::Store::claim).
    Claim,
    /// [`Store::renew`](crate::Store::renew).
    Renew,
    /// [`Store::release`](crate::Store::release).
    Release,
    /// [`Store::watch`](crate::Store::watch).
    Watch,
    /// [`Store::inspect`](crate::Store::inspect).
    Inspect,
    /// [`Store::list`](crate::Store::list).
    List,
    /// [`Store::force_release`](crate::Store::force_release).
    ForceRelease,
}

impl Verb {
    /// The name in labels and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Verb::Claim => "claim",
            Verb::Renew => "renew",
            Verb::Release => "release",
            Verb::Watch => "watch",
            Verb::Inspect => "inspect",
            Verb::List => "list",
            Verb::ForceRelease => "force_release",
        }
    }
}
