//! Leases: with time, in ticks. Messages take as long as they like, or never arrive; members keep a hold for its time to
//! live, unless they lose their memory.

use std::time::Duration;

use leasehold_core::decide::votes::{Decision, Vote, claimed};

use super::search::Search;

/// A mechanism that is switched off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mutation {
    /// None.
    None,
    /// The lease is counted from the reply.
    NoValidityCheck,
    /// A member that has forgotten who holds votes at once.
    NoRestartDelay,
    /// Those that did not answer are left out of the count.
    MajorityOfTheReachable,
    /// A member grants what somebody else holds.
    NoOwnershipOfTheKey,
}

/// How long a member keeps a hold, in ticks: the longest lease as well.
const TTL: u8 = 2;
/// When the world ends.
const END: u8 = 3;
const MEMBERS: usize = 3;

pub(crate) struct Model {
    attempts: usize,
    crashes: u8,
    mutation: Mutation,
}

impl Model {
    pub(crate) fn new(attempts: usize, crashes: u8, mutation: Mutation) -> Self {
        Model { attempts, crashes, mutation }
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct State {
    now: u8,
    members: [Member; MEMBERS],
    attempts: Vec<Attempt>,
    crashes: u8,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Member {
    /// The holder, and until when.
    holder: Option<(u8, u8)>,
    /// Since when it has forgotten nothing; `None`: always.
    forgot: Option<u8>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Attempt {
    sent: Option<u8>,
    wires: [Wire; MEMBERS],
    votes: [HealthSnapshot; MEMBERS],
    /// Until when it holds, once it does.
    lease: Option<u8>,
    is_over: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Wire {
    Nothing,
    Claim,
    Granted { counts: bool },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum HealthSnapshot {
    Open,
    For { counts: bool },
    Against,
}

impl Search for Model {
    type State = State;

    fn begin(&self) -> State {
        let member = Member { holder: None, forgot: None };
        let attempt = Attempt {
            sent: None,
            wires: [Wire::Nothing; MEMBERS],
            votes: [HealthSnapshot::Open; MEMBERS],
            lease: None,
            is_over: false,
        };
        State {
            now: 0,
            members: [member.clone(), member.clone(), member],
            attempts: vec![attempt; self.attempts],
            crashes: 0,
        }
    }

    fn next(&self, state: &State) -> Vec<Result<State, String>> {
        let mut next = Vec::new();
        if state.now < END {
            let mut later = state.clone();
            later.now += 1;
            for member in &mut later.members {
                member.holder = member.holder.filter(|(_, until)| *until > later.now);
            }
            for attempt in &mut later.attempts {
                attempt.lease = attempt.lease.filter(|until| *until > later.now);
            }
            next.push(Ok(later));
        }
        for who in 0..self.attempts {
            if state.attempts[who].sent.is_none() && (who == 0 || state.attempts[who - 1].sent.is_some()) {
                let mut asked = state.clone();
                asked.attempts[who].sent = Some(state.now);
                asked.attempts[who].wires = [Wire::Claim; MEMBERS];
                next.push(Ok(asked));
            }
            for member in 0..MEMBERS {
                match state.attempts[who].wires[member] {
                    Wire::Nothing => {}
                    Wire::Claim => next.push(self.arrives(state, who, member)),
                    Wire::Granted { counts } => {
                        next.push(self.is_heard(state, who, member, HealthSnapshot::For { counts }));
                    }
                }
            }
        }
        if state.crashes < self.crashes {
            for member in 0..MEMBERS {
                let mut crashed = state.clone();
                crashed.crashes += 1;
                crashed.members[member] = Member { holder: None, forgot: Some(state.now) };
                next.push(Ok(crashed));
            }
        }
        next
    }
}

impl Model {
    /// A request reaches its member. A refusal is heard at once: when it is heard makes no difference.
    fn arrives(&self, state: &State, who: usize, member: usize) -> Result<State, String> {
        let mut next = state.clone();
        let id = who as u8;
        let node = &mut next.members[member];
        let is_free = node.holder.is_none_or(|(holder, _)| holder == id);
        next.attempts[who].wires[member] = if is_free || self.mutation == Mutation::NoOwnershipOfTheKey {
            node.holder = Some((id, state.now + TTL));
            if state.attempts[who].is_over {
                next.attempts[who].wires[member] = Wire::Nothing;
                return Ok(next);
            }
            let remembers = node.forgot.is_none_or(|forgot| state.now - forgot >= TTL);
            Wire::Granted { counts: remembers || self.mutation == Mutation::NoRestartDelay }
        } else {
            return self.is_heard(state, who, member, HealthSnapshot::Against);
        };
        Ok(next)
    }

    fn is_heard(
        &self,
        state: &State,
        who: usize,
        member: usize,
        seen: HealthSnapshot,
    ) -> Result<State, String> {
        let mut next = state.clone();
        let attempt = &mut next.attempts[who];
        attempt.wires[member] = Wire::Nothing;
        attempt.votes[member] = seen;
        if attempt.is_over {
            attempt.votes = [HealthSnapshot::Open; MEMBERS];
            return Ok(next);
        }
        let votes: Vec<Vote> = attempt.votes.iter().filter(|seen| self.is_counted(seen)).map(vote).collect();
        match claimed(&votes) {
            Decision::Open => {}
            Decision::Granted { .. } => {
                let until = match self.mutation {
                    Mutation::NoValidityCheck => state.now + TTL,
                    _ => attempt.sent.unwrap_or(0) + TTL,
                };
                // A reply that comes after the deadline is not a lock.
                attempt.lease = (until > state.now).then_some(until);
                attempt.close();
            }
            _ => attempt.close(),
        }
        let holds =
            next.attempts.iter().filter(|attempt| attempt.lease.is_some_and(|until| until > next.now));
        match holds.count() {
            0 | 1 => Ok(next),
            _ => Err(format!("two leases at tick {}", next.now)),
        }
    }

    fn is_counted(&self, seen: &HealthSnapshot) -> bool {
        self.mutation != Mutation::MajorityOfTheReachable || *seen != HealthSnapshot::Open
    }
}

impl Attempt {
    /// It is decided: nobody listens any more.
    fn close(&mut self) {
        self.is_over = true;
        self.votes = [HealthSnapshot::Open; MEMBERS];
        let granted = |wire: &&mut Wire| matches!(wire, Wire::Granted { .. });
        self.wires.iter_mut().filter(granted).for_each(|wire| *wire = Wire::Nothing);
    }
}

fn vote(seen: &HealthSnapshot) -> Vote {
    match seen {
        HealthSnapshot::Open => Vote::Open,
        HealthSnapshot::For { counts } => {
            Vote::For { counts: *counts, fence: None, valid_for: Duration::from_secs(1) }
        }
        HealthSnapshot::Against => Vote::Against,
    }
}
