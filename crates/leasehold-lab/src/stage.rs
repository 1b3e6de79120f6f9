//! [`Stage`]: a world with its servers, clients and resource, and the faults of a plan let loose on them.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use leasehold_core::Mechanism;

use crate::{
    client::{self, Client, Contestant},
    dice::Dice,
    history::What,
    node::Node,
    plan::{Fault, HELD_BACK, Kind, LATE, Target},
    resource::{Fence, Resource},
    scenario::Scenario,
    world::{Process, Way, Weather, World, lock},
};

/// The lock of all.
pub(crate) const LOCK: &str = "account";
/// How long a client waits for one answer.
pub(crate) const ASK_TIMEOUT: Duration = Duration::from_millis(250);
/// How long a client asks a store that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
/// A server's clock shows this at the beginning, so that it can be moved back.
const BOOTED_NS: u64 = 3_600_000_000_000;

/// Who plays, and what.
#[derive(Clone, Debug)]
pub struct Cast {
    /// What is to go wrong, and on what terms.
    pub scenario: &'static Scenario,
    /// Decides everything else.
    pub seed: u64,
    /// Who competes for the lock.
    pub contestant: Contestant,
    /// What the resource does with tokens.
    pub fence: Fence,
    /// How many servers; of more than one, a majority decides.
    pub nodes: u32,
    /// How many clients.
    pub clients: u32,
    /// How often each asks before the last fault is over; and once more after that.
    pub rounds: u32,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// What the world is without.
    pub without: Vec<Mechanism>,
}

/// A world in which a cast plays.
#[derive(Clone)]
pub(crate) struct Stage(Arc<Set>);

pub(crate) struct Set {
    pub(crate) cast: Cast,
    pub(crate) world: World,
    pub(crate) nodes: Vec<Node>,
    pub(crate) resource: Resource,
    clients: Vec<Process>,
    /// How many processes each client has been.
    lives: Vec<AtomicU32>,
    done: Mutex<Vec<bool>>,
    heals: Duration,
    /// Pauses that wait for a step.
    traps: Mutex<Vec<Fault>>,
    breaches: Mutex<Vec<Breach>>,
}

/// What no history shows: a promise that was broken in the sight of the simulation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Breach {
    /// Which promise.
    pub rule: &'static str,
    /// What happened.
    pub text: String,
}

impl std::ops::Deref for Stage {
    type Target = Set;

    fn deref(&self) -> &Set {
        &self.0
    }
}

impl Stage {
    /// Sets it up; nothing runs yet.
    pub(crate) fn new(cast: Cast) -> Stage {
        let world = World::new(cast.seed, &cast.without);
        let mut dice = Dice::new(cast.seed).split(3);
        let resource = Resource::new(world.process(dice.roll(), BOOTED_NS), cast.fence);
        let mut processes = |count: u32| -> Vec<Process> {
            (0..count).map(|_| world.process(dice.roll(), BOOTED_NS + dice.between(0, 1 << 36))).collect()
        };
        let nodes = processes(cast.nodes).into_iter().map(Node::new).collect();
        let clients = processes(cast.clients);
        let ends = cast
            .faults
            .iter()
            .map(|fault| fault.end() + if is_trap(fault.kind) { TRAP } else { Duration::ZERO });
        let heals = ends.max().unwrap_or_default();
        let stage = Stage(Arc::new(Set {
            nodes,
            resource,
            lives: clients.iter().map(|_| AtomicU32::new(0)).collect(),
            clients,
            done: Mutex::new(vec![false; cast.clients as usize]),
            heals,
            traps: Mutex::default(),
            breaches: Mutex::default(),
            world,
            cast,
        }));
        stage.let_loose();
        let healed = stage.clone();
        stage.world.at(heals, move || {
            lock(&healed.traps).clear();
            healed.world.record(0, What::Healed);
        });
        for number in 1..=stage.cast.clients {
            stage.start(number);
        }
        stage
    }

