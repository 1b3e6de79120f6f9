//! [`Store`]: the trait of every lock system.

use std::{fmt, sync::Arc, time::Duration};

use crate::{BoxFuture, Capability, Claim, ClaimId, FencingToken, LockName, LostReason, Mode, Result};

/// The answer to a claim.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Standing {
    /// It holds the lock.
    Granted(Grant),
    /// It has a place in the queue.
    Waiting(Busy),
    /// Another claim has the lock, and this one left no trace.
    Held(Busy),
    /// The name is in use with another number of permits (`None`: as a lock without permits).
    Mismatch {
        /// The number of permits in use.
        limit: Option<u32>,
    },
    /// The answer to [`Intent::Amend`](crate::Intent) when the claim holds nothing.
    Gone(LostReason),
}

/// A granted claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    /// Grows with every grant of the name; `None` where the store cannot order grants.
    pub fence: Option<FencingToken>,
    /// How long the store keeps the hold, counted from a moment after the request was sent.
    pub valid_for: Duration,
    /// For how long, up to now, the store has certainly kept all its answers: [`Duration::MAX`] where its data is durable.
    /// The vote of a quorum's member counts only after the longest lease: before, it may have lost a hold that still
    /// lives.
    pub remembers_for: Duration,
}

impl Grant {
    /// A grant of a durable store.
    pub const fn lasting(fence: Option<FencingToken>, valid_for: Duration) -> Self {
        Grant { fence, valid_for, remembers_for: Duration::MAX }
    }
}

/// Why a claim is not granted, in the same round trip.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(any(test, feature = "serde"), derive(serde::Serialize))]
pub struct Busy {
    /// One of the holders, if the store knows it.
    pub holder: Option<Contender>,
    /// How many claims come first, for a place in a queue.
    pub ahead: Option<u32>,
    /// Ask again after this long at the latest, even if nothing wakes us.
    #[cfg_attr(
        any(test, feature = "serde"),
        serde(rename = "recheck_in_ms", serialize_with = "crate::serde_impls::millis")
    )]
    pub recheck_in: Duration,
}

impl Busy {
    /// When to try again at the latest: by then the present hold has ended, unless its holder has renewed it.
    pub fn retry_after(&self) -> Duration {
        self.recheck_in
    }
}

/// The answer to a renewal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Renewal {
    /// The hold lives on.
    Renewed {
        /// How long the store keeps it, counted from a moment after the request was sent.
        valid_for: Duration,
    },
    /// There is no such hold, and none was made.
    Gone(LostReason),
}

/// The answer to a release. Both are success: the claim holds nothing now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Release {
    /// The hold, or the place in the queue, is given up.
    Released,
    /// There was nothing of this claim.
    NotHeld,
}

/// The state of a [`Contender`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(any(test, feature = "serde"), derive(serde::Serialize))]
#[cfg_attr(any(test, feature = "serde"), serde(rename_all = "snake_case"))]
pub enum Stance {
    /// It holds the lock.
    Holding,
    /// It waits.
    Waiting,
    /// It held the lock and ended without a release; the lock stays shut for its lock-delay.
    Delaying,
}

/// A holder or waiter, as `inspect` shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(any(test, feature = "serde"), derive(serde::Serialize))]
pub struct Contender {
    /// The first 32 bits of its claim id: enough to tell two apart, not enough to release.
    #[cfg_attr(any(test, feature = "serde"), serde(serialize_with = "crate::serde_impls::tag"))]
    pub tag: u32,
    /// Its state.
    pub stance: Stance,
    /// How it shares; `None` for a foreign lock whose mode is not known.
    pub mode: Option<Mode>,
    /// How long its hold, place or delay lasts without a renewal.
    #[cfg_attr(
        any(test, feature = "serde"),
        serde(rename = "left_ms", serialize_with = "crate::serde_impls::optional_millis")
    )]
    pub expires_in: Option<Duration>,
    /// How long it has been in this stance.
    #[cfg_attr(
        any(test, feature = "serde"),
        serde(rename = "age_ms", serialize_with = "crate::serde_impls::optional_millis")
    )]
    pub age: Option<Duration>,
    /// The token of its grant.
    #[cfg_attr(any(test, feature = "serde"), serde(rename = "fencing_token"))]
    pub fence: Option<FencingToken>,
    /// Its note.
    pub note: Option<Arc<str>>,
}

impl Contender {
    /// The tag of a claim id.
    pub fn tag_of(id: ClaimId) -> u32 {
        (id.bits() >> 96) as u32
    }
}

