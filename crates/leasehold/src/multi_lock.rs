//! [`MultiLock`]: several locks at once, all or none.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use leasehold_core::{
    Error, ErrorKind, FencingToken, Hold, Lease, LockName, LockOptions, Lost, Mode, Release, Result, Wait,
};

use crate::{Client, client::LockSpec, reentrant_mutex::shorter};

/// Several locks that are held together or not at all: a cheap description, `Clone`, no I/O.
///
/// The names are sorted and taken one after the other in that order, so two users that name them in any order never
/// wait for each other. Each is also a [`Mutex`](crate::Mutex) of its own: who holds one of them by itself and then
/// locks several, in another order, can still deadlock with somebody who does the same.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> leasehold::Result<()> {
/// let locks = leasehold::Client::connect("memory:").await?;
/// let transfer = locks.multi_lock(["account/9", "account/4"])?;
/// let guard = transfer.lock().await?;
/// assert!(locks.mutex("account/4")?.try_lock().await?.is_none());
/// guard.run(async { /* move the money */ }).await?;
/// guard.release().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct MultiLock {
    /// Sorted by name, each name once; at least one.
    descriptions: Vec<LockSpec>,
}

/// One try to take them all.
enum Try {
    All(Vec<Hold>),
    Busy,
    LostOneMeanwhile,
}

impl MultiLock {
    /// The most names of one multi-lock.
    pub const NAMES_MAX: usize = 256;

    pub(crate) fn new<N: AsRef<str>>(client: &Client, names: impl IntoIterator<Item = N>) -> Result<Self> {
        let mut descriptions = Vec::new();
        for name in names {
            if descriptions.len() == Self::NAMES_MAX {
                let message = format!("a multi-lock may have at most {} names", Self::NAMES_MAX);
                return Err(Error::new(ErrorKind::Invalid, message));
            }
            descriptions.push(client.describe(name, Mode::Exclusive)?);
        }
        if descriptions.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "a multi-lock needs at least one name"));
        }
        descriptions.sort_by(|one, other| one.name.cmp(&other.name));
        descriptions.dedup_by(|one, other| one.name == other.name);
        Ok(MultiLock { descriptions })
    }

    /// The same locks on other terms.
    ///
    /// # Errors
    /// As [`Mutex::with_terms`](crate::Mutex::with_terms).
    pub fn with_terms(self, change: impl FnOnce(LockOptions) -> LockOptions) -> Result<Self> {
        let Some(terms) = self.descriptions.first().map(|first| change(first.terms.clone())) else {
            return Ok(self);
        };
        let changed = self.descriptions.into_iter().map(|one| one.with_terms(|_| terms.clone()));
        Ok(MultiLock { descriptions: changed.collect::<Result<_>>()? })
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &LockName> {
        self.descriptions.iter().map(|one| &one.name)
    }

    /// Waits for all of them for as long as it takes.
    ///
    /// # Errors
    /// Those of the store, when it failed for longer than the terms' patience; what was taken is released.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing remains of a dropped future.
    pub async fn lock(&self) -> Result<MultiGuard> {
        loop {
            if let Some(guard) = self.acquire(Wait::Forever).await? {
                return Ok(guard);
            }
        }
    }

    /// Takes all of them if all are free.
    ///
    /// # Errors
    /// Those of the store; what was taken is released.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_lock(&self) -> Result<Option<MultiGuard>> {
        self.acquire(Wait::No).await
    }

    /// Waits for all of them for at most `wait` in all.
    ///
    /// # Errors
    /// Those of the store; what was taken is released.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_lock_for(&self, wait: Duration) -> Result<Option<MultiGuard>> {
        self.acquire(Wait::For(wait)).await
    }

    async fn acquire(&self, wait: Wait) -> Result<Option<MultiGuard>> {
        let Some(first) = self.descriptions.first() else { return Ok(None) };
        let env = first.client.engine().env().clone();
        let begin = env.now();
        loop {
            let wait = shorter(wait, begin, env.now());
            match self.take_all(wait).await? {
                Try::All(holds) => return Ok(Some(MultiGuard { holds })),
                Try::Busy => return Ok(None),
                // The wait for one took longer than another lived: all over again, if there is time.
                Try::LostOneMeanwhile if matches!(wait, Wait::No | Wait::For(Duration::ZERO)) => {
                    return Ok(None);
                }
                Try::LostOneMeanwhile => {}
            }
        }
    }

    async fn take_all(&self, wait: Wait) -> Result<Try> {
        let mut guard = MultiGuard { holds: Vec::with_capacity(self.descriptions.len()) };
        let Some(first) = self.descriptions.first() else { return Ok(Try::Busy) };
        let env = first.client.engine().env();
        let begin = env.now();
        for description in &self.descriptions {
            let next = description.acquire(Mode::Exclusive, shorter(wait, begin, env.now()));
            let next = tokio::select! {
                biased;
                _ = guard.lost() => Ok(Try::LostOneMeanwhile),
                next = next => match next {
                    Ok(Some(hold)) => {
                        guard.holds.push(hold);
                        continue;
                    }
                    Ok(None) => Ok(Try::Busy),
                    Err(error) => Err(error),
                },
            };
            // Whatever this release leaves undone is the watchdog's.
            let _ = guard.release().await;
            return next;
        }
        match guard.check() {
            Ok(()) => Ok(Try::All(guard.holds)),
            Err(_) => {
                let _ = guard.release().await;
                Ok(Try::LostOneMeanwhile)
            }
        }
    }
}