    /// Starts a client, or another one in its place.
    fn start(&self, number: u32) {
        let at = number as usize - 1;
        let process = self.clients[at].clone();
        process.revive();
        let life = self.lives[at].fetch_add(1, Ordering::AcqRel);
        let dice = Dice::new(self.cast.seed).split(100 + u64::from(number) + 1000 * u64::from(life));
        let client = Client { stage: self.clone(), name: number + 100 * life, number, dice, process };
        client.process.env().spawn(client::run(client));
    }

    /// A client has done its work.
    pub(crate) fn is_done(&self, number: u32) {
        lock(&self.done)[number as usize - 1] = true;
    }

    /// Whether it was killed before it had done its work, and no other was started in its place.
    fn is_missed(&self, number: u32) -> bool {
        !self.has_done(number) && self.clients[number as usize - 1].is_dead()
    }

    fn has_done(&self, number: u32) -> bool {
        lock(&self.done)[number as usize - 1]
    }

    /// Whether all have.
    pub(crate) fn is_over(&self) -> bool {
        lock(&self.done).iter().all(|done| *done) && self.world.age() >= self.heals
    }

    /// A promise was broken.
    pub(crate) fn breach(&self, rule: &'static str, text: String) {
        lock(&self.breaches).push(Breach { rule, text });
    }

    pub(crate) fn breaches(&self) -> Vec<Breach> {
        lock(&self.breaches).clone()
    }

    /// Waits until the last fault is over.
    pub(crate) async fn healed(&self, client: &Client) {
        let now = self.world.age();
        let env = client.process.env();
        // By its own clock, which may be wrong: so it looks again.
        let mut left = self.heals.saturating_sub(now);
        while !left.is_zero() {
            env.sleep(left + Duration::from_millis(1)).await;
            left = self.heals.saturating_sub(self.world.age());
        }
    }

    /// A client has come to a step at which it may be made to stand still.
    pub(crate) fn reached(&self, client: &Client, step: Kind) {
        let now = self.world.age();
        let is_meant = |fault: &Fault| {
            fault.kind == step && fault.target == Target::Client(client.number) && fault.begin <= now
        };
        let fault = {
            let mut traps = lock(&self.traps);
            let Some(at) = traps.iter().position(is_meant) else { return };
            traps.swap_remove(at)
        };
        let lead = if step == Kind::PauseAsking { Weather::FINE.delay_min / 2 } else { Duration::ZERO };
        let stage = self.clone();
        self.world.at(now + lead, move || stage.begin(fault));
        let stage = self.clone();
        self.world.at(now + lead + fault.length, move || stage.end(fault));
    }

    fn let_loose(&self) {
        for fault in self.cast.faults.clone() {
            if is_trap(fault.kind) {
                lock(&self.traps).push(fault);
                continue;
            }
            let stage = self.clone();
            self.world.at(fault.begin, move || stage.begin(fault));
            let stage = self.clone();
            self.world.at(fault.end(), move || stage.end(fault));
        }
    }

    fn begin(&self, fault: Fault) {
        self.note(fault, false);
        match (fault.kind, fault.target) {
            (Kind::Pause | Kind::PauseAsking | Kind::PauseWriting, _) => {
                self.processes(fault.target).for_each(|process| process.pause(fault.length));
            }
            (Kind::Suspend, _) => {
                self.processes(fault.target).for_each(|process| process.suspend(fault.length));
            }
            (Kind::Crash, Target::Client(number)) => self.crash(number),
            (Kind::Crash | Kind::Forget, Target::Node(number)) => self.nodes[number as usize - 1].crash(),
            (Kind::Jump(by_ms), _) => self.processes(fault.target).for_each(|process| process.jump(by_ms)),
            (Kind::Rate(rate), _) => self.processes(fault.target).for_each(|process| process.set_rate(rate)),
            _ => self.disturb(fault, true),
        }
    }

    fn end(&self, fault: Fault) {
        match (fault.kind, fault.target) {
            (Kind::Crash, Target::Client(number)) if self.is_missed(number) => self.start(number),
            (Kind::Crash | Kind::Forget, Target::Node(number)) => {
                // Another crash may have begun before this one, and ended: it runs already.
                let node = &self.nodes[number as usize - 1];
                if node.process().is_dead() {
                    node.restart(fault.kind == Kind::Forget);
                }
            }
            (Kind::Rate(_), _) => self.processes(fault.target).for_each(|process| process.set_rate(1000)),
            _ => self.disturb(fault, false),
        }
        self.note(fault, true);
    }

