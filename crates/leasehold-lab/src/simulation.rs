//! [`Simulation`]: the servers, the clients and the resource of a run in a virtual world.

use std::{
    sync::{Arc, Mutex, atomic::AtomicU32},
    time::Duration,
};

use crate::{
    checker::{Rule, Violation},
    config::RunConfig,
    faults::{Kind, PlannedFault, Target},
    history::EventKind,
    rng::Rng,
    sync::lock,
    virtual_world::{Conditions, Process, Server, SimResource, Way, World},
};

/// The initial time of a server's clock: late enough that it can be moved back.
const BOOTED_NS: u64 = 3_600_000_000_000;
/// How long a pause waits for its step.
const STEP_TIMEOUT: Duration = Duration::from_millis(400);

pub(crate) struct Simulation {
    pub(crate) config: RunConfig,
    pub(crate) world: World,
    pub(crate) servers: Vec<Server>,
    pub(crate) resource: SimResource,
    pub(crate) clients: Vec<Process>,
    /// How often each client was started.
    pub(crate) lives: Vec<AtomicU32>,
    finished: Mutex<Vec<bool>>,
    /// The end of the last fault, as an age of the world.
    pub(crate) heals: Duration,
    /// Pauses that wait for a step of a client.
    pub(crate) armed: Mutex<Vec<PlannedFault>>,
    violations: Mutex<Vec<Violation>>,
}

impl Simulation {
    /// Sets up the world; nothing runs yet.
    pub(crate) fn new(config: RunConfig) -> Arc<Simulation> {
        let world = World::new(config.seed);
        let mut rng = Rng::new(config.seed).split(3);
        let resource = SimResource::new(world.process(rng.next_u64(), BOOTED_NS), config.fence);
        let mut processes = |count: u32| -> Vec<Process> {
            (0..count).map(|_| world.process(rng.next_u64(), BOOTED_NS + rng.between(0, 1 << 36))).collect()
        };
        let servers = processes(config.nodes).into_iter().map(Server::new).collect();
        let clients = processes(config.clients);
        let ends = config.faults.iter().map(latest_end);
        Arc::new(Simulation {
            servers,
            resource,
            lives: clients.iter().map(|_| AtomicU32::new(0)).collect(),
            clients,
            finished: Mutex::new(vec![false; config.clients as usize]),
            heals: ends.max().unwrap_or_default(),
            armed: Mutex::default(),
            violations: Mutex::default(),
            world,
            config,
        })
    }

    pub(crate) fn has_finished(&self, client: u32) -> bool {
        lock(&self.finished)[client as usize - 1]
    }

    pub(crate) fn finish(&self, client: u32) {
        lock(&self.finished)[client as usize - 1] = true;
    }

    /// Whether all clients have finished and the last fault is over.
    pub(crate) fn is_over(&self) -> bool {
        lock(&self.finished).iter().all(|finished| *finished) && self.world.age() >= self.heals
    }

    /// Reports a violation that no history shows.
    pub(crate) fn violation(&self, rule: Rule, text: String) {
        let at_us = self.world.age().as_micros() as u64;
        lock(&self.violations).push(Violation { rule, at_us, text, events: Vec::new() });
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        lock(&self.violations).clone()
    }

    pub(crate) fn record(&self, fault: PlannedFault, ended: bool) {
        let (name, target) = (fault.kind.to_string(), fault.target.to_string());
        self.world.record(0, EventKind::PlannedFault { name, target, ended });
    }

    /// A client has reached a step at which a fault may pause it.
    pub(crate) fn reached(self: &Arc<Self>, client: u32, step: Kind) {
        let now = self.world.age();
        let is_due = |fault: &PlannedFault| {
            fault.kind == step && fault.target == Target::Client(client) && fault.begin <= now
        };
        let fault = {
            let mut armed = lock(&self.armed);
            let Some(at) = armed.iter().position(is_due) else { return };
            armed.swap_remove(at)
        };
        let lead = if step == Kind::PauseAsking { Conditions::FINE.delay_min / 2 } else { Duration::ZERO };
        let (paused, resumed) = (self.clone(), self.clone());
        self.world.at(now + lead, move || {
            paused.record(fault, false);
            paused.clients[client as usize - 1].pause(fault.length);
        });
        self.world.at(now + lead + fault.length, move || resumed.record(fault, true));
    }

    pub(crate) fn processes(&self, target: Target) -> impl Iterator<Item = &Process> {
        let clients = (1..).map(Target::Client).zip(&self.clients);
        let servers = (1..).map(Target::Node).zip(self.servers.iter().map(Server::process));
        let is_meant = move |one: &Target| target == Target::All || target == *one;
        clients.chain(servers).filter(move |(one, _)| is_meant(one)).map(|(_, process)| process)
    }

    /// The lines between clients and servers that a fault affects. Lines to the resource lose nothing, so that the result
    /// of every write is known.
    pub(crate) fn lines(&self, target: Target) -> Vec<Way> {
        let mut lines = Vec::new();
        for (client, process) in (1..).zip(&self.clients) {
            for (node, server) in (1..).zip(&self.servers) {
                let is_affected = match target {
                    Target::Client(number) => number == client,
                    Target::Node(number) => number == node,
                    Target::Line(one, other) => (one, other) == (client, node),
                    Target::All => true,
                };
                if is_affected {
                    lines.push(process.way_to(server.process()));
                }
            }
        }
        lines
    }
}

fn latest_end(fault: &PlannedFault) -> Duration {
    fault.end() + if waits_for_step(fault.kind) { STEP_TIMEOUT } else { Duration::ZERO }
}

pub(crate) fn waits_for_step(kind: Kind) -> bool {
    matches!(kind, Kind::PauseAsking | Kind::PauseWriting)
}
