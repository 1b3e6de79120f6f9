//! [`RequestQueue`]: the requests of a connection, in the order of their bytes.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use crate::transport::protocol::{Reply, Want};

/// The most requests that park at once after looks in vain.
const REST_MAX: u32 = 255;

#[derive(Default, Debug)]
pub(super) struct RequestQueue {
    /// Bytes that the task which writes has not taken yet.
    pub(super) unsent: Vec<u8>,
    /// Whether it has taken some that may not be written.
    is_writing: bool,
    /// Requests without their replies.
    pending: VecDeque<Request>,
    /// Whether nothing is answered any more.
    is_closed: bool,
    /// How many lone requests are still to park at once, and how many they were the last time.
    rest: (u32, u32),
}

/// The replies that are to come, and who waits for them.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) wants: Vec<Want>,
    pub(super) answer: oneshot::Sender<Vec<Reply>>,
}

impl RequestQueue {
    /// Adds a request whose bytes follow those of all others; whether it is the only one. `None` if nothing is answered any
    /// more.
    pub(super) fn push(&mut self, request: Request) -> Option<bool> {
        let is_alone = self.pending.is_empty() && self.unsent.is_empty() && !self.is_writing;
        (!self.is_closed).then(|| {
            self.pending.push_back(request);
            is_alone
        })
    }

    /// The bytes to write next; `None` if no more will be.
    pub(super) fn take_unsent(&mut self) -> Option<Vec<u8>> {
        self.is_writing = !self.unsent.is_empty();
        (!self.is_closed).then(|| std::mem::take(&mut self.unsent))
    }

    /// The request that the next replies are for.
    pub(super) fn next(&mut self) -> Option<Request> {
        self.pending.pop_front()
    }

    pub(super) fn is_awaited(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Takes no more requests; answers those without their replies.
    pub(super) fn close(&mut self) -> VecDeque<Request> {
        self.is_closed = true;
        std::mem::take(&mut self.pending)
    }

    pub(super) fn may_look(&mut self) -> bool {
        let may = self.rest.0 == 0;
        self.rest.0 = self.rest.0.saturating_sub(1);
        may
    }

    /// Each look in vain doubles the number of requests until the next one.
    pub(super) fn looked(&mut self, found: bool) {
        let rest = if found { 0 } else { (self.rest.1 * 2 + 1).min(REST_MAX) };
        self.rest = (rest, rest);
    }
}