    /// It ends, and is written down as gone; unless it is gone, or has done its work and is not missed.
    fn crash(&self, number: u32) {
        let at = number as usize - 1;
        if self.has_done(number) || self.clients[at].is_dead() {
            return;
        }
        let life = self.lives[at].load(Ordering::Acquire).saturating_sub(1);
        self.clients[at].kill();
        self.world.record(number + 100 * life, What::Gone);
    }

    fn note(&self, fault: Fault, ended: bool) {
        let (name, target) = (fault.kind.to_string(), fault.target.to_string());
        self.world.record(0, What::Fault { name, target, ended });
    }

    fn processes(&self, target: Target) -> impl Iterator<Item = &Process> {
        let (clients, nodes) = (self.clients.iter(), self.nodes.iter().map(Node::process));
        let client = clients.enumerate().filter(move |(at, _)| match target {
            Target::Client(number) => *at + 1 == number as usize,
            Target::All => true,
            Target::Node(_) | Target::Line(..) => false,
        });
        let node = nodes.enumerate().filter(move |(at, _)| match target {
            Target::Node(number) => *at + 1 == number as usize,
            Target::All => true,
            Target::Client(_) | Target::Line(..) => false,
        });
        client.chain(node).map(|(_, process)| process)
    }

    /// Makes lines bad, or good again.
    fn disturb(&self, fault: Fault, begins: bool) {
        let mut lines = self.lines(fault.target);
        if matches!((fault.kind, fault.target), (Kind::Delay(_), Target::All)) {
            lines.extend(self.clients.iter().map(|client| both(client, self.resource.process())));
        }
        for (there, back) in lines {
            match fault.kind {
                Kind::CutThere => self.world.set_cut(there, begins),
                Kind::CutBack => self.world.set_cut(back, begins),
                Kind::Cut => [there, back].iter().for_each(|way| self.world.set_cut(*way, begins)),
                _ => [there, back].iter().for_each(|way| {
                    self.world.set_weather(*way, |weather| change(weather, fault.kind, begins));
                }),
            }
        }
    }

    /// The lines that a fault is about. Those to the resource may be slow, and lose nothing: what becomes of a write is to be
    /// known.
    fn lines(&self, target: Target) -> Vec<(Way, Way)> {
        let mut lines = Vec::new();
        for (client, process) in self.clients.iter().enumerate() {
            for (node, server) in self.nodes.iter().enumerate() {
                let (client, node) = (client as u32 + 1, node as u32 + 1);
                let is_meant = match target {
                    Target::Client(number) => number == client,
                    Target::Node(number) => number == node,
                    Target::Line(one, other) => (one, other) == (client, node),
                    Target::All => true,
                };
                if is_meant {
                    lines.push(both(process, server.process()));
                }
            }
        }
        lines
    }
}

/// How long a pause waits for its step.
const TRAP: Duration = Duration::from_millis(400);

/// There and back.
fn both(client: &Process, server: &Process) -> (Way, Way) {
    let (from, to) = (client.number(), server.number());
    (Way { from, to }, Way { from: to, to: from })
}

fn is_trap(kind: Kind) -> bool {
    matches!(kind, Kind::PauseAsking | Kind::PauseWriting)
}

fn change(weather: &mut Weather, kind: Kind, begins: bool) {
    let fine = Weather::FINE;
    match kind {
        Kind::Delay(by_ms) => {
            let by = if begins { Duration::from_millis(by_ms) } else { Duration::ZERO };
            weather.delay_max = fine.delay_max + by;
        }
        Kind::Loss(percent) => weather.loss = if begins { percent } else { 0 },
        Kind::Duplicates(percent) => weather.duplicates = if begins { percent } else { 0 },
        Kind::Overtaken(percent) => {
            weather.overtaken = if begins { percent } else { 0 };
            weather.held_back = HELD_BACK;
        }
        Kind::Late(percent) => {
            weather.overtaken = if begins { percent } else { 0 };
            weather.held_back = LATE;
        }
        _ => {}
    }
}
