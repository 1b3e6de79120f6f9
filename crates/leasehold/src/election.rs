//! [`Election`]: one leader at a time, known to all.

use std::{fmt, ops::Deref, sync::Arc, time::Duration};

use leasehold_core::{
    Busy, Claim, Error, ErrorKind, FencingToken, Hold, Lease, LockName, LockOptions, Mode, Release, Result,
    Snapshot, Stance, Wait, engine::LockWatcher,
};

use crate::{Note, client::LockSpec};

/// An election: a cheap description, `Clone`, no I/O. Who holds the lock leads, and says something to all others: its
/// address, say.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> leasehold::Result<()> {
/// let locks = leasehold::Client::connect("memory:").await?;
/// let election = locks.election("scheduler")?;
/// let mut observer = election.observe();
/// let mut leadership = election.campaign("10.0.0.7:8000").await?;
/// assert_eq!(observer.changed().await?.unwrap().value, "10.0.0.7:8000");
/// leadership.proclaim("10.0.0.7:9000").await?;
/// assert_eq!(election.leader().await?.unwrap().value, "10.0.0.7:9000");
/// leadership.resign().await?;
/// assert!(observer.changed().await?.is_none());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Election {
    description: LockSpec,
}

impl Election {
    pub(crate) fn new(description: LockSpec) -> Self {
        Election { description }
    }

    /// The same election on other terms.
    ///
    /// # Errors
    /// As [`Mutex::with_terms`](crate::Mutex::with_terms).
    pub fn with_terms(self, change: impl FnOnce(LockOptions) -> LockOptions) -> Result<Self> {
        Ok(Election::new(self.description.with_terms(change)?))
    }

    /// Calls `observer` each time the store answers that somebody else leads.
    #[must_use]
    pub fn on_busy(mut self, observer: impl Fn(&Busy) + Send + Sync + 'static) -> Self {
        self.description.observer = Some(Arc::new(observer));
        self
    }

    /// The name.
    pub fn name(&self) -> &LockName {
        &self.description.name
    }

    /// Waits to lead, for as long as it takes, and then says `value`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a value that is too long; those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe: who drops the future is no candidate any more.
    pub async fn campaign(&self, value: impl AsRef<str>) -> Result<Leadership> {
        let description = self.saying(value.as_ref())?;
        let hold = description.acquire_forever(Mode::Exclusive).await?;
        Ok(Leadership { hold, note: self.note() })
    }

    /// Leads if nobody does.
    ///
    /// # Errors
    /// As [`Election::campaign`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_campaign(&self, value: impl AsRef<str>) -> Result<Option<Leadership>> {
        self.stand(value.as_ref(), Wait::No).await
    }

    /// Waits to lead for at most `wait`.
    ///
    /// # Errors
    /// As [`Election::campaign`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn try_campaign_for(
        &self,
        value: impl AsRef<str>,
        wait: Duration,
    ) -> Result<Option<Leadership>> {
        self.stand(value.as_ref(), Wait::For(wait)).await
    }

    /// Who leads, as the store has it a moment ago.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn leader(&self) -> Result<Option<Leader>> {
        Ok(Leader::of(&self.description.inspect().await?))
    }

    /// Follows who leads. No I/O until it is asked.
    pub fn observe(&self) -> Observer {
        Observer { follow: self.description.follow(), seen: None }
    }

    /// Who leads, who held and who waits.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn inspect(&self) -> Result<Snapshot> {
        self.description.inspect().await
    }

    async fn stand(&self, value: &str, wait: Wait) -> Result<Option<Leadership>> {
        let hold = self.saying(value)?.acquire(Mode::Exclusive, wait).await?;
        Ok(hold.map(|hold| Leadership { hold, note: self.note() }))
    }

    fn note(&self) -> Note {
        self.description.terms.note.as_deref().map(Note::read).unwrap_or_default()
    }

    fn saying(&self, value: &str) -> Result<LockSpec> {
        let note = written(&self.note(), value, &self.description.name)?;
        self.description.clone().with_terms(|terms| terms.note(note))
    }
}

