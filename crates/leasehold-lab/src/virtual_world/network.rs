//! The network: every message from one process to another takes its time, and may be lost, doubled or overtaken.

use std::{sync::Arc, time::Duration};

use super::{
    World, nanos,
    process::{Process, Status},
};

/// How messages fare.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Conditions {
    /// The least time on the way.
    pub delay_min: Duration,
    /// The most.
    pub delay_max: Duration,
    /// The percentage of lost messages.
    pub loss: u8,
    /// The percentage of duplicated messages.
    pub duplicates: u8,
    /// The percentage of messages held back, up to [`Conditions::held_back`], and overtaken.
    pub overtaken: u8,
    /// How long those are held back at most.
    pub held_back: Duration,
}

impl Conditions {
    /// A good local network.
    pub const FINE: Conditions = Conditions {
        delay_min: Duration::from_micros(150),
        delay_max: Duration::from_micros(900),
        loss: 0,
        duplicates: 0,
        overtaken: 0,
        held_back: Duration::ZERO,
    };
}

/// One direction between two processes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Way {
    /// The sender.
    pub from: u32,
    /// The receiver.
    pub to: u32,
}

impl Way {
    /// From one process to another.
    pub fn between(from: &Process, to: &Process) -> Way {
        Way { from: from.number(), to: to.number() }
    }

    /// The opposite direction.
    #[must_use]
    pub const fn reversed(self) -> Way {
        Way { from: self.to, to: self.from }
    }
}

#[derive(Clone, Copy, Debug)]
struct Line {
    conditions: Conditions,
    is_cut: bool,
    /// When the last one arrives that was not held back: those after it come later.
    last_ns: u64,
}

#[derive(Default)]
pub(super) struct Network {
    size: usize,
    lines: Vec<Line>,
}

impl Network {
    pub(super) fn grow(&mut self, size: usize) {
        self.size = size;
        let line = Line { conditions: Conditions::FINE, is_cut: false, last_ns: 0 };
        self.lines = vec![line; size * size];
    }

    fn line(&mut self, way: Way) -> &mut Line {
        &mut self.lines[way.from as usize * self.size + way.to as usize]
    }
}

/// The handler of an arriving message; `true`: the receiver is alive.
type Delivery = Arc<dyn Fn(bool) + Send + Sync>;

impl World {
    /// Changes how messages fare on a way.
    pub fn set_conditions(&self, way: Way, change: impl FnOnce(&mut Conditions)) {
        change(&mut self.state().network.line(way).conditions);
    }

    /// Cuts a way, or joins it again. Messages in flight arrive.
    pub fn set_cut(&self, way: Way, is_cut: bool) {
        self.state().network.line(way).is_cut = is_cut;
    }

    /// Sends a message. `delivered` runs once for each time it arrives, and is told whether the receiver is alive; it may
    /// run never.
    pub fn send(&self, way: Way, delivered: impl Fn(bool) + Send + Sync + 'static) {
        let delivered: Delivery = Arc::new(delivered);
        let now_ns = self.now_ns();
        let mut arrivals = Vec::new();
        {
            let mut state = self.state();
            let super::State { network, luck, members, .. } = &mut *state;
            let line = network.line(way);
            if line.is_cut || members[way.from as usize].status == Status::Dead {
                return;
            }
            let conditions = line.conditions;
            let copies = 1 + u8::from(luck.percent(conditions.duplicates));
            for _ in 0..copies {
                if luck.percent(conditions.loss) {
                    continue;
                }
                let mut at_ns =
                    now_ns + nanos(luck.span(conditions.delay_min, conditions.delay_max)).max(1000);
                if luck.percent(conditions.overtaken) {
                    at_ns += nanos(luck.span(Duration::ZERO, conditions.held_back));
                } else {
                    at_ns = at_ns.max(line.last_ns + 1);
                    line.last_ns = at_ns;
                }
                arrivals.push(at_ns);
            }
        }
        for at_ns in arrivals {
            let (world, delivered) = (self.clone(), delivered.clone());
            self.at(Duration::from_nanos(at_ns), move || world.deliver(way.to, delivered));
        }
    }

    /// A paused process finds it when it goes on.
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
        match status {
            Status::Running => delivered(true),
            Status::Dead => delivered(false),
            Status::Paused => {}
        }
    }
}
