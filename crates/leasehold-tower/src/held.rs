//! [`Held`]: the lock of a request.

use leasehold::{Lease, MutexGuard, ReadGuard};

/// The lock of a request.
pub(crate) enum Held {
    Alone(MutexGuard),
    Together(ReadGuard),
}

impl Held {
    pub(crate) fn lease(&self) -> &Lease {
        match self {
            Held::Alone(guard) => guard.lease(),
            Held::Together(guard) => guard.lease(),
        }
    }

    /// Releases the lock after work that is done, and was done under the lease.
    pub(crate) async fn release(self) {
        let released = match self {
            Held::Alone(guard) => guard.release().await,
            Held::Together(guard) => guard.release().await,
        };
        if let Err(error) = released {
            tracing::warn!(%error, "the release is repeated in the background");
        }
    }
}
