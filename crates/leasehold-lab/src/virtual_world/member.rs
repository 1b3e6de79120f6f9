//! [`Member`]: the state of a process.

use std::{collections::BTreeMap, sync::Arc, task::Waker};

use leasehold_core::Moment;

use super::{clock::Clock, task::Task};
use crate::rng::Rng;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    Running,
    /// Nothing of it runs; messages are kept for later; its clock goes on.
    Paused,
    Dead,
}

/// An action at a point of time.
pub(super) type Action = Box<dyn FnOnce() + Send>;

pub(super) struct Member {
    pub(super) status: Status,
    pub(super) clock: Clock,
    pub(super) rng: Rng,
    /// By due time and order of arrival.
    pub(super) timers: BTreeMap<(Moment, u64), Waker>,
    pub(super) arrivals: u64,
    pub(super) tasks: Vec<Arc<Task>>,
    /// Messages that arrived while it was paused.
    pub(super) inbox: Vec<Action>,
}

impl Member {
    pub(super) fn new(clock: Clock, rng: Rng) -> Member {
        Member {
            status: Status::Running,
            clock,
            rng,
            timers: BTreeMap::new(),
            arrivals: 0,
            tasks: Vec::new(),
            inbox: Vec::new(),
        }
    }

    /// The due time of its next timer in nanoseconds of the world.
    pub(super) fn next_ns(&self) -> Option<u64> {
        let runs = self.status == Status::Running;
        self.timers.first_key_value().filter(|_| runs).map(|(key, _)| self.clock.when(key.0))
    }

    pub(super) fn take_due(&mut self, now_ns: u64, due: &mut Vec<Waker>) {
        if self.status != Status::Running {
            return;
        }
        let now = self.clock.read(now_ns);
        while let Some(entry) = self.timers.first_entry().filter(|entry| entry.key().0 <= now) {
            due.push(entry.remove());
        }
    }
}
