//! [`Claim`]: one attempt to hold a lock.

use std::{fmt, hash::Hasher, str::FromStr, sync::Arc, time::Duration};

use crate::{Env, Error, ErrorKind, FencingToken, LockName, Result};

/// 128 random bits that name one claim, minted before the first byte is sent.
///
/// The idempotency key of every verb and the only proof of ownership: who knows it can renew and release.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClaimId(u128);

impl ClaimId {
    /// Draws a new id from the environment's randomness.
    pub fn mint(env: &Env) -> Self {
        ClaimId(env.random())
    }

    /// An id with these bits, for stores that read it back and for tests.
    pub const fn from_bits(bits: u128) -> Self {
        ClaimId(bits)
    }

    /// The 128 bits.
    pub const fn bits(self) -> u128 {
        self.0
    }
}

/// The hasher of maps whose keys this process has chosen, claim ids or small numbers: they need no hashing.
#[derive(Clone, Copy, Default)]
pub(crate) struct ClaimIdHasher(u64);

impl Hasher for ClaimIdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, bits: u128) {
        self.0 = bits as u64 ^ (bits >> 64) as u64;
    }
}

/// 32 lower-case hexadecimal digits.
impl fmt::Display for ClaimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Shortened, so that logs and panics do not hand out the proof of ownership.
impl fmt::Debug for ClaimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClaimId({:08x}…)", (self.0 >> 96) as u32)
    }
}

impl FromStr for ClaimId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let plain =
            text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        match u128::from_str_radix(text, 16) {
            Ok(bits) if plain => Ok(ClaimId(bits)),
            _ => Err(Error::new(ErrorKind::Invalid, "a claim id is 32 lower-case hexadecimal digits")),
        }
    }
}

/// How a claim shares its lock with others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Mode {
    /// Alone.
    Exclusive,
    /// Together with other shared claims, never with an exclusive one.
    Shared,
    /// `take` of the `of` places of a semaphore.
    Permits {
        /// Places taken, at least 1 and at most `of`.
        take: u32,
        /// Places there are; all claims of one name must agree.
        of: u32,
    },
}

impl Mode {
    /// The number of places of the semaphore that this mode speaks of, `None` for a lock.
    ///
    /// Two claims of one name whose limits differ do not mean the same thing and are never granted together.
    pub const fn limit(self) -> Option<u32> {
        match self {
            Mode::Exclusive | Mode::Shared => None,
            Mode::Permits { of, .. } => Some(of),
        }
    }
}

/// `exclusive`, `shared` or `TAKE/OF permits`.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mode::Exclusive => f.write_str("exclusive"),
            Mode::Shared => f.write_str("shared"),
            Mode::Permits { take, of } => write!(f, "{take}/{of} permits"),
        }
    }
}

/// The treatment of a claim that cannot be granted now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Queueing {
    /// It is answered [`Standing::Held`](crate::Standing) and leaves no trace.
    No,
    /// It waits, and may be overtaken by claims that come later (but a shared claim never overtakes a waiting
    /// exclusive one, so that writers do not starve).
    Barging,
    /// It waits in a queue and is not overtaken.
    Fifo,
}

/// The end of a granted claim, besides its time to live.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Binding {
    /// The store frees it as soon as it knows that the claiming client is gone, where it can know.
    Client,
    /// It outlives the client and ends with its time to live: tickets, slots of a schedule, latches.
    Ttl,
}

/// Whether a claim may make a new hold.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Intent {
    /// Grant it, or find it granted.
    Hold,
    /// Change mode, note, binding or time to live of a hold that is there; never make one.
    Amend,
}

/// One attempt to hold a lock: "this id wants this name in this mode".
///
/// Claims are declarative. Repeating one answers the same standing, so a lost reply is cured by asking again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// The lock.
    pub name: LockName,
    /// The idempotency key and proof of ownership.
    pub id: ClaimId,
    /// How it shares.
    pub mode: Mode,
    /// The treatment of the claim when it cannot be granted now.
    pub queueing: Queueing,
    /// Time to live of the hold, counted by the store from the moment of the grant or renewal; also how long a
    /// place in the queue is kept for a waiter that does not repeat its claim.
    pub ttl: Duration,
    /// The end of the hold besides its time to live.
    pub binding: Binding,
    /// Whether a hold may be made.
    pub intent: Intent,
    /// How long the lock stays shut after this hold ended without a release (Chubby's lock-delay).
    pub lock_delay: Duration,
    /// The least fencing token that the grant may carry; raises the token of a hold that is there.
    pub fence_floor: Option<FencingToken>,
    /// The token that a new grant is to carry unless the store's own is higher already; a hold that is there keeps its
    /// token. Stores that vote come to one token in one round trip by it.
    pub fence_proposal: Option<FencingToken>,
    /// Owner and purpose for people: shown by `inspect`, never interpreted. At most [`Claim::NOTE_BYTES_MAX`].
    pub note: Option<Arc<str>>,
}

impl Claim {
    /// The longest note in bytes.
    pub const NOTE_BYTES_MAX: usize = 4096;

    /// An exclusive claim without a queue; change the public fields for anything else.
    pub fn new(name: LockName, id: ClaimId, ttl: Duration) -> Self {
        Claim {
            name,
            id,
            mode: Mode::Exclusive,
            queueing: Queueing::No,
            ttl,
            binding: Binding::Client,
            intent: Intent::Hold,
            lock_delay: Duration::ZERO,
            fence_floor: None,
            fence_proposal: None,
            note: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_only_one_spelling_is_read() {
        let id = ClaimId::from_bits(0xabc);
        assert_eq!(id.to_string().parse::<ClaimId>().unwrap(), id);
        for bad in ["", "abc", "+0000000000000000000000000000abc", "00000000000000000000000000000ABC"] {
            assert!(bad.parse::<ClaimId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn debug_does_not_show_the_whole_id() {
        let id = ClaimId::from_bits(u128::MAX);
        assert_eq!(format!("{id:?}"), "ClaimId(ffffffff…)");
    }
}
