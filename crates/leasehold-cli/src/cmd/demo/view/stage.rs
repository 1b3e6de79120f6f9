//! [`Stage`]: how a lane stands at this moment.

use super::super::{
    event::{Event, Kind},
    plan::{Lane, Plan},
};

/// What a worker does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Doing {
    /// Between two customers.
    Idle,
    /// Waits for its turn.
    Waiting,
    /// Sells, with this grant of the lane.
    Selling {
        /// The rank of its token.
        rank: Option<usize>,
    },
    /// Is stopped.
    Paused {
        /// Since when.
        since_ns: u64,
    },
    /// Went home.
    Gone,
}

/// One worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Actor {
    /// What it does.
    pub(crate) doing: Doing,
    /// What it did before it was stopped.
    before: Doing,
    /// How many it has sold.
    pub(crate) sold: u32,
}

/// How a lane stands at this moment.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    /// Which lane.
    pub(crate) lane: Lane,
    /// When it began.
    pub(crate) began_ns: u64,
    /// Items at the beginning.
    pub(crate) full: i64,
    /// Items, as somebody last wrote.
    pub(crate) stock: i64,
    /// All workers.
    pub(crate) actors: Vec<Actor>,
    /// Whether somebody was stopped and others entered since.
    pub(crate) overtaken: bool,
    /// Who is stopped, or was, until it has left the shop.
    pub(crate) victim: Option<u32>,
    /// Whether the victim goes on again.
    pub(crate) woken: bool,
    fences: Vec<u64>,
}

impl Stage {
    /// A lane that has not begun.
    pub(crate) fn new(lane: Lane, plan: &Plan) -> Stage {
        let actor = Actor { doing: Doing::Idle, before: Doing::Idle, sold: 0 };
        Stage {
            lane,
            began_ns: 0,
            full: i64::from(plan.stock),
            stock: i64::from(plan.stock),
            actors: vec![actor; plan.workers as usize],
            overtaken: false,
            victim: None,
            woken: false,
            fences: Vec::new(),
        }
    }

    /// Takes in what happened.
    pub(crate) fn take(&mut self, event: &Event) {
        if let Kind::Entered { fence: Some(fence) } = event.kind {
            self.fences.push(fence);
        }
        if let Kind::Sold { read, .. } = event.kind {
            self.stock = read - 1;
        }
        if event.kind == Kind::Left && self.victim == Some(event.worker) && self.woken {
            self.victim = None;
        }
        let rank = |fence: u64| rank_in(&self.fences, fence);
        let Some(actor) = self.actors.get_mut((event.worker as usize).wrapping_sub(1)) else { return };
        actor.doing = match event.kind {
            Kind::Waiting => Doing::Waiting,
            Kind::Entered { fence } => Doing::Selling { rank: fence.map(rank) },
            Kind::Left => Doing::Idle,
            Kind::SoldOut => Doing::Gone,
            Kind::Paused => {
                (actor.before, self.victim) = (actor.doing, Some(event.worker));
                Doing::Paused { since_ns: event.at_ns }
            }
            Kind::Woken => {
                self.woken = true;
                actor.before
            }
            _ => actor.doing,
        };
        actor.sold += u32::from(matches!(event.kind, Kind::Sold { .. }));
    }

    /// Which grant of the lane a token is, from 1.
    pub(crate) fn rank(&self, fence: u64) -> usize {
        rank_in(&self.fences, fence)
    }

    /// Orders so far.
    pub(crate) fn sold(&self) -> u32 {
        self.actors.iter().map(|actor| actor.sold).sum()
    }
}

fn rank_in(fences: &[u64], fence: u64) -> usize {
    fences.partition_point(|&other| other < fence) + 1
}
