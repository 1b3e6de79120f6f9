//! [`PendingRelease`]: a claim to be released by the watchdog.

use super::counter::CountGuard;
use crate::{BoxFuture, Claim, Result, Standing};

/// A claim on its way to the store.
pub(super) type Request = BoxFuture<'static, Result<Standing>>;

/// A claim without an owner, to be released by the watchdog.
pub(super) struct PendingRelease {
    pub(super) claim: Claim,
    /// The request that was under way when its owner was dropped. It is polled to its end first: a release that
    /// overtakes it would leave a hold without an owner.
    pub(super) under_way: Option<Request>,
    pub(super) alive: Option<CountGuard>,
    pub(super) counted: CountGuard,
}
