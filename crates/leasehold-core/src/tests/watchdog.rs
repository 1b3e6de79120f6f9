//! The state machine of a client: whatever happens in whatever order, no two leases exclude each other and are valid,
//! and in the end nothing is left.
//!
//! Two clients of one store in virtual time. A byte is a step, the next one how long it may take or which fault meets
//! the store's next operations.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use crate::{
    Engine, Env, Hold, LockName, LockOptions, Mode, Store, Ticket, Wait,
    env::Virtual,
    layer::{Chaos, Fault},
    memory::Memory,
};

const TTL: Duration = Duration::from_secs(10);
/// More steps show nothing new.
const STEPS_MAX: usize = 64;
const CLIENTS: usize = 2;

/// Plays the steps and checks after each.
pub(super) fn run(bytes: &[u8]) {
    let (seed, steps) = bytes.split_at(bytes.len().min(1));
    let mut game = Game::new(u64::from(seed.first().copied().unwrap_or_default()));
    for step in steps.chunks(2).take(STEPS_MAX) {
        game.step(step[0], step.get(1).copied().unwrap_or_default());
        game.check();
    }
    game.end();
}

struct Game {
    world: Virtual,
    memory: Memory,
    name: LockName,
    /// Which fault meets the operations to come.
    weather: Arc<AtomicU8>,
    clients: Vec<Option<Engine>>,
    holds: Vec<(usize, Hold)>,
    /// Those that were thrown out by force and need not know it yet: only a fenced resource is safe from them.
    evicted: Vec<Hold>,
    tickets: Vec<Ticket>,
}

impl Game {
    fn new(seed: u64) -> Game {
        let world = Virtual::new(seed);
        let memory = Memory::new(world.env());
        let weather = Arc::new(AtomicU8::default());
        let clients = (0..CLIENTS).map(|_| Some(engine(&memory, &world.env(), &weather))).collect();
        let name = LockName::new("x").expect("a short name");
        Game {
            world,
            memory,
            name,
            weather,
            clients,
            holds: Vec::new(),
            evicted: Vec::new(),
            tickets: Vec::new(),
        }
    }

    fn step(&mut self, step: u8, detail: u8) {
        let (client, span) = (usize::from(step >> 4) % CLIENTS, TTL.mul_f64(f64::from(detail) / 100.0));
        match step & 15 {
            0..=2 => self.lock(client, detail, span),
            3 => drop(self.take()),
            4 => drop(self.take().map(|hold| self.within(span, hold.release()))),
            5 => drop(self.holds.first().map(|(_, hold)| self.within(span, hold.confirm()))),
            6 => self.amend(detail, span),
            7 => self.world.advance(span),
            8 => self.world.pause(span),
            9 => self.weather.store(detail, Ordering::Release),
            10 => self.force(span),
            11 => self.detach(span),
            12 => self.adopt(client, span),
            13 => self.close(client, span),
            14 => self.memory.forget_if_nobody_believes(&self.holds),
            _ => self.world.settle(),
        }
    }

    /// The output, unless `span` passes first: then the future is dropped.
    fn within<F: Future>(&self, span: Duration, future: F) -> Option<F::Output> {
        let env = self.world.env();
        self.world.block_on(env.until(env.now() + span, future))
    }

    fn lock(&mut self, client: usize, detail: u8, span: Duration) {
        let Some(engine) = self.clients[client].clone() else { return };
        let mode = if detail.is_multiple_of(3) { Mode::Shared } else { Mode::Exclusive };
        let terms = LockOptions {
            ttl: TTL,
            renew: !detail.is_multiple_of(5),
            fair: detail.is_multiple_of(7),
            ..LockOptions::default()
        };
        let wait = if detail.is_multiple_of(2) { Wait::No } else { Wait::Forever };
        let taken = self.within(span, engine.acquire(&self.name, mode, &terms, wait, None));
        if let Some(Ok(Some(hold))) = taken {
            self.holds.push((client, hold));
        }
    }

