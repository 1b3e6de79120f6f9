//! [`Failure`]: a broken promise in words, and the checks that find it.

use std::{
    fmt::{self, Debug},
    sync::Arc,
    time::Duration,
};

use leasehold_core::{
    Busy, Claim, Env, Error, ErrorKind, Grant, Interest, Release, Renewal, Standing, Store,
};

/// The bound of waiting rounds: a store that makes its waiters spin fails.
const ROUNDS_MAX: u32 = 10_000;
/// The bound of repeated renewals.
const RENEWALS_MAX: u32 = 10;

/// One client of the backend.
pub type Client = Arc<dyn Store>;

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
    ensure(found == wanted, format!("{expected}: {wanted:?}"), found)
}

/// Fails unless the answer is an error of this kind, which is returned.
pub(crate) fn fails<T: Debug>(
    answer: leasehold_core::Result<T>,
    kind: ErrorKind,
    expected: &str,
) -> Result<Error, Failure> {
    match answer {
        Err(error) if error.kind() == kind => Ok(error),
        other => Err(Failure::new(format!("{expected}: an error of kind {kind:?}"), format!("{other:?}"))),
    }
}

/// The grant, or a failure.
pub(crate) fn granted(standing: Standing, expected: &str) -> Result<Grant, Failure> {
    match standing {
        Standing::Granted(grant) => Ok(grant),
        other => Err(Failure::new(format!("Granted: {expected}"), format!("{other:?}"))),
    }
}

/// Claims, and fails unless it is granted.
pub(crate) async fn take(store: &Client, claim: &Claim, expected: &str) -> Result<Grant, Failure> {
    granted(store.claim(claim).await?, expected)
}

/// Claims again and again as a waiter does (subscribe, claim, wait), and fails unless it is granted in time.
pub(crate) async fn wins(
    env: &Env,
    store: &Client,
    claim: &Claim,
    patience: Duration,
    expected: &str,
) -> Result<Grant, Failure> {
    let until = env.now() + patience;
    for round in 0..ROUNDS_MAX {
        let mut wake = store.watch(&claim.name, Interest::Turn(claim.id)).await?;
        let standing = store.claim(claim).await?;
        let (Standing::Held(Busy { recheck_in, .. }) | Standing::Waiting(Busy { recheck_in, .. })) = standing
        else {
            return granted(standing, expected);
        };
        ensure(env.now() < until, format!("Granted within {patience:?}: {expected}"), &standing)?;
        let recheck = (env.now() + recheck_in.max(Duration::from_millis(1))).min(until);
        if let Some(news) = env.until(recheck, wake.wait()).await {
            news?;
            if round >= 8 {
                // After many spurious wake-ups time has to pass: a virtual clock would stand still.
                env.sleep(Duration::from_millis(1)).await;
            }
        }
    }
    let found = format!("woken or told to ask again {ROUNDS_MAX} times for nothing");
    Err(Failure::new("a waiter that sleeps", found))
}

/// Claims, and fails unless somebody else has the lock and no place was taken.
pub(crate) async fn refused(store: &Client, claim: &Claim, expected: &str) -> Result<Busy, Failure> {
    match store.claim(claim).await? {
        Standing::Held(busy) => Ok(busy),
        other => Err(Failure::new(format!("Held: {expected}"), format!("{other:?}"))),
    }
}

/// Claims, and fails unless it has a place in the queue.
pub(crate) async fn queued(store: &Client, claim: &Claim, expected: &str) -> Result<Busy, Failure> {
    match store.claim(claim).await? {
        Standing::Waiting(busy) => Ok(busy),
        other => Err(Failure::new(format!("Waiting: {expected}"), format!("{other:?}"))),
    }
}

/// Claims, and fails when it is granted; any other answer is accepted.
pub(crate) async fn kept_out(store: &Client, claim: &Claim, expected: &str) -> CaseResult {
    let standing = store.claim(claim).await?;
    let out = !matches!(standing, Standing::Granted(_));
    ensure(out, format!("anything but Granted: {expected}"), standing)
}

/// The answer to a renewal of one claim.
pub(crate) async fn renew(store: &dyn Store, claim: &Claim) -> leasehold_core::Result<Renewal> {
    let missing = || Error::new(ErrorKind::Corrupt, "no answer to the renewal of one claim");
    store.renew(std::slice::from_ref(claim)).await.pop().unwrap_or_else(|| Err(missing()))
}

/// The answer to a renewal that is repeated when it was not answered in time, as the engine does. Its limit is a part of the
/// time to live, which is short here, on a machine that may be busy.
pub(crate) async fn insist(store: &dyn Store, claim: &Claim) -> leasehold_core::Result<Renewal> {
    let mut answer = renew(store, claim).await;
    for _ in 0..RENEWALS_MAX {
        match &answer {
            Err(error) if error.is_transient() => answer = renew(store, claim).await,
            _ => break,
        }
    }
    answer
}

/// Renews, and fails unless the hold lives on.
pub(crate) async fn renewed(store: &Client, claim: &Claim, expected: &str) -> CaseResult {
    let answer = insist(&**store, claim).await;
    ensure(matches!(answer, Ok(Renewal::Renewed { .. })), format!("Renewed: {expected}"), answer)
}

/// Renews, and fails unless there is no such hold.
pub(crate) async fn gone(store: &Client, claim: &Claim, expected: &str) -> CaseResult {
    let answer = insist(&**store, claim).await;
    ensure(matches!(answer, Ok(Renewal::Gone(_))), format!("Gone: {expected}"), answer)
}

/// Releases, and fails unless there was something to release.
pub(crate) async fn let_go(store: &Client, claim: &Claim) -> CaseResult {
    same(store.release(claim).await?, Release::Released, "the answer to the release of what is held")
}

/// Releases, and fails unless there was nothing to release.
pub(crate) async fn not_held(store: &Client, claim: &Claim, release: &str) -> CaseResult {
    same(store.release(claim).await?, Release::NotHeld, &format!("the answer to {release}"))
}
