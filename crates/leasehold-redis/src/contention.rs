//! [`Contention`]: where this client has met others a moment ago.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use leasehold_core::{Env, Moment};

/// The number of marks; locks whose slots agree share one.
const MARKS: usize = 1024;
/// The time for which others are expected again.
const MEMORY: Duration = Duration::from_secs(1);

/// Marks on locks that others want or hold: there the short scripts would be asked in vain. A wrong mark costs the server
/// some microseconds, and one that is missing a round trip.
#[derive(Debug)]
pub(crate) struct Contention(Box<[AtomicU64]>);

impl Contention {
    /// Whether nobody else is expected on the locks of this slot.
    pub(crate) fn is_quiet(&self, slot: u16, env: &Env) -> bool {
        let until = self.mark(slot).load(Ordering::Relaxed);
        until == 0 || env.now().nanos() >= until
    }

    /// Others were there.
    pub(crate) fn note(&self, slot: u16, now: Moment) {
        self.mark(slot).fetch_max((now + MEMORY).nanos(), Ordering::Relaxed);
    }

    fn mark(&self, slot: u16) -> &AtomicU64 {
        &self.0[usize::from(slot) % MARKS]
    }
}

impl Default for Contention {
    fn default() -> Contention {
        Contention((0..MARKS).map(|_| AtomicU64::new(0)).collect())
    }
}
