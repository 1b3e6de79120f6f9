//! The clients of a [`Simulation`], and the faults that occur in it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::{
    config::RunConfig,
    faults::{HELD_BACK, Kind, LATE, PlannedFault, Target},
    history::EventKind,
    rng::Rng,
    simulation::{Simulation, waits_for_step},
    strategies::{self, Client},
    sync::lock,
    virtual_world::Conditions,
};

/// Starts the clients and schedules the faults; nothing runs yet.
pub(crate) fn start(config: RunConfig) -> Arc<Simulation> {
    let simulation = Simulation::new(config);
    for fault in simulation.config.faults.iter().copied() {
        if waits_for_step(fault.kind) {
            lock(&simulation.armed).push(fault);
            continue;
        }
        let (begun, ended) = (simulation.clone(), simulation.clone());
        simulation.world.at(fault.begin, move || begin(&begun, fault));
        simulation.world.at(fault.end(), move || end(&ended, fault));
    }
    let healed = simulation.clone();
    simulation.world.at(simulation.heals, move || {
        lock(&healed.armed).clear();
        healed.world.record(0, EventKind::Healed);
    });
    for number in 1..=simulation.config.clients {
        start_client(&simulation, number);
    }
    simulation
}

/// Starts a client, for the first time or again.
fn start_client(simulation: &Arc<Simulation>, number: u32) {
    let at = number as usize - 1;
    let process = simulation.clients[at].clone();
    process.revive();
    let life = simulation.lives[at].fetch_add(1, Ordering::AcqRel);
    let rng = Rng::new(simulation.config.seed).split(100 + u64::from(number) + 1000 * u64::from(life));
    let client = Client { simulation: simulation.clone(), name: number + 100 * life, number, rng, process };
    client.process.env().spawn(strategies::run(client));
}

fn begin(simulation: &Simulation, fault: PlannedFault) {
    simulation.record(fault, false);
    let processes = || simulation.processes(fault.target);
    match (fault.kind, fault.target) {
        (Kind::Pause, _) => processes().for_each(|process| process.pause(fault.length)),
        (Kind::Suspend, _) => processes().for_each(|process| process.suspend(fault.length)),
        (Kind::Crash, Target::Client(number)) => crash(simulation, number),
        (Kind::Crash | Kind::Forget, Target::Node(number)) => simulation.servers[number as usize - 1].crash(),
        (Kind::Jump(by_ms), _) => processes().for_each(|process| process.jump(by_ms)),
        (Kind::Rate(rate), _) => processes().for_each(|process| process.set_rate(rate)),
        _ => disturb(simulation, fault, true),
    }
}

fn end(simulation: &Arc<Simulation>, fault: PlannedFault) {
    match (fault.kind, fault.target) {
        (Kind::Crash, Target::Client(number)) => {
            if !simulation.has_finished(number) && simulation.clients[number as usize - 1].is_dead() {
                start_client(simulation, number);
            }
        }
        (Kind::Crash | Kind::Forget, Target::Node(number)) => {
            // It runs already if another crash began before this one and has ended.
            let server = &simulation.servers[number as usize - 1];
            if server.process().is_dead() {
                server.restart(fault.kind == Kind::Forget);
            }
        }
        (Kind::Rate(_), _) => simulation.processes(fault.target).for_each(|process| process.set_rate(1000)),
        _ => disturb(simulation, fault, false),
    }
    simulation.record(fault, true);
}

fn crash(simulation: &Simulation, number: u32) {
    let at = number as usize - 1;
    if simulation.has_finished(number) || simulation.clients[at].is_dead() {
        return;
    }
    let life = simulation.lives[at].load(Ordering::Acquire).saturating_sub(1);
    simulation.clients[at].kill();
    simulation.world.record(number + 100 * life, EventKind::Gone);
}

/// Begins or ends a fault of the network.
fn disturb(simulation: &Simulation, fault: PlannedFault, begins: bool) {
    let (world, resource) = (&simulation.world, simulation.resource.process());
    let mut lines = simulation.lines(fault.target);
    if matches!((fault.kind, fault.target), (Kind::Delay(_), Target::All)) {
        lines.extend(simulation.clients.iter().map(|client| client.way_to(resource)));
    }
    for there in lines {
        let back = there.reversed();
        match fault.kind {
            Kind::CutThere => world.set_cut(there, begins),
            Kind::CutBack => world.set_cut(back, begins),
            Kind::Cut => [there, back].iter().for_each(|way| world.set_cut(*way, begins)),
            _ => [there, back].iter().for_each(|way| {
                world.set_conditions(*way, |conditions| change(conditions, fault.kind, begins));
            }),
        }
    }
}

fn change(conditions: &mut Conditions, kind: Kind, begins: bool) {
    let percent = |percent| if begins { percent } else { 0 };
    match kind {
        Kind::Delay(by_ms) => {
            let by = if begins { Duration::from_millis(by_ms) } else { Duration::ZERO };
            conditions.delay_max = Conditions::FINE.delay_max + by;
        }
        Kind::Loss(loss) => conditions.loss = percent(loss),
        Kind::Duplicates(duplicates) => conditions.duplicates = percent(duplicates),
        Kind::Overtaken(overtaken) => {
            (conditions.overtaken, conditions.held_back) = (percent(overtaken), HELD_BACK);
        }
        Kind::Late(overtaken) => (conditions.overtaken, conditions.held_back) = (percent(overtaken), LATE),
        _ => {}
    }
}
