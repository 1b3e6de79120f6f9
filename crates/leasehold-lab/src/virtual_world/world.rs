//! [`World`]: the time, the processes and the messages between them.

use std::{
    collections::BTreeMap,
    fmt, mem,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
    time::Duration,
};

use super::{
    clock::Clock,
    member::{Action, Member, Status},
    network::{Conditions, Network, Way},
    task::Ready,
};
use crate::{
    history::{Event, EventKind},
    rng::Rng,
    sync::lock,
};

/// A world.
#[derive(Clone)]
pub struct World(Arc<Shared>);

struct Shared {
    now_ns: AtomicU64,
    ready: Ready,
    state: Mutex<State>,
}

pub(super) struct State {
    /// Chooses the task that is polled next.
    turns: Rng,
    /// Chooses the fate of messages.
    luck: Rng,
    /// By due time and order of arrival.
    actions: BTreeMap<(u64, u64), Action>,
    arrivals: u64,
    pub(super) members: Vec<Member>,
    network: Network,
    polls: u64,
    attempts: u64,
    history: Vec<Event>,
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// The handler of an arriving message; `true`: the receiver is alive.
type Delivery = Arc<dyn Fn(bool) + Send + Sync>;

impl World {
    /// An empty world.
    pub fn new(seed: u64) -> World {
        let rng = Rng::new(seed);
        let state = State {
            turns: rng.split(1),
            luck: rng.split(2),
            actions: BTreeMap::new(),
            arrivals: 0,
            members: Vec::new(),
            network: Network::default(),
            polls: 0,
            attempts: 0,
            history: Vec::new(),
        };
        let (now_ns, ready) = (AtomicU64::new(0), Ready::default());
        World(Arc::new(Shared { now_ns, ready, state: Mutex::new(state) }))
    }

    /// Adds a process; returns its number.
    pub(super) fn add(&self, clock: Clock, rng: Rng) -> u32 {
        let mut state = self.state();
        let number = state.members.len();
        state.members.push(Member::new(clock, rng));
        state.network.grow(number + 1);
        number as u32
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }

    pub(super) fn ready(&self) -> &Ready {
        &self.0.ready
    }

    /// The time since its beginning.
    pub fn age(&self) -> Duration {
        Duration::from_nanos(self.now_ns())
    }

    pub(super) fn now_ns(&self) -> u64 {
        self.0.now_ns.load(Ordering::Acquire)
    }

    /// Schedules an action; an age that is past means at once.
    pub fn at(&self, age: Duration, action: impl FnOnce() + Send + 'static) {
        let mut state = self.state();
        state.arrivals += 1;
        let key = (nanos(age).max(self.now_ns()), state.arrivals);
        state.actions.insert(key, Box::new(action));
    }

    /// Runs until `is_over`, until nothing more can happen, or until that age.
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

    /// Performs the actions that are due.
    fn act(&self) {
        let next = || {
            let mut state = self.state();
            let entry = state.actions.first_entry().filter(|entry| entry.key().0 <= self.now_ns())?;
            Some(entry.remove())
        };
        while let Some(action) = next() {
            action();
        }
    }

    /// Wakes the tasks with timers due by the clocks of their processes.
    fn ring(&self) {
        let now_ns = self.now_ns();
        let mut due = Vec::new();
        for member in &mut self.state().members {
            member.take_due(now_ns, &mut due);
        }
        due.into_iter().for_each(Waker::wake);
    }

    fn next_ns(&self) -> Option<u64> {
        let state = self.state();
        let action = state.actions.first_key_value().map(|(key, _)| key.0);
        let timers = state.members.iter().filter_map(Member::next_ns);
        // A timer that a clock has jumped over is due now.
        timers.chain(action).min().map(|next_ns| next_ns.max(self.now_ns()))
    }

    /// Polls one ready task of a running process, chosen by the rng; whether there was one.
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

    /// The number of polls.
    pub fn polls(&self) -> u64 {
        self.state().polls
    }

    /// Records an event of a process.
    pub fn record(&self, process: u32, kind: EventKind) {
        let event = Event { at_us: self.now_ns() / 1000, process, kind };
        self.state().history.push(event);
    }

    /// A number for another attempt.
    pub fn attempt(&self) -> u64 {
        let mut state = self.state();
        state.attempts += 1;
        state.attempts
    }

    /// All recorded events in order.
    pub fn history(&self) -> Vec<Event> {
        self.state().history.clone()
    }

    /// Changes the conditions of a way.
    pub fn set_conditions(&self, way: Way, change: impl FnOnce(&mut Conditions)) {
        change(&mut self.state().network.line(way).conditions);
    }

    /// Cuts a way, or joins it again. Messages in flight arrive.
    pub fn set_cut(&self, way: Way, is_cut: bool) {
        self.state().network.line(way).is_cut = is_cut;
    }

    /// Sends a message. `delivered` runs once for each time it arrives, perhaps never, and is told whether the receiver is
    /// alive.
    pub fn send(&self, way: Way, delivered: impl Fn(bool) + Send + Sync + 'static) {
        let delivered: Delivery = Arc::new(delivered);
        let arrivals = {
            let mut state = self.state();
            let State { network, luck, members, .. } = &mut *state;
            if members[way.from as usize].status == Status::Dead {
                return;
            }
            network.line(way).arrivals(self.now_ns(), luck)
        };
        for at_ns in arrivals {
            let (world, delivered) = (self.clone(), delivered.clone());
            self.at(Duration::from_nanos(at_ns), move || world.deliver(way.to, delivered));
        }
    }

    /// A paused process gets the message when it is resumed.
    fn deliver(&self, to: u32, delivered: Delivery) {
        let status = {
            let mut state = self.state();
            let member = &mut state.members[to as usize];
            if member.status == Status::Paused {
                let delivered = delivered.clone();
                member.inbox.push(Box::new(move || delivered(true)));
            }
            member.status
        };
        if status != Status::Paused {
            delivered(status == Status::Running);
        }
    }

    pub(super) fn pause(&self, number: u32, span: Duration) {
        {
            let mut state = self.state();
            let member = &mut state.members[number as usize];
            if member.status != Status::Running {
                return;
            }
            member.status = Status::Paused;
        }
        let world = self.clone();
        self.at(self.age() + span, move || world.resume(number));
    }

    fn resume(&self, number: u32) {
        let inbox = {
            let mut state = self.state();
            let member = &mut state.members[number as usize];
            if member.status != Status::Paused {
                return;
            }
            member.status = Status::Running;
            mem::take(&mut member.inbox)
        };
        inbox.into_iter().for_each(|delivery| delivery());
    }

    pub(super) fn kill(&self, number: u32) {
        let (tasks, _timers, _inbox) = {
            let mut state = self.state();
            let member = &mut state.members[number as usize];
            member.status = Status::Dead;
            let tasks = mem::take(&mut member.tasks);
            (tasks, mem::take(&mut member.timers), mem::take(&mut member.inbox))
        };
        // Dropped outside of the lock: dropped futures cancel their timers.
        tasks.iter().for_each(|task| drop(task.kill()));
    }

    /// Breaks the cycle of references between the world and its tasks.
    pub fn end(&self) {
        let count = self.state().members.len() as u32;
        (0..count).for_each(|number| self.kill(number));
        let actions = mem::take(&mut self.state().actions);
        drop(actions);
        self.0.ready.clear();
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "World({:?})", self.age())
    }
}