/// The identity of a server, and for how long it has kept its data.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(any(test, feature = "serde"), derive(serde::Serialize))]
pub struct ServerInfo {
    /// Names this run of the server, however it is reached: two addresses with the same are one server.
    pub server: Arc<str>,
    /// Names the data of which this server has one copy, where there may be others: two with the same are replicas of
    /// each other.
    pub lineage: Option<Arc<str>>,
    /// As [`Grant::remembers_for`].
    #[cfg_attr(
        any(test, feature = "serde"),
        serde(rename = "remembers_for_ms", serialize_with = "crate::serde_impls::millis")
    )]
    pub remembers_for: Duration,
    /// The server's calendar, in microseconds since 1970.
    pub wall_us: u64,
}

/// One of several stores that vote, as `inspect` shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(any(test, feature = "serde"), derive(serde::Serialize))]
pub struct Member {
    /// Its URL without secrets.
    pub url: Arc<str>,
    /// Whether what it grants counts.
    pub votes: bool,
    /// Its state in words, such as why it has no vote and when it will have one.
    pub state: String,
}

/// One lock as the store has it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(any(test, feature = "serde"), derive(serde::Serialize))]
pub struct Snapshot {
    /// The lock.
    #[cfg_attr(any(test, feature = "serde"), serde(rename = "lock"))]
    pub name: LockName,
    /// The holders, and the former holders whose lock-delay keeps it shut.
    pub holders: Vec<Contender>,
    /// The waiters in order.
    pub waiters: Vec<Contender>,
    /// The highest token granted so far, where the store knows: later grants are above it.
    #[cfg_attr(any(test, feature = "serde"), serde(rename = "fencing_token"))]
    pub fence: Option<FencingToken>,
    /// The stores that vote; none for a single one.
    #[cfg_attr(any(test, feature = "serde"), serde(skip_serializing_if = "Vec::is_empty"))]
    pub members: Vec<Member>,
}

impl Snapshot {
    /// A lock of which only the holders are known.
    pub fn of(name: LockName, holders: Vec<Contender>) -> Self {
        Snapshot { name, holders, waiters: Vec::new(), fence: None, members: Vec::new() }
    }
}

/// The scope of a subscription.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Interest {
    /// The standing of this waiting claim may have changed.
    Turn(ClaimId),
    /// Anything about the lock may have changed: holders, waiters, notes.
    Changes,
}

/// A subscription. It may wake spuriously; dropping it ends it.
pub trait Wake: Send {
    /// Waits for a change since the subscription or the last return. A store without wake-ups never returns.
    ///
    /// # Errors
    /// The subscription broke; ask the store again and subscribe anew.
    ///
    /// # Cancel safety
    /// Cancel safe: a change in the meantime is returned by the next call.
    fn wait(&mut self) -> BoxFuture<'_, Result<()>>;
}

/// A lock system. Object safe, without default methods: a wrapper without one of the methods does not compile.
///
/// Every verb is idempotent by claim id, and an error says whether it may have been applied. Dropping the future of
/// `claim`, `renew` or `release` may leave it applied or not; the engine polls such a request to its end and
/// then releases.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// The features of this store, constant over its life.
    fn capability(&self) -> &Capability;

    /// The store's URL without secrets, for messages.
    fn url(&self) -> &str;

    /// The identity of the server, and for how long it has kept its data.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing of a lock is changed.
    fn server_info(&self) -> BoxFuture<'_, Result<ServerInfo>>;

    /// Completes when the server may have lost holds without notifying clients (a failover, a restart without data) more
    /// than `seen` times, and updates `seen`. The engine then renews all holds at once. Pending for ever where a store
    /// detects no such event.
    ///
    /// # Cancel safety
    /// Cancel safe: what happens between two calls is answered by the next.
    fn revalidation<'a>(&'a self, seen: &'a mut u64) -> BoxFuture<'a, ()>;

    /// "This id wants this mode." Repeating it answers the same standing, and refreshes a place in the queue. A
    /// repeated claim of a hold answers its token unchanged, takes over mode (shared from exclusive; the other way
    /// only when alone), note, binding and ttl, and raises the token to `fence_floor`. Never makes a hold for
    /// [`Intent::Amend`](crate::Intent).
    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Standing>>;

    /// Renews holds by their ttl, counted from now; never makes one. One answer per claim, in order.
    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>>;

    /// Ends the hold of this claim id, or leaves the queue. No other hold is touched.
    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>>;

    /// Subscribes to changes of a lock. To wait without losing a wake-up: subscribe, claim again, then wait.
    fn watch<'a>(&'a self, name: &'a LockName, interest: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>>;

    /// The holders and waiters of a lock.
    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>>;

    /// The locks whose names begin with `prefix` and that are held or waited for, by name, at most `limit`.
    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>>;

    /// Ends every hold of a lock and raises the fencing counter above all of them. Returns the removed holders. Waiters
    /// stay.
    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>>;

    /// Ends connections, sessions and files of the store. Holds bound to the client end with it.
    fn close(&self) -> BoxFuture<'_, Result<()>>;
}
