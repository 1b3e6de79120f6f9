//! Faults that apply once, to one request.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::state::Shared;

/// The treatment of the request that matches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultRule {
    /// The server gets it. After the answer, or one second without one, the client's connection is reset: the client
    /// never gets the answer.
    ForwardThenCut,
    /// The server never gets it, and the connection is reset.
    DropThenCut,
    /// The server gets it; that connection stays open and silent from then on.
    ForwardAndDropReply,
    /// The server gets it, and all that follows on that connection, after [`FaultHandle::release`], also when the client
    /// has given up long before.
    Hold,
}

/// Shows whether a fault has been applied.
#[derive(Clone, Debug)]
pub struct FaultHandle {
    flags: Arc<Flags>,
    shared: Arc<Shared>,
}

impl FaultHandle {
    /// Whether it was applied to a request: cut, forwarded, or held.
    pub fn fired(&self) -> bool {
        self.flags.fired.load(Ordering::SeqCst)
    }

    /// Waits until it is applied; whether that happened within the limit.
    pub fn wait_fired(&self, limit: Duration) -> bool {
        self.shared.await_change(limit, || self.fired())
    }

    /// Delivers the bytes that [`FaultRule::Hold`] holds, or will hold.
    pub fn release(&self) {
        self.shared.change(|_| self.flags.released.store(true, Ordering::SeqCst));
    }
}

#[derive(Default, Debug)]
pub(super) struct Flags {
    fired: AtomicBool,
    released: AtomicBool,
}

impl Flags {
    pub(super) fn fire(&self) {
        self.fired.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_released(&self) -> bool {
        self.released.load(Ordering::SeqCst)
    }
}

pub(super) type Matcher = Box<dyn Fn(&[u8]) -> bool + Send>;

/// A fault that has not been applied yet.
pub(super) struct PendingFault {
    matcher: Matcher,
    action: FaultRule,
    flags: Arc<Flags>,
}

impl fmt::Debug for PendingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingFault").field("action", &self.action).finish_non_exhaustive()
    }
}

pub(super) fn set(shared: &Arc<Shared>, matcher: Matcher, action: FaultRule) -> FaultHandle {
    let flags = Arc::new(Flags::default());
    let pending = PendingFault { matcher, action, flags: flags.clone() };
    shared.change(|state| state.faults.push(pending));
    FaultHandle { flags, shared: shared.clone() }
}

/// Removes and returns the fault that applies to this request.
pub(super) fn take_matching(shared: &Shared, request: &[u8]) -> Option<(FaultRule, Arc<Flags>)> {
    shared.read(|state| {
        let at = state.faults.iter().position(|fault| (fault.matcher)(request))?;
        let pending = state.faults.remove(at);
        Some((pending.action, pending.flags))
    })
}
