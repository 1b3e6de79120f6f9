//! [`Wait`] and [`Observer`]: how long to wait for a lock, and a notice of its holder meanwhile.

use std::{sync::Arc, time::Duration};

use crate::Busy;

/// How long to wait for a taken lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Not at all.
    No,
    /// At most this long.
    For(Duration),
    /// Until it is granted.
    Forever,
}

/// Called each time the store answers that the lock is taken, with its holder and for how long.
pub type Observer = Arc<dyn Fn(&Busy) + Send + Sync>;
