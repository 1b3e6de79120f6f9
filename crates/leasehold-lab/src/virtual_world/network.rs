//! [`Network`]: a message takes its time, and may be lost, duplicated or overtaken.

use std::time::Duration;

use crate::rng::Rng;

/// The conditions of a way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Conditions {
    pub(crate) delay_min: Duration,
    pub(crate) delay_max: Duration,
    /// The percentages of lost and duplicated messages, and of those that are held back and overtaken.
    pub(crate) loss: u8,
    pub(crate) duplicates: u8,
    pub(crate) overtaken: u8,
    /// The longest time for which a message is held back.
    pub(crate) held_back: Duration,
}

impl Conditions {
    /// A good local network.
    pub(crate) const FINE: Conditions = Conditions {
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
pub(crate) struct Way {
    pub(crate) from: u32,
    pub(crate) to: u32,
}

impl Way {
    #[must_use]
    pub(crate) const fn reversed(self) -> Way {
        Way { from: self.to, to: self.from }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) conditions: Conditions,
    pub(super) is_cut: bool,
    /// The latest arrival of a message that was not held back: later ones arrive after it.
    last_ns: u64,
}

impl Line {
    /// The arrivals of a message that is sent now: none, one or two.
    pub(super) fn arrivals(&mut self, now_ns: u64, luck: &mut Rng) -> Vec<u64> {
        let conditions = self.conditions;
        let mut arrivals = Vec::new();
        if self.is_cut {
            return arrivals;
        }
        let copies = 1 + u8::from(luck.percent(conditions.duplicates));
        for _ in 0..copies {
            if luck.percent(conditions.loss) {
                continue;
            }
            let delay = luck.span(conditions.delay_min, conditions.delay_max);
            let mut at_ns = now_ns + (delay.as_nanos() as u64).max(1000);
            if luck.percent(conditions.overtaken) {
                at_ns += luck.span(Duration::ZERO, conditions.held_back).as_nanos() as u64;
            } else {
                at_ns = at_ns.max(self.last_ns + 1);
                self.last_ns = at_ns;
            }
            arrivals.push(at_ns);
        }
        arrivals
    }
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

    pub(super) fn line(&mut self, way: Way) -> &mut Line {
        &mut self.lines[way.from as usize * self.size + way.to as usize]
    }
}
