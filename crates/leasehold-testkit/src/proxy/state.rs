//! The state that a proxy and its connections share.

use std::{
    collections::{BTreeMap, VecDeque},
    io::Write,
    net::SocketAddr,
    os::unix::net::UnixStream,
    sync::{Condvar, Mutex},
    time::Duration,
};

use super::fault::PendingFault;
use crate::wait::{self, lock};

const LOG_BYTES_MAX: usize = 1 << 20;

/// The treatment of all connections.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Mode {
    #[default]
    Pass,
    Delay(Duration),
    HoldReplies,
    HoldRequests,
    DropReplies,
    Blackhole,
    Split(usize),
    Refuse,
}

#[derive(Default, Debug)]
pub(super) struct State {
    pub(super) mode: Mode,
    /// The number of calls of `pass`: connections that lost bytes before the last one end.
    pub(super) healed: u64,
    /// The number of calls of `reset_all`.
    pub(super) resets: u64,
    pub(super) stopped: bool,
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) round_trips: u64,
    pub(super) faults: Vec<PendingFault>,
    log: VecDeque<Vec<u8>>,
    log_bytes: usize,
    /// The open connections. Each is woken when something changes.
    wakers: BTreeMap<u64, UnixStream>,
    next: u64,
}

#[derive(Debug)]
pub(super) struct Shared {
    /// The server that new connections are connected to.
    pub(super) target: Mutex<SocketAddr>,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    pub(super) fn new(target: SocketAddr) -> Self {
        Self { target: Mutex::new(target), state: Mutex::default(), changed: Condvar::new() }
    }

    /// Reads or counts, without waking anybody.
    pub(super) fn read<T>(&self, read: impl FnOnce(&mut State) -> T) -> T {
        read(&mut lock(&self.state))
    }

    /// Changes a value that connections or tests wait for, and wakes them.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = lock(&self.state);
        change(&mut state);
        for mut waker in state.wakers.values() {
            // Full: it will wake up anyway.
            let _ = waker.write(&[1]);
        }
        self.changed.notify_all();
    }

    /// Waits until a condition that [`Self::change`] may bring about holds.
    pub(super) fn await_change(&self, limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
        let end = wait::now() + limit;
        let mut state = lock(&self.state);
        loop {
            let left = end.saturating_duration_since(wait::now());
            if is_so() || left.is_zero() {
                return is_so();
            }
            let woken = self.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }
}

impl Mode {
    pub(super) fn holds_requests(self) -> bool {
        matches!(self, Mode::Blackhole | Mode::HoldRequests)
    }

    pub(super) fn holds_replies(self) -> bool {
        matches!(self, Mode::Blackhole | Mode::HoldReplies)
    }
}

impl State {
    /// Enters a connection; `None` when it is to be refused.
    pub(super) fn enter(&mut self, waker: UnixStream) -> Option<u64> {
        if self.mode == Mode::Refuse || self.stopped {
            self.refused += 1;
            return None;
        }
        self.accepted += 1;
        self.next += 1;
        self.wakers.insert(self.next, waker);
        Some(self.next)
    }

    pub(super) fn leave(&mut self, id: u64) {
        self.wakers.remove(&id);
    }

    pub(super) fn open(&self) -> u64 {
        self.wakers.len() as u64
    }

    pub(super) fn log(&mut self, request: &[u8]) {
        self.log_bytes += request.len();
        self.log.push_back(request.to_vec());
        while self.log_bytes > LOG_BYTES_MAX {
            let Some(oldest) = self.log.pop_front() else { break };
            self.log_bytes -= oldest.len();
        }
    }

    pub(super) fn take_log(&mut self) -> Vec<Vec<u8>> {
        self.log_bytes = 0;
        std::mem::take(&mut self.log).into()
    }
}
