//! [`World`]: one thread, one seed, and processes that share nothing but a network.
//!
//! Time stands still while anything can run and then goes on to the next thing that happens. Each process has its own
//! clock and its own [`Env`](leasehold_core::Env); between any two polls it can be paused, and it can be killed, and then
//! its tasks are dropped without running. Which of several ready tasks is polled next is for the rng.

pub mod clock;
mod connection;
mod network;
mod process;
mod resource;
mod server;
mod sim_store;
mod task;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    history::{Event, EventKind},
    rng::Rng,
};
use clock::Clock;
use network::Network;
pub use network::{Conditions, Way};
pub use process::Process;
use process::{Member, Status};
pub use resource::SimResource;
pub use server::Server;
pub use sim_store::SimStore;
use task::Ready;

/// Something that happens at a moment of the world.
type Action = Box<dyn FnOnce() + Send>;

/// A world.
#[derive(Clone)]
pub struct World(Arc<Shared>);

struct Shared {
    now_ns: AtomicU64,
    ready: Ready,
    state: Mutex<State>,
    history: Mutex<Vec<Event>>,
    attempts: AtomicU64,
}

struct State {
    /// Decides who is polled next.
    turns: Rng,
    /// Decides what the network does.
    luck: Rng,
    actions: BTreeMap<(u64, u64), Action>,
    ordered: u64,
    members: Vec<Member>,
    network: Network,
    polls: u64,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

impl World {
    /// An empty world.
    pub fn new(seed: u64) -> World {
        let rng = Rng::new(seed);
        World(Arc::new(Shared {
            now_ns: AtomicU64::new(0),
            ready: Ready::default(),
            state: Mutex::new(State {
                turns: rng.split(1),
                luck: rng.split(2),
                actions: BTreeMap::new(),
                ordered: 0,
                members: Vec::new(),
                network: Network::default(),
                polls: 0,
            }),
            history: Mutex::default(),
            attempts: AtomicU64::new(0),
        }))
    }

    /// One more process, with rng of its own. Its clock shows `shown_ns` at the beginning.
    pub fn process(&self, seed: u64, shown_ns: u64) -> Process {
        let mut state = self.state();
        let number = state.members.len();
        state.members.push(Member::new(Clock::starting_at(shown_ns), Rng::new(seed)));
        state.network.grow(number + 1);
        Process::new(self.clone(), number as u32)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }

    /// How long the world has lasted.
    pub fn age(&self) -> Duration {
        Duration::from_nanos(self.now_ns())
    }

    fn now_ns(&self) -> u64 {
        self.0.now_ns.load(Ordering::Acquire)
    }

    /// Does something at that age of the world, or at once if that is past.
    pub fn at(&self, age: Duration, action: impl FnOnce() + Send + 'static) {
        let mut state = self.state();
        state.ordered += 1;
        let key = (nanos(age).max(self.now_ns()), state.ordered);
        state.actions.insert(key, Box::new(action));
    }

    /// Lets it go on until `is_over`, or until nothing more can happen, or until it is so old.
    pub fn run(&self, until: Duration, is_over: impl Fn() -> bool) {
        while !is_over() {
            self.act();
            self.ring();
            if self.poll_one() {
                continue;
            }
            match self.next_ns() {
                Some(next_ns) if next_ns <= nanos(until) => {
                    self.0.now_ns.fetch_max(next_ns, Ordering::AcqRel);
                }
                _ => return,
            }
        }
    }

    fn act(&self) {
        loop {
            let action = {
                let mut state = self.state();
                let due = state.actions.first_key_value().is_some_and(|(key, _)| key.0 <= self.now_ns());
                if !due {
                    return;
                }
                state.actions.pop_first()
            };
            if let Some((_, action)) = action {
                action();
            }
        }
    }

    /// Wakes the tasks with timers due by the clocks of their processes.
    fn ring(&self) {
        let now_ns = self.now_ns();
        let mut due = Vec::new();
        for member in &mut self.state().members {
            member.take_due(now_ns, &mut due);
        }
        due.into_iter().for_each(std::task::Waker::wake);
    }

    fn next_ns(&self) -> Option<u64> {
        let state = self.state();
        let action = state.actions.first_key_value().map(|(key, _)| key.0);
        let timers = state.members.iter().filter_map(Member::next_ns);
        // A timer that a clock has jumped over is due now.
        timers.chain(action).min().map(|next_ns| next_ns.max(self.now_ns()))
    }

    /// Polls one ready task of a process that is not paused, chosen by the rng; answers whether there was one.
    fn poll_one(&self) -> bool {
        let task = {
            let mut state = self.state();
            let State { turns, members, .. } = &mut *state;
            let runs = |process: u32| members[process as usize].status == Status::Running;
            let Some(task) = self.0.ready.take(turns, runs) else { return false };
            state.polls += 1;
            task
        };
        task.poll();
        true
    }

    /// How many polls there were.
    pub fn polls(&self) -> u64 {
        self.state().polls
    }

    /// Writes down what a process has seen.
    pub fn record(&self, process: u32, kind: EventKind) {
        let event = Event { at_us: self.now_ns() / 1000, process, kind };
        lock(&self.0.history).push(event);
    }

    /// A number for one more attempt.
    pub fn attempt(&self) -> u64 {
        self.0.attempts.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// All recorded events in order.
    pub fn history(&self) -> Vec<Event> {
        lock(&self.0.history).clone()
    }

    /// Ends everything: tasks hold their world, and it them.
    pub fn end(&self) {
        let count = self.state().members.len() as u32;
        for number in 0..count {
            self.kill(number);
        }
        let actions = std::mem::take(&mut self.state().actions);
        drop(actions);
        self.0.ready.clear();
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "World({:?})", self.age())
    }
}

#[cfg(test)]
mod tests;
