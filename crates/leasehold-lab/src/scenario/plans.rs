//! Plans: the faults of each scenario, chosen by a seed.

use std::time::Duration;

use crate::{
    faults::{Kind, PlannedFault, Target},
    rng::Rng,
};

/// The parameters for the choice of faults.
#[derive(Debug)]
pub(crate) struct Faults {
    pub(super) rng: Rng,
    pub(super) nodes: u32,
    pub(super) clients: u32,
    pub(super) ttl: Duration,
}

pub(super) const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

impl Faults {
    fn client(&mut self) -> Target {
        Target::Client(self.rng.between(1, u64::from(self.clients) + 1) as u32)
    }

    fn node(&mut self) -> Target {
        Target::Node(self.rng.between(1, u64::from(self.nodes) + 1) as u32)
    }

    /// A fault that begins while the clients work, and lasts so many hundredths of a time to live.
    fn fault(&mut self, kind: Kind, target: Target, (low, high): (u32, u32)) -> PlannedFault {
        let begin = self.rng.span(ms(1), ms(300));
        let length = self.rng.span(self.ttl * low / 100, self.ttl * high / 100);
        PlannedFault { kind, target, begin: whole(begin), length: whole(length) }
    }

    /// One to three faults of clients.
    pub(super) fn on_clients(&mut self, kind: Kind, span: (u32, u32)) -> Vec<PlannedFault> {
        let count = self.rng.between(1, 4);
        let mut one = |_| {
            let target = self.client();
            self.fault(kind, target, span)
        };
        (0..count).map(&mut one).collect()
    }

    /// One or two faults of servers.
    pub(super) fn on_nodes(&mut self, kind: Kind, span: (u32, u32)) -> Vec<PlannedFault> {
        let count = self.rng.between(1, 3);
        let mut one = |_| {
            let target = self.node();
            self.fault(kind, target, span)
        };
        (0..count).map(&mut one).collect()
    }

    fn throughout(kind: Kind, target: Target, length: Duration) -> PlannedFault {
        PlannedFault { kind, target, begin: Duration::ZERO, length }
    }
}

/// Plans are written in milliseconds.
fn whole(span: Duration) -> Duration {
    ms(span.as_millis() as u64)
}

pub(super) fn delay(faults: &mut Faults) -> Vec<PlannedFault> {
    let by_ms = faults.rng.between(20, 200);
    vec![Faults::throughout(Kind::Delay(by_ms), Target::All, ms(3000))]
}

pub(super) fn loss(faults: &mut Faults) -> Vec<PlannedFault> {
    let percent = faults.rng.between(10, 40) as u8;
    vec![Faults::throughout(Kind::Loss(percent), Target::All, ms(3000))]
}

/// Each of several servers has a connection of its own, on which no message comes twice: there, messages are late.
pub(super) fn disorder(faults: &mut Faults) -> Vec<PlannedFault> {
    if faults.nodes > 1 {
        return late(faults);
    }
    let percent = faults.rng.between(10, 50) as u8;
    [Kind::Duplicates(percent), Kind::Overtaken(percent)]
        .map(|kind| Faults::throughout(kind, Target::All, ms(3000)))
        .to_vec()
}

pub(super) fn late(faults: &mut Faults) -> Vec<PlannedFault> {
    let percent = faults.rng.between(10, 50) as u8;
    vec![Faults::throughout(Kind::Late(percent), Target::All, ms(3000))]
}

pub(super) fn one_way_cut(faults: &mut Faults) -> Vec<PlannedFault> {
    let kind = if faults.rng.percent(50) { Kind::CutThere } else { Kind::CutBack };
    faults.on_clients(kind, (20, 250))
}

/// Replies are slow as well, so that a lease counted from its reply is wrong.
pub(super) fn partition(faults: &mut Faults) -> Vec<PlannedFault> {
    let by_ms = faults.rng.between(50, 220);
    let mut all = vec![Faults::throughout(Kind::Delay(by_ms), Target::All, ms(6000))];
    for number in 1..=faults.clients {
        let length = faults.rng.span(faults.ttl * 2, faults.ttl * 4);
        let begin = faults.rng.span(ms(100), ms(2000));
        let (target, kind) = (Target::Client(number), Kind::Cut);
        all.push(PlannedFault { kind, target, begin: whole(begin), length: whole(length) });
    }
    all
}

pub(super) fn pause(faults: &mut Faults) -> Vec<PlannedFault> {
    let mut all = faults.on_clients(Kind::Pause, (20, 250));
    all.extend(faults.on_clients(Kind::PauseWriting, (105, 250)));
    all
}

pub(super) fn suspend(faults: &mut Faults) -> Vec<PlannedFault> {
    let mut all = faults.on_clients(Kind::Suspend, (50, 300));
    // During a hold.
    all.extend(faults.on_clients(Kind::Suspend, (105, 300)));
    all
}

pub(super) fn jump(faults: &mut Faults) -> Vec<PlannedFault> {
    let mut all = Vec::new();
    for _ in 0..faults.rng.between(1, 4) {
        let by_ms = faults.rng.between(500, 90_000) as i64;
        let kind = Kind::Jump(if faults.rng.percent(60) { by_ms } else { -by_ms });
        all.extend(faults.on_nodes(kind, (0, 1)));
    }
    all
}

