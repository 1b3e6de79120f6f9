//! Decorators: each is a [`Store`](crate::Store) around a store.
//!
//! They forward every method by hand, so that one that is forgotten does not compile.

mod chaos;
mod meter;
mod prefix;
mod trace;

pub use chaos::{Chaos, Fault};
pub use meter::Meter;
pub use prefix::Prefix;
pub use trace::Trace;

/// A verb of the store trait.
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
    /// As labels and logs have it.
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