/// The note with the value in it, if it fits.
fn written(note: &Note, value: &str, name: &LockName) -> Result<Arc<str>> {
    let text = note.clone().value(value).to_string();
    if text.len() <= Claim::NOTE_BYTES_MAX {
        return Ok(text.into());
    }
    let message = format!(
        "a value of {} bytes makes a note of {}, and a note may have at most {}",
        value.len(),
        text.len(),
        Claim::NOTE_BYTES_MAX
    );
    Err(Error::new(ErrorKind::Invalid, message)
        .lock(name)
        .hint("proclaim where the long text is to be found"))
}

/// Being the leader. Derefs to the [`Lease`]; dropping it resigns in the background.
#[must_use = "dropping it resigns"]
pub struct Leadership {
    hold: Hold,
    note: Note,
}

impl Leadership {
    /// The lease, to share with tasks that work for the leader.
    pub fn lease(&self) -> &Lease {
        self.hold.lease()
    }

    /// Says something else to all others, without a new election: the fencing token stays.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when somebody else may lead by now; [`ErrorKind::Invalid`] for a value that is too long;
    /// those of the store.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it said or not said.
    pub async fn proclaim(&mut self, value: impl AsRef<str>) -> Result<()> {
        let note = written(&self.note, value.as_ref(), self.hold.name())?;
        self.hold.amend(|claim| claim.note = Some(note)).await
    }

    /// Asks the store whether it still leads, and prolongs the lease: one round trip.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when it does not; those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn confirm(&self) -> Result<()> {
        self.hold.confirm().await
    }

    /// Leads no longer. [`Release::NotHeld`] says that it did not any more.
    ///
    /// # Errors
    /// Those of the store. The watchdog repeats it until the ttl has ended the leadership.
    ///
    /// # Cancel safety
    /// Dropping the future hands it to the watchdog.
    pub async fn resign(self) -> Result<Release> {
        self.hold.release().await
    }
}

impl Deref for Leadership {
    type Target = Lease;

    fn deref(&self) -> &Lease {
        self.hold.lease()
    }
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.hold, f)
    }
}

/// The leader as others see it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Leader {
    /// What it says; empty for one that holds the lock without saying anything.
    pub value: String,
    /// The token of its grant, where the store orders grants: a later leader has a higher one.
    pub fencing_token: Option<FencingToken>,
    /// For how long it has led.
    pub age: Option<Duration>,
    /// Who it is.
    pub note: Note,
    /// The first 32 bits of its claim id: tells two terms of office apart where there are no tokens.
    pub tag: u32,
}

impl Leader {
    fn of(snapshot: &Snapshot) -> Option<Leader> {
        let holder = snapshot.holders.iter().find(|holder| holder.stance == Stance::Holding)?;
        let mut note = holder.note.as_deref().map(Note::read).unwrap_or_default();
        Some(Leader {
            value: note.value.take().unwrap_or_default(),
            fencing_token: holder.fence,
            age: holder.age,
            note,
            tag: holder.tag,
        })
    }

    fn says_the_same(&self, other: &Leader) -> bool {
        (self.tag, self.fencing_token, &self.value) == (other.tag, other.fencing_token, &other.value)
    }
}

/// Follows who leads an [`Election`]. Made by [`Election::observe`].
#[derive(Debug)]
pub struct Observer {
    follow: LockWatcher,
    /// What was answered last; `None` before the first answer.
    seen: Option<Option<Leader>>,
}

impl Observer {
    /// Waits until another leads, says something else or nobody leads, and answers it. The first call answers at once.
    ///
    /// Where the store wakes, nothing is polled. A subscription that breaks is made anew; changes in the meantime
    /// are not missed, but several of them may be answered as one.
    ///
    /// # Errors
    /// Those of the store, when it failed for longer than the terms' patience. It may be called again.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn changed(&mut self) -> Result<Option<Leader>> {
        let seen = &self.seen;
        let now = self.follow.until(|snapshot| {
            let now = Leader::of(snapshot);
            let same = match (seen, &now) {
                (Some(Some(before)), Some(leader)) => before.says_the_same(leader),
                (Some(None), None) => true,
                _ => false,
            };
            (!same).then_some(now)
        });
        let now = now.await?;
        self.seen = Some(now.clone());
        Ok(now)
    }
}
