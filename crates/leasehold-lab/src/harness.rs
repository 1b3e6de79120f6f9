//! [`Simulation`]: a virtual world with servers, clients and a resource, and the faults that occur in it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use crate::{
    checker::{Rule, Violation},
    config::RunConfig,
    faults::{HELD_BACK, Kind, LATE, PlannedFault, Target},
    history::EventKind,
    rng::Rng,
    strategies::{self, Client, Context},
    virtual_world::{Conditions, Process, Server, SimResource, Way, World, lock},
};

/// The initial time of a server's clock: late enough that it can be moved back.
const BOOTED_NS: u64 = 3_600_000_000_000;
/// How long a pause waits for its step.
const STEP_TIMEOUT: Duration = Duration::from_millis(400);

#[derive(Clone)]
pub(crate) struct Simulation(Arc<State>);

pub(crate) struct State {
    config: RunConfig,
    pub(crate) world: World,
    servers: Vec<Server>,
    pub(crate) resource: SimResource,
    clients: Vec<Process>,
    /// How often each client was started.
    lives: Vec<AtomicU32>,
    finished: Mutex<Vec<bool>>,
    heals: Duration,
    /// Pauses that wait for a step.
    armed: Mutex<Vec<PlannedFault>>,
    violations: Mutex<Vec<Violation>>,
}

impl std::ops::Deref for Simulation {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

impl Simulation {
    /// Sets up the world and schedules its faults; nothing runs yet.
    pub(crate) fn new(config: RunConfig) -> Simulation {
        let world = World::new(config.seed);
        let mut rng = Rng::new(config.seed).split(3);
        let resource = SimResource::new(world.process(rng.next_u64(), BOOTED_NS), config.fence);
        let mut processes = |count: u32| -> Vec<Process> {
            (0..count).map(|_| world.process(rng.next_u64(), BOOTED_NS + rng.between(0, 1 << 36))).collect()
        };
        let servers = processes(config.nodes).into_iter().map(Server::new).collect();
        let clients = processes(config.clients);
        let ends = config.faults.iter().map(latest_end);
        let simulation = Simulation(Arc::new(State {
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
        }));
        simulation.schedule_faults();
        for number in 1..=simulation.config.clients {
            simulation.start(number);
        }
        simulation
    }

    /// Starts a client, for the first time or again.
    fn start(&self, number: u32) {
        let at = number as usize - 1;
        let process = self.clients[at].clone();
        process.revive();
        let life = self.lives[at].fetch_add(1, Ordering::AcqRel);
        let rng = Rng::new(self.config.seed).split(100 + u64::from(number) + 1000 * u64::from(life));
        let context = Arc::new(self.clone());
        let client = Client { context, name: number + 100 * life, number, rng, process };
        client.process.env().spawn(strategies::run(client));
    }

    fn has_finished(&self, number: u32) -> bool {
        lock(&self.finished)[number as usize - 1]
    }

    /// Whether all clients have finished and the last fault is over.
    pub(crate) fn is_over(&self) -> bool {
        lock(&self.finished).iter().all(|finished| *finished) && self.world.age() >= self.heals
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        lock(&self.violations).clone()
    }

    fn schedule_faults(&self) {
        for fault in &self.config.faults {
            if waits_for_step(fault.kind) {
                lock(&self.armed).push(*fault);
            } else {
                self.schedule(*fault, fault.begin);
            }
        }
        let healed = self.clone();
        self.world.at(self.heals, move || {
            lock(&healed.armed).clear();
            healed.world.record(0, EventKind::Healed);
        });
    }

    fn schedule(&self, fault: PlannedFault, begin: Duration) {
        let simulation = self.clone();
        self.world.at(begin, move || simulation.begin(fault));
        let simulation = self.clone();
        self.world.at(begin + fault.length, move || simulation.end(fault));
    }

    fn begin(&self, fault: PlannedFault) {
        self.record(fault, false);
        match (fault.kind, fault.target) {
            (Kind::Pause | Kind::PauseAsking | Kind::PauseWriting, _) => {
                self.processes(fault.target).for_each(|process| process.pause(fault.length));
            }
            (Kind::Suspend, _) => {
                self.processes(fault.target).for_each(|process| process.suspend(fault.length));
            }
            (Kind::Crash, Target::Client(number)) => self.crash(number),
            (Kind::Crash | Kind::Forget, Target::Node(number)) => self.servers[number as usize - 1].crash(),
            (Kind::Jump(by_ms), _) => self.processes(fault.target).for_each(|process| process.jump(by_ms)),
            (Kind::Rate(rate), _) => self.processes(fault.target).for_each(|process| process.set_rate(rate)),
            _ => self.disturb(fault, true),
        }
    }

