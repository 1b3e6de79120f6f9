//! [`CountDownLatch`]: opens after a number of arrivals.

use std::time::Duration;

use leasehold_core::{Binding, Contender, Error, ErrorKind, LockName, Mode, Result, Snapshot, Stance, Wait};

use super::{LockSpec, blocking};

/// A latch that opens after `count` arrivals: a cheap description, `Clone`, no I/O.
///
/// An arrival is remembered for 24 hours unless [`remember_for`](CountDownLatch::remember_for) says otherwise, by the
/// store alone: the process that arrived may end. When the first arrivals are forgotten, the latch is shut again, so let
/// them be remembered for longer than the slowest waiter needs. All users of the name must state the same count, and
/// a semaphore of the same name and number is the same lock.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> leasehold::Result<()> {
/// let locks = leasehold::Client::connect("memory:").await?;
/// let ready = locks.count_down_latch("deploy/17", 2)?;
/// ready.count_down().await?;
/// assert_eq!(ready.remaining().await?, 1);
/// ready.count_down().await?;
/// ready.wait().await?;
/// ready.reset().await?;
/// assert_eq!(ready.remaining().await?, 2);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct CountDownLatch {
    spec: LockSpec,
    count: u32,
}

impl CountDownLatch {
    /// For how long an arrival is remembered, where the store can.
    pub const REMEMBER_FOR: Duration = Duration::from_secs(24 * 3600);

    pub(crate) fn new(spec: LockSpec, count: u32) -> Result<Self> {
        let longest = spec.engine.store().capability().ttl_max;
        CountDownLatch { spec, count }.remember_for(Self::REMEMBER_FOR.min(longest)).build()
    }

    /// Sets for how long an arrival is remembered.
    #[must_use]
    pub fn remember_for(mut self, time: Duration) -> Self {
        self.spec.change(|options| {
            options.ttl = time;
            options.renew = false;
            options.max_hold = None;
            options.binding = Binding::Ttl;
        });
        self
    }

    /// Checks the options now instead of at the first use.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a time that the store cannot keep.
    pub fn build(self) -> Result<Self> {
        self.spec.check().map(|()| self)
    }

    /// The name.
    pub fn name(&self) -> &LockName {
        &self.spec.name
    }

    /// The number of arrivals that open it.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Arrives: one round trip. On an open latch it does nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`], naming both counts, when others state another; those of the store. An arrival that
    /// failed is taken back, so repeating it never counts twice.
    ///
    /// # Cancel safety
    /// Dropping the future takes the arrival back; waiters may have seen it.
    pub async fn count_down(&self) -> Result<()> {
        match self.spec.acquire(self.spec.mode, Wait::No).await? {
            Some(hold) => hold.into_ticket().map(|_| ()),
            None => Ok(()),
        }
    }

    /// The number of arrivals still missing.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] when others state another count; those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn remaining(&self) -> Result<u32> {
        self.missing(&self.spec.inspect().await?)
    }

    /// Waits until all have arrived. Nothing is polled where the store has wake-ups.
    ///
    /// # Errors
    /// As [`CountDownLatch::remaining`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn wait(&self) -> Result<()> {
        self.spec.watcher().until(|snapshot| self.is_open(snapshot)).await?
    }

    /// Waits until all have arrived for at most `wait`; answers whether they have.
    ///
    /// # Errors
    /// As [`CountDownLatch::remaining`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn wait_for(&self, wait: Duration) -> Result<bool> {
        self.spec
            .watcher()
            .until_for(wait, |snapshot| self.is_open(snapshot))
            .await?
            .map_or(Ok(false), |open| open.map(|()| true))
    }

    /// Holders and waiters, as the store knew them a moment ago: the arrivals.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn inspect(&self) -> Result<Snapshot> {
        self.spec.inspect().await
    }

    /// Forgets all arrivals: the latch is shut.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Dropping it leaves it done or not done.
    pub async fn reset(&self) -> Result<Vec<Contender>> {
        self.spec.force_release().await
    }

    fn is_open(&self, snapshot: &Snapshot) -> Option<Result<()>> {
        match self.missing(snapshot) {
            Ok(0) => Some(Ok(())),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    }

    fn missing(&self, snapshot: &Snapshot) -> Result<u32> {
        let mut arrived = 0u32;
        for holder in snapshot.holders.iter().filter(|holder| holder.stance == Stance::Holding) {
            match holder.mode {
                Some(Mode::Permits { take, of }) if of == self.count => {
                    arrived = arrived.saturating_add(take)
                }
                Some(Mode::Permits { of, .. }) => return Err(self.mismatch(&format!("one of {of}"))),
                _ => return Err(self.mismatch("a lock, not a latch")),
            }
        }
        Ok(self.count.saturating_sub(arrived))
    }

    fn mismatch(&self, other: &str) -> Error {
        let message = format!("asked for as a latch of {}, but in use as {other}", self.count);
        Error::new(ErrorKind::Mismatch, message)
            .lock(self.name())
            .store(self.spec.engine.store().url())
            .hint("let all users of the name agree, or use another name")
    }
}

blocking!(CountDownLatch, self: [&self] {
    blocking_count_down = count_down() -> ();
    blocking_remaining = remaining() -> u32;
    blocking_wait = wait() -> ();
    blocking_wait_for = wait_for(wait: Duration) -> bool;
    blocking_inspect = inspect() -> Snapshot;
    blocking_reset = reset() -> Vec<Contender>;
});