/// Within the allowance of 1 %, with holders that are cut off.
pub(super) fn drift(faults: &mut Faults) -> Vec<PlannedFault> {
    let rate = faults.rng.between(1006, 1010);
    let mut all = vec![Faults::throughout(Kind::Rate(rate), Target::Node(1), ms(60_000))];
    all.extend(faults.on_clients(Kind::Cut, (120, 160)));
    all
}

pub(super) fn rate(faults: &mut Faults) -> Vec<PlannedFault> {
    let rate = faults.rng.between(1010, 3001);
    let target = if faults.rng.percent(70) { Target::Node(1) } else { faults.client() };
    let slow = matches!(target, Target::Client(_));
    // A client whose clock is slow is as bad as a server whose clock is fast.
    let rate = if slow { 1_000_000 / rate } else { rate };
    let mut all = vec![Faults::throughout(Kind::Rate(rate), target, ms(8000))];
    all.extend(faults.on_clients(Kind::Cut, (100, 250)));
    all
}

pub(super) fn lost_replies(faults: &mut Faults) -> Vec<PlannedFault> {
    let mut burst = |at: u64| {
        let length = faults.rng.span(ms(20), ms(120));
        let begin = ms(at * 400) + faults.rng.span(ms(0), ms(250));
        // Of one client, so that it alone misses its wake-up, or of all.
        let target = if faults.rng.percent(70) { faults.client() } else { Target::All };
        PlannedFault { kind: Kind::CutBack, target, begin: whole(begin), length: whole(length) }
    };
    // And once more after all work: a waiter whose wake-up was lost has waited for long then.
    [0, 1, 2, 3, 27].into_iter().map(&mut burst).collect()
}

pub(super) fn overtaken(faults: &mut Faults) -> Vec<PlannedFault> {
    let percent = faults.rng.between(20, 60) as u8;
    // For longer than it takes until holds are renewed.
    vec![Faults::throughout(Kind::Overtaken(percent), Target::All, ms(15_000))]
}

/// A fault of a minority of the servers.
pub(super) fn minority(faults: &mut Faults, kind: Kind) -> Vec<PlannedFault> {
    let mut nodes: Vec<u32> = (1..=faults.nodes).collect();
    let spared = faults.nodes / 2 + 1;
    for _ in 0..spared {
        nodes.swap_remove(faults.rng.below(nodes.len()));
    }
    nodes.into_iter().map(|node| faults.fault(kind, Target::Node(node), (50, 400))).collect()
}

/// One server after the other, with cut lines, so that majorities differ.
pub(super) fn forget_in_turn(faults: &mut Faults) -> Vec<PlannedFault> {
    let mut all = Vec::new();
    for node in 1..=faults.nodes {
        let mut forgets = faults.fault(Kind::Forget, Target::Node(node), (2, 20));
        forgets.begin = ms(100 + u64::from(node) * faults.rng.between(150, 500));
        all.push(forgets);
    }
    all.extend(cut_lines(faults));
    all
}

/// A cut line for each client.
pub(super) fn cut_lines(faults: &mut Faults) -> Vec<PlannedFault> {
    let mut all = Vec::new();
    for client in 1..=faults.clients {
        let node = faults.rng.between(1, u64::from(faults.nodes) + 1) as u32;
        all.push(faults.fault(Kind::Cut, Target::Line(client, node), (50, 300)));
    }
    all
}

/// Different majorities of members whose calendars are far apart: tokens differ.
pub(super) fn calendars_apart(faults: &mut Faults) -> Vec<PlannedFault> {
    let mut all = Vec::new();
    for node in 2..=faults.nodes {
        let by_ms = faults.rng.between(6000, 90_000) as i64;
        all.push(Faults::throughout(Kind::Jump(by_ms), Target::Node(node), ms(0)));
    }
    for _ in 0..3 {
        all.extend(cut_lines(faults));
    }
    all
}

pub(super) fn quorum_pause(faults: &mut Faults) -> Vec<PlannedFault> {
    let mut all = pause(faults);
    all.extend(cut_lines(faults));
    all
}

/// Messages that arrive too late, and members that hang.
pub(super) fn quorum_late(faults: &mut Faults) -> Vec<PlannedFault> {
    let mut all = late(faults);
    all.extend(faults.on_nodes(Kind::Pause, (5, 60)));
    all.extend(faults.on_clients(Kind::Suspend, (20, 120)));
    all.extend(cut_lines(faults));
    all
}

/// All faults that leases survive.
pub(super) fn storm(faults: &mut Faults) -> Vec<PlannedFault> {
    let mut all = pause(faults);
    all.extend(faults.on_clients(Kind::Crash, (5, 100)));
    all.extend(faults.on_clients(Kind::Suspend, (50, 200)));
    all.extend(faults.on_clients(Kind::Cut, (20, 200)));
    all.extend(faults.on_nodes(Kind::Pause, (10, 100)));
    all.extend(disorder(faults));
    let percent = faults.rng.between(2, 15) as u8;
    all.push(faults.fault(Kind::Loss(percent), Target::All, (50, 300)));
    for fault in &mut all {
        // Spread over the whole of a long run.
        fault.begin *= 1 + faults.rng.between(0, 8) as u32;
    }
    all
}
