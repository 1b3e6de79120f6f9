//! [`Failure`]: a broken promise in words, and the checks that find it.

use std::fmt::{self, Debug};

use leasehold_core::{Busy, Claim, Error, Grant, Release, Standing, Store};

/// The result of a case: `Ok`, or how the promise is broken.
pub type CaseResult = Result<(), Failure>;

/// A broken promise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// `promise::case`; empty until the case's runner fills it in.
    pub promise: String,
    /// The expectation of the contract.
    pub expected: String,
    /// The behaviour of the store.
    pub found: String,
}

impl Failure {
    /// A failure of the case that runs.
    pub fn new(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Failure { promise: String::new(), expected: expected.into(), found: found.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "promise   {}\nexpected  {}\nfound     {}", self.promise, self.expected, self.found)
    }
}

impl std::error::Error for Failure {}

/// An error where the contract has an answer.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::new("an answer: nothing is wrong with the store in this case", format!("{error:?}"))
    }
}

/// Fails with `found` unless `condition` holds.
pub(crate) fn ensure(condition: bool, expected: impl Into<String>, found: impl Debug) -> CaseResult {
    if condition { Ok(()) } else { Err(Failure::new(expected, format!("{found:?}"))) }
}

/// Fails unless the two are equal.
pub(crate) fn same<T: PartialEq + Debug>(found: T, wanted: T, expected: &str) -> CaseResult {
    if found == wanted {
        return Ok(());
    }
    Err(Failure::new(format!("{expected}: {wanted:?}"), format!("{found:?}")))
}

/// The grant, or a failure.
pub(crate) fn granted(standing: Standing, expected: &str) -> Result<Grant, Failure> {
    match standing {
        Standing::Granted(grant) => Ok(grant),
        other => Err(Failure::new(format!("Granted: {expected}"), format!("{other:?}"))),
    }
}

/// Claims, and fails unless it is granted.
pub(crate) async fn take(store: &dyn Store, claim: &Claim, expected: &str) -> Result<Grant, Failure> {
    granted(store.claim(claim).await?, expected)
}

/// Claims, and fails unless somebody else has the lock and no place was taken.
pub(crate) async fn refused(store: &dyn Store, claim: &Claim, expected: &str) -> Result<Busy, Failure> {
    match store.claim(claim).await? {
        Standing::Held(busy) => Ok(busy),
        other => Err(Failure::new(format!("Held: {expected}"), format!("{other:?}"))),
    }
}

/// Claims, and fails unless it has a place in the queue.
pub(crate) async fn queued(store: &dyn Store, claim: &Claim, expected: &str) -> Result<Busy, Failure> {
    match store.claim(claim).await? {
        Standing::Waiting(busy) => Ok(busy),
        other => Err(Failure::new(format!("Waiting: {expected}"), format!("{other:?}"))),
    }
}

/// Claims, and fails when it is granted; any other answer is accepted.
pub(crate) async fn kept_out(store: &dyn Store, claim: &Claim, expected: &str) -> CaseResult {
    match store.claim(claim).await? {
        Standing::Granted(grant) => {
            Err(Failure::new(format!("anything but Granted: {expected}"), format!("{grant:?}")))
        }
        _ => Ok(()),
    }
}

/// Releases, and fails unless there was something to release.
pub(crate) async fn let_go(store: &dyn Store, claim: &Claim) -> CaseResult {
    same(store.release(claim).await?, Release::Released, "the answer to the release of what is held")
}