    fn end(&self, fault: PlannedFault) {
        match (fault.kind, fault.target) {
            (Kind::Crash, Target::Client(number)) => {
                if !self.has_finished(number) && self.clients[number as usize - 1].is_dead() {
                    self.start(number);
                }
            }
            (Kind::Crash | Kind::Forget, Target::Node(number)) => {
                // It runs already if another crash began before this one and has ended.
                let server = &self.servers[number as usize - 1];
                if server.process().is_dead() {
                    server.restart(fault.kind == Kind::Forget);
                }
            }
            (Kind::Rate(_), _) => self.processes(fault.target).for_each(|process| process.set_rate(1000)),
            _ => self.disturb(fault, false),
        }
        self.record(fault, true);
    }

    fn crash(&self, number: u32) {
        let at = number as usize - 1;
        if self.has_finished(number) || self.clients[at].is_dead() {
            return;
        }
        let life = self.lives[at].load(Ordering::Acquire).saturating_sub(1);
        self.clients[at].kill();
        self.world.record(number + 100 * life, EventKind::Gone);
    }

    fn record(&self, fault: PlannedFault, ended: bool) {
        let (name, target) = (fault.kind.to_string(), fault.target.to_string());
        self.world.record(0, EventKind::PlannedFault { name, target, ended });
    }

    fn processes(&self, target: Target) -> impl Iterator<Item = &Process> {
        let clients = (1..).map(Target::Client).zip(&self.clients);
        let servers = (1..).map(Target::Node).zip(self.servers.iter().map(Server::process));
        let is_meant = move |one: &Target| target == Target::All || target == *one;
        clients.chain(servers).filter(move |(one, _)| is_meant(one)).map(|(_, process)| process)
    }

    /// Begins or ends a fault of the network.
    fn disturb(&self, fault: PlannedFault, begins: bool) {
        let mut lines = self.lines(fault.target);
        if matches!((fault.kind, fault.target), (Kind::Delay(_), Target::All)) {
            lines.extend(self.clients.iter().map(|client| Way::between(client, self.resource.process())));
        }
        for there in lines {
            let back = there.reversed();
            match fault.kind {
                Kind::CutThere => self.world.set_cut(there, begins),
                Kind::CutBack => self.world.set_cut(back, begins),
                Kind::Cut => [there, back].iter().for_each(|way| self.world.set_cut(*way, begins)),
                _ => [there, back].iter().for_each(|way| {
                    self.world.set_conditions(*way, |conditions| change(conditions, fault.kind, begins));
                }),
            }
        }
    }

    /// The lines between clients and servers that a fault affects. Lines to the resource lose nothing, so that the result
    /// of every write is known.
    fn lines(&self, target: Target) -> Vec<Way> {
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
                    lines.push(Way::between(process, server.process()));
                }
            }
        }
        lines
    }
}

impl Context for Simulation {
    fn config(&self) -> &RunConfig {
        &self.config
    }

    fn servers(&self) -> &[Server] {
        &self.servers
    }

    fn resource(&self) -> &SimResource {
        &self.resource
    }

    fn reached(&self, client: u32, step: Kind) {
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
        self.schedule(fault, now + lead);
    }

    fn heals(&self) -> Duration {
        self.heals
    }

    fn violation(&self, rule: Rule, text: String) {
        let at_us = self.world.age().as_micros() as u64;
        lock(&self.violations).push(Violation { rule, at_us, text, events: Vec::new() });
    }

    fn finished(&self, client: u32) {
        lock(&self.finished)[client as usize - 1] = true;
    }
}

fn latest_end(fault: &PlannedFault) -> Duration {
    fault.end() + if waits_for_step(fault.kind) { STEP_TIMEOUT } else { Duration::ZERO }
}

fn waits_for_step(kind: Kind) -> bool {
    matches!(kind, Kind::PauseAsking | Kind::PauseWriting)
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
            conditions.overtaken = percent(overtaken);
            conditions.held_back = HELD_BACK;
        }
        Kind::Late(overtaken) => {
            conditions.overtaken = percent(overtaken);
            conditions.held_back = LATE;
        }
        _ => {}
    }
}