    fn take(&mut self) -> Option<Hold> {
        let (_, hold) = if self.holds.is_empty() { return None } else { self.holds.remove(0) };
        Some(hold)
    }

    fn amend(&mut self, detail: u8, span: Duration) {
        let Some((client, mut hold)) = self.holds.pop() else { return };
        let mode = if detail.is_multiple_of(2) { Mode::Shared } else { Mode::Exclusive };
        let _ = self.within(span, hold.amend(|claim| claim.mode = mode));
        self.holds.push((client, hold));
    }

    fn force(&mut self, span: Duration) {
        let _ = self.within(span, self.memory.force_release(&self.name));
        self.evicted.extend(self.holds.drain(..).map(|(_, hold)| hold));
        self.tickets.clear();
    }

    fn detach(&mut self, span: Duration) {
        let detached = self.take().and_then(|hold| self.within(span, hold.detach(TTL)));
        self.tickets.extend(detached.and_then(Result::ok));
    }

    fn adopt(&mut self, client: usize, span: Duration) {
        let (Some(engine), Some(ticket)) = (self.clients[client].clone(), self.tickets.pop()) else { return };
        let terms = LockOptions { ttl: TTL, ..LockOptions::default() };
        if let Some(Ok(hold)) = self.within(span, engine.adopt(&ticket, &terms)) {
            self.holds.push((client, hold));
        }
    }

    /// The client ends, and another takes its place.
    fn close(&mut self, client: usize, span: Duration) {
        if let Some(engine) = self.clients[client].take() {
            let _ = self.within(span, engine.close(span));
            self.holds.iter().filter(|(of, _)| *of == client).for_each(|(_, hold)| {
                assert!(span.is_zero() || hold.check().is_err(), "a lease of a closed client");
            });
        }
        self.clients[client] = Some(engine(&self.memory, &self.world.env(), &self.weather));
    }

    fn check(&self) {
        let valid: Vec<&Hold> =
            self.holds.iter().map(|(_, hold)| hold).filter(|hold| hold.check().is_ok()).collect();
        let alone = valid.iter().any(|hold| hold.mode() == Mode::Exclusive);
        assert!(!alone || valid.len() == 1, "they are valid together: {valid:?}");
    }

    fn end(mut self) {
        self.weather.store(0, Ordering::Release);
        self.holds.clear();
        self.evicted.clear();
        self.clients.clear();
        self.world.advance(TTL * 100);
        let snapshot = self.world.block_on(self.memory.inspect(&self.name)).expect("memory answers");
        assert!(snapshot.holders.is_empty() && snapshot.waiters.is_empty(), "left behind: {snapshot:?}");
        assert_eq!(self.world.tasks_alive(), 0, "tasks that do not end");
    }
}

impl Memory {
    /// A restart without memory makes two holders by itself: it is played only where nobody believes to hold.
    fn forget_if_nobody_believes(&self, holds: &[(usize, Hold)]) {
        if holds.is_empty() {
            self.forget();
        }
    }
}

fn engine(memory: &Memory, env: &Env, weather: &Arc<AtomicU8>) -> Engine {
    let weather = weather.clone();
    let plan = move |number: u64, _| match (weather.load(Ordering::Acquire), number % 4) {
        (0, _) | (_, 3) => Fault::None,
        (fault, _) => {
            let span = TTL.mul_f64(f64::from(fault >> 3) / 16.0);
            match fault & 7 {
                0 | 1 => Fault::LoseRequest,
                2 | 3 => Fault::LoseReply,
                4 => Fault::Delay(span),
                5 => Fault::DelayReply(span),
                6 => Fault::Hang,
                _ => Fault::None,
            }
        }
    };
    Engine::new(Arc::new(Chaos::new(Arc::new(memory.client()), env.clone(), plan)), env.clone())
}
