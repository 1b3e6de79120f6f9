//! [`Mechanism`]: the mechanisms that keep a lock safe and live.
//!
//! A virtual world may be without one of them, to show that something breaks then; [`Env::system`](crate::Env::system)
//! always keeps all. The code that is one asks [`Env::keeps`](crate::Env::keeps).

/// A mechanism that a lock cannot work without.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Mechanism {
    /// A store releases and renews only the hold of the claim that asks.
    OwnerCheck,
    /// A lease is counted from before its request was sent.
    DeadlineFromSendTime,
    /// A lease ends at its deadline by the holder's own clock, without a message.
    LocalDeadline,
    /// The clock of a deadline counts the time for which the machine slept.
    SuspendCounts,
    /// Work under a lease is polled only while the lease is valid.
    PollGuard,
    /// A claim is repeated by the same id, and a repeated claim of a hold is answered by that hold.
    IdempotentClaim,
    /// A claim whose future is dropped is given up in the background.
    ReleaseAfterCancel,
    /// Before a dropped claim is released, the request that is under way is carried to its end.
    CarriedToItsEnd,
    /// A grant that arrives after its own deadline is none.
    LateGrantRefused,
    /// A renewal prolongs a hold and never makes one.
    RenewalMakesNothing,
    /// A waiter repeats its claim after a while without a wake-up.
    Recheck,
    /// The clocks of holder and store may differ in rate: so much is taken off a lease.
    Drift,
    /// A token is never below the store's calendar, so that a lost counter does not go back.
    Floor,
    /// Of tokens that differ, a majority takes over the largest before the grant counts.
    WriteBack,
    /// A member that may have lost its data has no vote until the longest lease is over.
    RestartDelay,
    /// A member at which a release of a claim may still arrive has no vote on it.
    DoubtHasNoVote,
    /// A resource is shown the token before it is read, and refuses older ones from then on.
    ClaimStep,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Mechanism; 17] = [
        Mechanism::OwnerCheck,
        Mechanism::DeadlineFromSendTime,
        Mechanism::LocalDeadline,
        Mechanism::SuspendCounts,
        Mechanism::PollGuard,
        Mechanism::IdempotentClaim,
        Mechanism::ReleaseAfterCancel,
        Mechanism::CarriedToItsEnd,
        Mechanism::LateGrantRefused,
        Mechanism::RenewalMakesNothing,
        Mechanism::Recheck,
        Mechanism::Drift,
        Mechanism::Floor,
        Mechanism::WriteBack,
        Mechanism::RestartDelay,
        Mechanism::DoubtHasNoVote,
        Mechanism::ClaimStep,
    ];
}
