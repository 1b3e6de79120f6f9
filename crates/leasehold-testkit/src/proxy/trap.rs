//! What is done once, to one request.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::state::Shared;

/// What happens to the request that matches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trap {
    /// The server gets it. When it has answered (or not, for one second), the client's connection is reset, and the
    /// client never learns what became of its request.
    ForwardThenCut,
    /// The server never gets it, and the connection is reset.
    DropThenCut,
    /// The server gets it; that connection stays open and silent from then on.
    ForwardAndDropReply,
    /// The server gets it, and what follows on that connection, when [`TrapHandle::let_go`] says so; also when the
    /// client has given up long before.
    Hold,
}

/// Tells whether a trap has fired.
#[derive(Clone, Debug)]
pub struct TrapHandle {
    flags: Arc<Flags>,
    shared: Arc<Shared>,
}

impl TrapHandle {
    /// Whether it has happened to a request: it was cut, forwarded, or is held.
    pub fn fired(&self) -> bool {
        self.flags.fired.load(Ordering::SeqCst)
    }

    /// Waits for it; whether it happened within the limit.
    pub fn wait_fired(&self, limit: Duration) -> bool {
        self.shared.await_change(limit, || self.fired())
    }

    /// Delivers what [`Trap::Hold`] has held, or will hold.
    pub fn let_go(&self) {
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

/// A trap that waits for its request.
pub(super) struct Armed {
    matcher: Matcher,
    action: Trap,
    flags: Arc<Flags>,
}

impl fmt::Debug for Armed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Armed").field("action", &self.action).finish_non_exhaustive()
    }
}

pub(super) fn set(shared: &Arc<Shared>, matcher: Matcher, action: Trap) -> TrapHandle {
    let flags = Arc::new(Flags::default());
    let armed = Armed { matcher, action, flags: flags.clone() };
    shared.change(|state| state.traps.push(armed));
    TrapHandle { flags, shared: shared.clone() }
}

/// The trap that this request falls into, which is gone thereby.
pub(super) fn spring(shared: &Shared, request: &[u8]) -> Option<(Trap, Arc<Flags>)> {
    shared.look(|state| {
        let at = state.traps.iter().position(|trap| (trap.matcher)(request))?;
        let armed = state.traps.remove(at);
        Some((armed.action, armed.flags))
    })
}
