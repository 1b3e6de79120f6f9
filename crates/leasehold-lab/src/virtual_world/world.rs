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

#[derive(Clone)]
pub(crate) struct World(Arc<Shared>);

struct Shared {
    now_ns: AtomicU64,
    ready: Ready,
    state: Mutex<State>,
}

struct State {
    /// Chooses the task that is polled next.
    turns: Rng,
    /// Chooses the fate of messages.
    luck: Rng,
    /// By due time and order of arrival.
    actions: BTreeMap<(u64, u64), Action>,
    arrivals: u64,
    members: Vec<Member>,
    network: Network,
    attempts: u64,
    history: Vec<Event>,
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

type Delivery = Arc<dyn Fn(bool) + Send + Sync>;

impl World {
    pub(crate) fn new(seed: u64) -> World {
        let rng = Rng::new(seed);
        let state = State {
            turns: rng.split(1),
            luck: rng.split(2),
            actions: BTreeMap::new(),
            arrivals: 0,
            members: Vec::new(),
            network: Network::default(),
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

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }

    pub(super) fn with<T>(&self, number: u32, act: impl FnOnce(&mut Member) -> T) -> T {
        act(&mut self.state().members[number as usize])
    }

    pub(super) fn ready(&self) -> &Ready {
        &self.0.ready
    }

    pub(crate) fn age(&self) -> Duration {
        Duration::from_nanos(self.now_ns())
    }

    pub(super) fn now_ns(&self) -> u64 {
        self.0.now_ns.load(Ordering::Acquire)
    }

    /// Schedules an action; an age that is past means at once.
    pub(crate) fn at(&self, age: Duration, action: impl FnOnce() + Send + 'static) {
        let mut state = self.state();
        state.arrivals += 1;
        let key = (nanos(age).max(self.now_ns()), state.arrivals);
        state.actions.insert(key, Box::new(action));
    }

    /// Runs until `is_over`, until nothing more can happen, or until that age.
    pub(crate) fn run(&self, until: Duration, is_over: impl Fn() -> bool) {
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
            self.0.ready.take(turns, runs)
        };
        task.map(|task| task.poll()).is_some()
    }

    pub(crate) fn record(&self, process: u32, kind: EventKind) {
        let event = Event { at_us: self.now_ns() / 1000, process, kind };
        self.state().history.push(event);
    }

    pub(crate) fn attempt(&self) -> u64 {
        let mut state = self.state();
        state.attempts += 1;
        state.attempts
    }

    pub(crate) fn history(&self) -> Vec<Event> {
        self.state().history.clone()
    }

    pub(crate) fn set_conditions(&self, way: Way, change: impl FnOnce(&mut Conditions)) {
        change(&mut self.state().network.line(way).conditions);
    }

    /// Cuts a way, or joins it again. Messages in flight arrive.
    pub(crate) fn set_cut(&self, way: Way, is_cut: bool) {
        self.state().network.line(way).is_cut = is_cut;
    }

    /// Sends a message. `delivered` runs once for each time it arrives, perhaps never, and is told whether the receiver is
    /// alive.
    pub(crate) fn send(&self, way: Way, delivered: impl Fn(bool) + Send + Sync + 'static) {
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
        let status = self.with(to, |member| {
            if member.status == Status::Paused {
                let delivered = delivered.clone();
                member.inbox.push(Box::new(move || delivered(true)));
            }
            member.status
        });
        if status != Status::Paused {
            delivered(status == Status::Running);
        }
    }

    pub(super) fn pause(&self, number: u32, span: Duration) {
        if self.change_status(number, Status::Running, Status::Paused) {
            let world = self.clone();
            self.at(self.age() + span, move || world.resume(number));
        }
    }

    fn resume(&self, number: u32) {
        if self.change_status(number, Status::Paused, Status::Running) {
            let inbox = self.with(number, |member| mem::take(&mut member.inbox));
            inbox.into_iter().for_each(|delivery| delivery());
        }
    }

    /// Replaces the expected status of a process; whether it had that.
    fn change_status(&self, number: u32, expected: Status, next: Status) -> bool {
        self.with(number, |member| {
            let changes = member.status == expected;
            if changes {
                member.status = next;
            }
            changes
        })
    }

    pub(super) fn kill(&self, number: u32) {
        let (tasks, _timers, _inbox) = self.with(number, |member| {
            member.status = Status::Dead;
            (mem::take(&mut member.tasks), mem::take(&mut member.timers), mem::take(&mut member.inbox))
        });
        // Dropped outside of the lock: dropped futures cancel their timers.
        tasks.iter().for_each(|task| drop(task.kill()));
    }

    /// Breaks the cycle of references between the world and its tasks.
    pub(crate) fn end(&self) {
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
