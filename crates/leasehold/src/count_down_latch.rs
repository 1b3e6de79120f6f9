//! [`CountDownLatch`]: waits until so many have arrived.

use std::time::Duration;

use leasehold_core::{
    Contender, Error, ErrorKind, LockName, LockOptions, Mode, Result, Snapshot, Stance, Wait,
};

use crate::client::LockSpec;

/// A latch that opens after `count` arrivals: a cheap description, `Clone`, no I/O.
///
/// An arrival is remembered for 24 hours unless [`remember_for`](CountDownLatch::remember_for) says otherwise, by the
/// store alone: whoever arrived may end. When the first arrivals are forgotten, the latch is shut again, so let
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
    description: LockSpec,
    count: u32,
}

impl CountDownLatch {
    /// For how long an arrival is remembered, where the store can.
    pub const REMEMBER_FOR: Duration = Duration::from_secs(24 * 3600);

    pub(crate) fn new(description: LockSpec, count: u32) -> Result<Self> {
        let longest = description.client.engine().store().capability().ttl_max;
        CountDownLatch { description, count }.remember_for(Self::REMEMBER_FOR.min(longest))
    }

    /// The same latch with another time for which an arrival is remembered.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a time that the store cannot keep.
    pub fn remember_for(self, time: Duration) -> Result<Self> {
        let lasting = |mut terms: LockOptions| {
            terms.hold_max = None;
            terms.ttl(time).without_renewal().outlives_client()
        };
        Ok(CountDownLatch { description: self.description.with_terms(lasting)?, ..self })
    }

    /// The name.
    pub fn name(&self) -> &LockName {
        &self.description.name
    }

    /// How many arrivals open it.
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
        match self.description.acquire(self.description.mode, Wait::No).await? {
            Some(hold) => hold.into_ticket().map(|_| ()),
            None => Ok(()),
        }
    }

    /// How many have yet to arrive.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] when others state another count; those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn remaining(&self) -> Result<u32> {
        self.missing(&self.description.inspect().await?)
    }

    /// Waits until all have arrived. Woken by the store, where it wakes.
    ///
    /// # Errors
    /// As [`CountDownLatch::remaining`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn wait(&self) -> Result<()> {
        let look = |snapshot: &Snapshot| match self.missing(snapshot) {
            Ok(0) => Some(Ok(())),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        };
        self.description.follow().until(look).await?
    }

    /// Waits until all have arrived for at most `wait`; answers whether they have.
    ///
    /// # Errors
    /// As [`CountDownLatch::remaining`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn wait_for(&self, wait: Duration) -> Result<bool> {
        let env = self.description.client.engine().env();
        env.until(env.now() + wait, self.wait()).await.transpose().map(|arrived| arrived.is_some())
    }

    /// Forgets all arrivals: the latch is shut.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Dropping it leaves it done or not done.
    pub async fn reset(&self) -> Result<Vec<Contender>> {
        self.description.client.engine().force_release(self.name()).await
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
            .store(self.description.client.engine().store().url())
            .hint("let all users of the name agree, or use another name")
    }
}
