//! [`Election`]: one leader at a time, known to all.

use std::{future::Future, sync::Arc, time::Duration};

use leasehold_core::{
    Claim, Contender, Env, Error, ErrorKind, FencingToken, Hold, Lease, LockName, Lost, Mode, Release,
    Result, Snapshot, Stance, Ticket, Wait, engine::LockWatcher,
};

use super::{LockSpec, blocking, candidate::Candidate, lock_methods, wait_methods, with_methods};
use crate::{
    Note,
    guard::{hold_methods, release_methods},
};

/// An election: a cheap spec, `Clone`, no I/O. The holder of the lock leads, and proclaims a value to all others,
/// such as its address.
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
    spec: LockSpec,
}

lock_methods!(Election);
wait_methods!(Election, "the leadership, proclaiming `value`,", stand(value: impl AsRef<str>) -> Leadership {
    campaign / blocking_campaign,
    try_campaign / blocking_try_campaign,
    try_campaign_for / blocking_try_campaign_for,
});
with_methods!(Election, campaign(value: impl AsRef<str>), resign, |guard| guard.lease().clone() => Lease {
    with, try_with, blocking_with
});

impl Election {
    pub(crate) fn new(spec: LockSpec) -> Self {
        Election { spec }
    }

    /// The leader, as the store knew it a moment ago.
    ///
    /// # Errors
    /// Those of the store.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn leader(&self) -> Result<Option<Leader>> {
        Ok(Leader::of(&self.spec.inspect().await?))
    }

    /// A candidate that leads whenever it can, and knows whether it does. No I/O until it is asked to lead.
    pub fn candidate(&self, value: impl AsRef<str>) -> Candidate {
        Candidate::new(self.clone(), value.as_ref())
    }

    pub(super) fn env(&self) -> &Env {
        self.spec.engine.env()
    }

    /// Observes the leadership. No I/O until it is asked.
    pub fn observe(&self) -> Observer {
        Observer { watcher: self.spec.watcher(), seen: None }
    }

    async fn stand(&self, value: impl AsRef<str>, wait: Wait) -> Result<Option<Leadership>> {
        let hold = self.proclaiming(value.as_ref())?.acquire(Mode::Exclusive, wait).await?;
        Ok(hold.map(|hold| Leadership { hold, note: self.own_note() }))
    }

    fn own_note(&self) -> Note {
        self.spec.options.note.as_deref().map(Note::read).unwrap_or_default()
    }

    fn proclaiming(&self, value: &str) -> Result<LockSpec> {
        let note = written(&self.own_note(), value, &self.spec.name)?;
        let mut spec = self.spec.clone();
        spec.change(|options| options.note = Some(note));
        Ok(spec)
    }
}

blocking!(Election, self: [&self] {
    blocking_leader = leader() -> Option<Leader>;
});

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

/// A held leadership. Derefs to the [`Lease`]; dropping it resigns in the background.
#[must_use = "dropping it resigns"]
#[derive(Debug)]
pub struct Leadership {
    hold: Hold,
    note: Note,
}

impl Leadership {
    /// Proclaims another value to all others, without a new election: the fencing token stays.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when somebody else may lead by now; [`ErrorKind::Invalid`] for a value that is too long;
    /// those of the store.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it proclaimed or not.
    pub async fn proclaim(&mut self, value: impl AsRef<str>) -> Result<()> {
        let note = written(&self.note, value.as_ref(), self.hold.name())?;
        self.hold.amend(|claim| claim.note = Some(note)).await
    }
}

hold_methods!(Leadership, hold);
release_methods!(Leadership, resign, blocking_resign);

blocking!(Leadership, self: [&mut self] {
    blocking_proclaim = proclaim(value: impl AsRef<str>) -> ();
});

/// The leader as others see it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Leader {
    /// The value that it proclaims; empty for a holder that proclaims none.
    pub value: String,
    /// The token of its grant, where the store orders grants: a later leader has a higher one.
    pub fencing_token: Option<FencingToken>,
    /// For how long it has led.
    pub age: Option<Duration>,
    /// Host, process and command.
    pub note: Note,
    /// The first 32 bits of its claim id: tells two leaderships apart where there are no tokens.
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

/// Observes the leadership of an [`Election`]. Made by [`Election::observe`].
#[derive(Debug)]
pub struct Observer {
    watcher: LockWatcher,
    /// The last answer; `None` before the first.
    seen: Option<Option<Leader>>,
}

impl Observer {
    /// Waits until the leader or its value changes, and answers the leader. The first call answers at once.
    ///
    /// Where the store has wake-ups, nothing is polled. A subscription that breaks is made anew; changes in the meantime
    /// are not missed, but several of them may be answered as one.
    ///
    /// # Errors
    /// Those of the store, when it failed for longer than `retry_timeout`. It may be called again.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn changed(&mut self) -> Result<Option<Leader>> {
        let seen = &self.seen;
        let now = self.watcher.until(|snapshot| {
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

blocking!(Observer, self: [&mut self] {
    blocking_changed = changed() -> Option<Leader>;
});
