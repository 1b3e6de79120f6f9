//! Plans for quorums, and of many faults at once.

use super::{Faults, ms, single};
use crate::faults::{Kind, PlannedFault, Target};

/// A fault of a minority of the servers.
pub(super) fn minority(faults: &mut Faults, kind: Kind) -> Vec<PlannedFault> {
    let mut nodes: Vec<u32> = (1..=faults.nodes).collect();
    let spared = faults.nodes / 2 + 1;
    for _ in 0..spared {
        let at = faults.rng.between(0, nodes.len() as u64) as usize;
        nodes.swap_remove(at);
    }
    nodes.into_iter().map(|node| faults.fault(kind, Target::Node(node), (50, 400))).collect()
}

/// One after the other, each with nothing left; and lines that are cut, so that majorities differ.
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

/// Members disagree about who can be reached.
pub(super) fn cut_lines(faults: &mut Faults) -> Vec<PlannedFault> {
    let mut all = Vec::new();
    for client in 1..=faults.clients {
        let node = faults.rng.between(1, u64::from(faults.nodes) + 1) as u32;
        all.push(faults.fault(Kind::Cut, Target::Line(client, node), (50, 300)));
    }
    all
}

/// Clients that never see the same majority, in a quorum whose members' calendars are far apart: tokens differ.
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
    let mut all = single::pause(faults);
    all.extend(cut_lines(faults));
    all
}

/// Messages that arrive when nobody waits for them any more, and members that hang.
pub(super) fn late(faults: &mut Faults) -> Vec<PlannedFault> {
    let mut all = single::late(faults);
    all.extend(faults.on_nodes(Kind::Pause, (5, 60)));
    all.extend(faults.on_clients(Kind::Suspend, (20, 120)));
    all.extend(cut_lines(faults));
    all
}

/// Everything that leases survive, at once.
pub(super) fn storm(faults: &mut Faults) -> Vec<PlannedFault> {
    let mut all = single::pause(faults);
    all.extend(faults.on_clients(Kind::Crash, (5, 100)));
    all.extend(faults.on_clients(Kind::Suspend, (50, 200)));
    all.extend(faults.on_clients(Kind::Cut, (20, 200)));
    all.extend(faults.on_nodes(Kind::Pause, (10, 100)));
    all.extend(single::disorder(faults));
    let percent = faults.rng.between(2, 15) as u8;
    all.push(faults.fault(Kind::Loss(percent), Target::All, (50, 300)));
    for fault in &mut all {
        // Spread over the whole of a long run.
        fault.begin *= 1 + faults.rng.between(0, 8) as u32;
    }
    all
}
