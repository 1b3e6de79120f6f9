//! [`Capability`]: what a store can do, known before the first claim is sent.

use std::time::Duration;

use crate::{Claim, Error, ErrorKind, Mode, Queueing, Result, env::show};

/// How well a store orders its grants.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fencing {
    /// Not at all: grants carry no fencing token.
    None,
    /// Tokens grow until the store restarts or loses its memory.
    UntilRestart,
    /// Tokens grow across restarts and loss of data, under the assumptions that SAFETY.md lists.
    Durable,
}

/// When the hold of a client that died is freed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Liveness {
    /// When its time to live ends.
    Ttl,
    /// When the store ends the client's session, which takes about a time to live.
    Session,
    /// At once: the store sees the process end.
    Process,
}

/// The events that can let two claims hold at once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Exclusion {
    /// Events that happen in ordinary operation, an eviction or a failover: locks save work, and keep nothing right.
    Efficiency,
    /// A breach of the assumptions that SAFETY.md lists for the store.
    Lease,
}

/// How far a store's clock may differ in rate from the client's within one lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drift {
    /// Thousandths of the time to live.
    pub per_mille: u32,
    /// A fixed part: the granularity of the store's clock.
    pub fixed: Duration,
}

impl Drift {
    /// Store and client read the same clock.
    pub const SAME_CLOCK: Drift = Drift { per_mille: 0, fixed: Duration::ZERO };
    /// Two clocks: 1 % and 2 ms, as the published Redlock has it.
    pub const TWO_CLOCKS: Drift = Drift { per_mille: 10, fixed: Duration::from_millis(2) };

    /// The part of `ttl` that may be lost to drift.
    pub fn of(self, ttl: Duration) -> Duration {
        ttl.mul_f64(f64::from(self.per_mille) / 1000.0) + self.fixed
    }
}

/// The features of a store. They are checked when a lock is built, so that nothing is ignored silently.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Capability {
    /// The URL scheme of the store.
    pub scheme: &'static str,
    /// The events that can let two claims hold at once.
    pub exclusion: Exclusion,
    /// Whether the store writes data in the transaction that checks the lock.
    pub commits: bool,
    /// [`Mode::Shared`].
    pub shared: bool,
    /// The most permits of one claim, [`Mode::Permits`]; 0 where there are none.
    pub permits: u32,
    /// [`Queueing::Fifo`].
    pub fifo: bool,
    /// Whether grants carry fencing tokens, and what they survive.
    pub fencing: Fencing,
    /// When the hold of a dead client is freed.
    pub liveness: Liveness,
    /// Whether waiters are known, in [`Snapshot::waiters`](crate::Snapshot): then a holder can be notified of them.
    pub waiters: bool,
    /// Whether waiters are woken; without it they ask again after the time that the store names.
    pub wakes: bool,
    /// [`Binding::Ttl`](crate::Binding): holds that outlive their client.
    pub detach: bool,
    /// Whether [`Claim::note`] is kept and shown; where not, it is left out, for it is never more than a courtesy.
    pub notes: bool,
    /// Whether locks are listed by their names.
    pub lists: bool,
    /// [`Claim::lock_delay`].
    pub lock_delay: bool,
    /// Whether [`Grant::remembers_for`](crate::Grant) is kept account of, so that the store may be a member of a
    /// [`Quorum`](crate::Quorum).
    pub votes: bool,
    /// The shortest time to live.
    pub ttl_min: Duration,
    /// The longest time to live.
    pub ttl_max: Duration,
    /// How far the store's clock may differ.
    pub drift: Drift,
}

impl Capability {
    /// The levels of SAFETY.md that can be had: `E` efficiency only or `L` lease-exclusive, `F` when the resource checks
    /// tokens, `T` for data in the store itself.
    pub fn levels(&self) -> Vec<char> {
        let exclusion = match self.exclusion {
            Exclusion::Efficiency => 'E',
            Exclusion::Lease => 'L',
        };
        let fenced = (self.fencing != Fencing::None).then_some('F');
        [Some(exclusion), fenced, self.commits.then_some('T')].into_iter().flatten().collect()
    }

    /// Checks that the store can do what `claim` asks for.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for values out of range, [`ErrorKind::Unsupported`] for what this store lacks.
    pub fn admits(&self, claim: &Claim) -> Result<()> {
        self.admits_ttl(claim.ttl)?;
        self.admits_mode(claim.mode)?;
        if claim.queueing == Queueing::Fifo && !self.fifo {
            return Err(self
                .lacks("fair queue")
                .hint("leave `fair` off, or use a store and a dialect that keep a queue"));
        }
        if claim.binding == crate::Binding::Ttl && !self.detach {
            return Err(self.lacks("holds that outlive their client"));
        }
        if !claim.lock_delay.is_zero() && !self.lock_delay {
            return Err(self.lacks("lock delay"));
        }
        if claim.note.as_ref().is_some_and(|note| note.len() > Claim::NOTE_BYTES_MAX) {
            let message = format!("a note may have at most {} bytes", Claim::NOTE_BYTES_MAX);
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(())
    }

    fn admits_ttl(&self, ttl: Duration) -> Result<()> {
        if ttl < self.ttl_min || ttl > self.ttl_max {
            let (ttl, min, max) = (show(ttl), show(self.ttl_min), show(self.ttl_max));
            let message = format!(
                "a time to live of {ttl} is outside of what {} can keep: {min} to {max}",
                self.scheme
            );
            return Err(Error::new(ErrorKind::Invalid, message).hint("choose a ttl within these bounds"));
        }
        Ok(())
    }

    /// Checks that the store has `mode`: a part of [`Capability::admits`].
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a bad number of permits, [`ErrorKind::Unsupported`] for what this store lacks.
    pub fn admits_mode(&self, mode: Mode) -> Result<()> {
        match mode {
            Mode::Exclusive => Ok(()),
            Mode::Shared if self.shared => Ok(()),
            Mode::Shared => Err(self.lacks("shared locks")),
            Mode::Permits { take, of } if take == 0 || take > of => {
                let message = format!("{take} of {of} permits: take at least 1 and at most all there are");
                Err(Error::new(ErrorKind::Invalid, message))
            }
            Mode::Permits { .. } if self.permits == 0 => Err(self.lacks("permits")),
            Mode::Permits { take, .. } if take > self.permits => {
                let message = format!("{} takes at most {} permits at once", self.scheme, self.permits);
                Err(Error::new(ErrorKind::Unsupported, message)
                    .hint("take fewer, or use a store without this bound"))
            }
            Mode::Permits { .. } => Ok(()),
        }
    }

    pub(crate) fn lacks(&self, what: &str) -> Error {
        Error::new(ErrorKind::Unsupported, format!("{} has no {what}", self.scheme))
    }
}
