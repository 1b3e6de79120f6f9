//! The resource's half of fencing: refuse late writes.
//!
//! A lease alone never keeps a paused holder from writing after its end; the resource must check. There are three
//! steps, not one:
//!
//! 1. **claim**: on first access present the token. The resource raises its high-water mark, and *then* you read.
//! 2. **write**: present the token again. The resource refuses it when the mark is higher.
//! 3. **check** and write are one transaction of the resource.
//!
//! Without the first step an update is lost: the stale holder writes after the new one has read and before it has
//! written, when the resource does not know the new one's token yet.
//!
//! ```
//! use leasehold::{FencingToken, fencing::HighWaterMark};
//! let mark = HighWaterMark::new();
//! let (old, new) = (FencingToken::new(41).unwrap(), FencingToken::new(42).unwrap());
//! mark.claim(old).unwrap();
//! mark.claim(new).unwrap();                           // from here on `old` is too late, before `new` has written
//! assert_eq!(mark.admit(old).unwrap_err().highest, new);
//! mark.admit(new).unwrap();
//! ```
//!
//! A server that gets a [`Sequencer`](crate::Sequencer) with each request, and has no client of the store, checks it with
//! [`Sequencers`], as Chubby's servers without a session do.
//!
//! For resources in SQL databases see [`statements`]; `FencingToken::as_i64` is the number to bind. With the feature
//! `rusqlite` there is `fencing::sqlite::SqlHighWaterMark`, too, and with `postgres` `fencing::postgres::PostgresHighWaterMark`.

#[cfg(feature = "postgres")]
pub mod postgres;
mod sequencers;
#[cfg(feature = "rusqlite")]
pub mod sqlite;
pub mod statements;

pub use sequencers::Sequencers;

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use leasehold_core::{Error, ErrorKind, FencingToken};

/// A stale token: a later holder was at the resource.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Stale {
    /// The presented token.
    pub presented: FencingToken,
    /// The highest token that the resource has seen.
    pub highest: FencingToken,
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fencing token {} is stale: {} was here", self.presented, self.highest)
    }
}

impl std::error::Error for Stale {}

impl From<Stale> for Error {
    fn from(stale: Stale) -> Self {
        Error::new(ErrorKind::Stale, stale.to_string())
            .hint("the lease was lost meanwhile: stop the work, lock again and read anew")
            .source(stale)
    }
}

/// The high-water mark of one resource, in memory.
#[derive(Default, Debug)]
pub struct HighWaterMark {
    highest: Mutex<Option<FencingToken>>,
}

impl HighWaterMark {
    /// A mark below every token.
    pub fn new() -> Self {
        HighWaterMark::default()
    }

    /// Takes over a mark that was kept elsewhere.
    pub fn from_highest(highest: FencingToken) -> Self {
        HighWaterMark { highest: Mutex::new(Some(highest)) }
    }

    /// Step 1, before the first read: raises the mark, so that all holders before are too late.
    ///
    /// # Errors
    /// [`Stale`] when a later holder was here: do not even read.
    pub fn claim(&self, token: FencingToken) -> Result<(), Stale> {
        raise(&mut self.mark(), token)
    }

    /// Steps 2 and 3: whether a write with this token may happen. Where the write can overlap with another thread's
    /// claim, use [`HighWaterMark::write`] instead.
    ///
    /// # Errors
    /// [`Stale`] when a later holder was here.
    pub fn admit(&self, token: FencingToken) -> Result<(), Stale> {
        raise(&mut self.mark(), token)
    }

    /// Checks and writes in one step: no claim comes in between. `write` should be short; it must not use the mark.
    ///
    /// # Errors
    /// [`Stale`] when a later holder was here; `write` is not called then.
    pub fn write<T>(&self, token: FencingToken, write: impl FnOnce() -> T) -> Result<T, Stale> {
        let mut mark = self.mark();
        raise(&mut mark, token)?;
        Ok(write())
    }

    /// The highest token so far.
    pub fn highest(&self) -> Option<FencingToken> {
        *self.mark()
    }

    fn mark(&self) -> MutexGuard<'_, Option<FencingToken>> {
        self.highest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn raise(mark: &mut Option<FencingToken>, token: FencingToken) -> Result<(), Stale> {
    match *mark {
        Some(highest) if token < highest => Err(Stale { presented: token, highest }),
        _ => {
            *mark = Some(token);
            Ok(())
        }
    }
}

/// The high-water marks of many resources, in memory. A mark is kept for ever: forgetting one would let the stale in.
#[derive(Debug)]
pub struct HighWaterMarks<K> {
    marks: Mutex<HashMap<K, FencingToken>>,
}

impl<K> Default for HighWaterMarks<K> {
    fn default() -> Self {
        HighWaterMarks { marks: Mutex::default() }
    }
}

impl<K: Eq + Hash> HighWaterMarks<K> {
    /// Marks below every token.
    pub fn new() -> Self {
        HighWaterMarks::default()
    }

    /// As [`HighWaterMark::claim`], for one of the resources.
    ///
    /// # Errors
    /// [`Stale`] when a later holder was there.
    pub fn claim(&self, resource: K, token: FencingToken) -> Result<(), Stale> {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut mark = marks.get(&resource).copied();
        raise(&mut mark, token)?;
        marks.insert(resource, token);
        Ok(())
    }

    /// As [`HighWaterMark::admit`], for one of the resources.
    ///
    /// # Errors
    /// [`Stale`] when a later holder was there.
    pub fn admit(&self, resource: K, token: FencingToken) -> Result<(), Stale> {
        self.claim(resource, token)
    }
}

#[cfg(test)]
mod tests;
