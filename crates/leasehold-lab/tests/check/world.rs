//! A small world that leaves valid histories behind: one lock server that orders grants, one resource that is claimed,
//! and clients that may take any time between any two of their steps, run through their leases and be killed.

use std::collections::VecDeque;

use leasehold_lab::history::{Event, EventKind};

use crate::story::{event, gone, grant, healed, last, read, release, write};

const TTL_US: u64 = 60;

/// Where a client is. Its knowledge is apart from the state of server and resource.
#[derive(Clone, Copy, Debug)]
enum Step {
    Idle,
    Asking { attempt: u64, shared: bool },
    Granted { attempt: u64, token: u64, deadline_us: u64 },
    Refused { attempt: u64 },
    Holding { attempt: u64, token: u64 },
    Claimed { attempt: u64, token: u64, seen: Option<u64> },
    Writing { attempt: u64, token: u64, value: u64 },
    Written { attempt: u64, value: u64, accepted: bool },
    Releasing { attempt: u64 },
    Gone,
}

#[derive(Clone, Copy, Debug)]
struct Hold {
    attempt: u64,
    shared: bool,
    until_us: u64,
}

/// The world; every choice is taken from a list of numbers.
#[derive(Debug)]
pub(crate) struct World {
    choices: VecDeque<u8>,
    kills: bool,
    now_us: u64,
    clients: Vec<Step>,
    holds: Vec<Hold>,
    attempts: u64,
    token: u64,
    /// The resource: its value, and the highest token it has seen.
    value: u64,
    mark: u64,
    events: Vec<Event>,
}

/// A valid history of so many clients; each choice is one step of one of them. Some may be killed.
pub(crate) fn history(clients: usize, choices: &[u8], kills: bool) -> Vec<Event> {
    let mut world = World {
        choices: choices.iter().copied().collect(),
        kills,
        now_us: 0,
        clients: vec![Step::Idle; clients],
        holds: Vec::new(),
        attempts: 0,
        token: 0,
        value: 0,
        mark: 0,
        events: Vec::new(),
    };
    while let Some(choice) = world.choices.pop_front() {
        world.now_us += 1 + u64::from(choice >> 5);
        let client = usize::from(choice) % clients;
        world.step(client);
    }
    world.finish();
    world.events
}

impl World {
    fn flip(&mut self, of: u8) -> bool {
        self.choices.pop_front().is_some_and(|choice| choice % of == 0)
    }

    fn say(&mut self, event: Event) {
        self.events.push(event);
    }

    fn step(&mut self, client: usize) {
        let (now, process) = (self.now_us, client as u64 + 1);
        let next = match self.clients[client] {
            Step::Idle => self.ask(process),
            Step::Asking { attempt, shared } => self.decide(attempt, shared),
            Step::Granted { attempt, token, deadline_us } => {
                self.say(Event { process: process as u32, ..grant(now, attempt, token, deadline_us) });
                Step::Holding { attempt, token }
            }
            Step::Refused { attempt } => {
                self.say(event(now, process, EventKind::Busy { attempt }));
                Step::Idle
            }
            Step::Holding { attempt, token } => self.claim(attempt, token),
            Step::Claimed { attempt, token, seen } => self.told(process, attempt, token, seen),
            Step::Writing { attempt, token, value } => {
                let accepted = token >= self.mark;
                if accepted {
                    (self.mark, self.value) = (token, value);
                }
                Step::Written { attempt, value, accepted }
            }
            Step::Written { attempt, value, accepted } => {
                self.say(Event { process: process as u32, ..write(now, attempt, value, Some(accepted)) });
                self.let_go(process, attempt)
            }
            Step::Releasing { attempt } => {
                self.holds.retain(|hold| hold.attempt != attempt);
                Step::Idle
            }
            Step::Gone => Step::Gone,
        };
        self.clients[client] = if self.kills && self.flip(40) { self.kill(process) } else { next };
    }

    fn ask(&mut self, process: u64) -> Step {
        self.attempts += 1;
        let (attempt, shared) = (self.attempts, self.flip(3));
        self.say(event(self.now_us, process, EventKind::Ask { attempt, lock: "x".into(), shared }));
        Step::Asking { attempt, shared }
    }

    fn decide(&mut self, attempt: u64, shared: bool) -> Step {
        let now = self.now_us;
        self.holds.retain(|hold| hold.until_us > now);
        if self.holds.iter().any(|hold| !(hold.shared && shared)) {
            return if self.flip(2) { Step::Refused { attempt } } else { Step::Asking { attempt, shared } };
        }
        self.token += 1;
        self.holds.push(Hold { attempt, shared, until_us: now + TTL_US });
        Step::Granted { attempt, token: self.token, deadline_us: now + TTL_US }
    }

    fn claim(&mut self, attempt: u64, token: u64) -> Step {
        let seen = (token >= self.mark).then_some(self.value);
        self.mark = self.mark.max(token);
        Step::Claimed { attempt, token, seen }
    }

    fn told(&mut self, process: u64, attempt: u64, token: u64, seen: Option<u64>) -> Step {
        let Some(value) = seen else { return self.let_go(process, attempt) };
        self.say(Event { process: process as u32, ..read(self.now_us, attempt, value) });
        // Readers only look.
        if self.is_shared(attempt) {
            return self.let_go(process, attempt);
        }
        let value = value + 1;
        self.say(Event { process: process as u32, ..write(self.now_us, attempt, value, None) });
        Step::Writing { attempt, token, value }
    }

    fn is_shared(&self, number: u64) -> bool {
        self.events.iter().any(
            |event| matches!(event.kind, EventKind::Ask { attempt, shared: true, .. } if attempt == number),
        )
    }

    fn let_go(&mut self, process: u64, attempt: u64) -> Step {
        self.say(Event { process: process as u32, ..release(self.now_us, attempt) });
        Step::Releasing { attempt }
    }

    fn kill(&mut self, process: u64) -> Step {
        self.say(gone(self.now_us, process));
        Step::Gone
    }

    /// Everybody comes to an end.
    fn finish(&mut self) {
        self.say(healed(self.now_us));
        for client in 0..self.clients.len() {
            while !matches!(self.clients[client], Step::Idle | Step::Gone) {
                self.now_us += TTL_US;
                self.step(client);
            }
        }
        self.say(last(self.now_us, self.value));
    }
}