/// All locks of a held [`MultiLock`]. It is lost when any of them is lost. Dropping it releases them all.
#[must_use = "dropping the guard releases the locks"]
pub struct MultiGuard {
    /// In order of their names.
    holds: Vec<Hold>,
}

impl MultiGuard {
    /// The leases, in order of their names.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.holds.iter().map(Hold::lease)
    }

    /// The fencing token of each name.
    pub fn fencing_tokens(&self) -> impl Iterator<Item = (&LockName, Option<FencingToken>)> {
        self.leases().map(|lease| (lease.name(), lease.fencing_token()))
    }

    /// The lease of one of the names.
    pub fn lease(&self, name: &str) -> Option<&Lease> {
        self.leases().find(|lease| lease.name().as_str() == name)
    }

    /// How long all of them are valid from now, if nothing is heard of the store. No I/O.
    pub fn remaining(&self) -> Duration {
        self.leases().map(Lease::remaining).min().unwrap_or_default()
    }

    /// Whether all of them are valid at this instant. No I/O.
    ///
    /// # Errors
    /// [`Lost`], from the first loss on for ever.
    pub fn check(&self) -> Result<(), Lost> {
        self.leases().try_for_each(Lease::check)
    }

    /// Completes when any of them is lost.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn lost(&self) -> Lost {
        let mut all: Vec<Pin<Box<dyn Future<Output = Lost> + Send + '_>>> =
            self.leases().map(|lease| Box::pin(lease.lost()) as _).collect();
        poll_fn(|context| {
            let mut losses = all.iter_mut().map(|lost| lost.as_mut().poll(context));
            losses.find(Poll::is_ready).unwrap_or(Poll::Pending)
        })
        .await
    }

    /// Runs `work` while all of them are valid: checked before every poll, dropped when any is lost.
    ///
    /// # Errors
    /// As [`Lease::run`].
    ///
    /// # Cancel safety
    /// As cancel safe as `work`.
    pub async fn run<F: Future>(&self, work: F) -> Result<F::Output, Lost> {
        let (mut work, mut lost) = (pin!(work), pin!(self.lost()));
        poll_fn(|context| {
            if let Poll::Ready(lost) = lost.as_mut().poll(context) {
                return Poll::Ready(Err(lost));
            }
            work.as_mut().poll(context).map(|output| self.check().map(|()| output))
        })
        .await
    }

    /// Gives them all back. [`Release::NotHeld`] says that at least one was lost before.
    ///
    /// # Errors
    /// The first of the store; the others are released all the same, and the watchdog repeats what failed.
    ///
    /// # Cancel safety
    /// Dropping the future hands what is not yet released to the watchdog.
    pub async fn release(mut self) -> Result<Release> {
        let mut answer = Ok(Release::Released);
        while let Some(hold) = self.holds.pop() {
            match (hold.release().await, &answer) {
                (Ok(Release::NotHeld), Ok(_)) => answer = Ok(Release::NotHeld),
                (Err(error), Ok(_)) => answer = Err(error),
                _ => {}
            }
        }
        answer
    }
}

impl fmt::Debug for MultiGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.leases()).finish()
    }
}
