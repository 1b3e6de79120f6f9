//! Tokens: no clock, no time to live, no order of messages is assumed. A hold may end at any moment, a message may never
//! arrive, a member may lose its memory.

use std::time::Duration;

use leasehold_core::{
    FencingToken, LostReason,
    decide::votes::{Decision, Vote, claimed},
};

use super::search::Search;

/// A mechanism that is switched off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mutation {
    /// None.
    None,
    /// The largest token counts at once.
    NoWriteBack,
    /// A member raises its counter for a claim that it does not hold.
    NoOwnershipCheck,
    /// The token is the one first seen, whatever is answered later.
    NoAdoption,
    /// A member that has lost its counter begins at nothing.
    NoFloor,
}

pub(crate) struct Model {
    members: usize,
    attempts: usize,
    crashes: u8,
    mutation: Mutation,
}

impl Model {
    pub(crate) fn new(members: usize, attempts: usize, crashes: u8, mutation: Mutation) -> Self {
        Model { members, attempts, crashes, mutation }
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct State {
    members: Vec<Member>,
    attempts: Vec<Attempt>,
    crashes: u8,
    /// The highest token that any member has granted.
    highest: u8,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Member {
    holder: Option<u8>,
    counter: u8,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Attempt {
    phase: Phase,
    /// The highest token that was completed before it began.
    before: u8,
    wires: Vec<Wire>,
    votes: Vec<HealthSnapshot>,
    /// The token that was decided on first.
    decided: Option<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Phase {
    Idle,
    Asking,
    Holds(u8),
    Failed,
}

/// A message between a client and a member.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Wire {
    Nothing,
    Claim,
    Raise(u8),
    Granted(u8),
}

/// A vote, as the client has seen it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum HealthSnapshot {
    Open,
    For(u8),
    Against,
    Gone,
}

impl HealthSnapshot {
    fn vote(self) -> Vote {
        match self {
            HealthSnapshot::Open => Vote::Open,
            HealthSnapshot::For(token) => Vote::For {
                counts: true,
                fence: FencingToken::new(u64::from(token)).ok(),
                valid_for: Duration::from_secs(1),
            },
            HealthSnapshot::Against => Vote::Against,
            HealthSnapshot::Gone => Vote::Gone(LostReason::Gone),
        }
    }
}

impl Search for Model {
    type State = State;

    fn begin(&self) -> State {
        let member = |at: usize| Member { holder: None, counter: if at == 0 { 2 } else { 0 } };
        let attempt = Attempt {
            phase: Phase::Idle,
            before: 0,
            wires: vec![Wire::Nothing; self.members],
            votes: vec![HealthSnapshot::Open; self.members],
            decided: None,
        };
        State {
            // An attempt that failed long ago has left its mark on one of them.
            members: (0..self.members).map(member).collect(),
            attempts: vec![attempt; self.attempts],
            crashes: 0,
            highest: 2,
        }
    }

    fn next(&self, state: &State) -> Vec<Result<State, String>> {
        let mut next = Vec::new();
        for who in 0..self.attempts {
            match state.attempts[who].phase {
                // All attempts are alike: they begin in order.
                Phase::Idle if who == 0 || state.attempts[who - 1].phase != Phase::Idle => {
                    next.push(Ok(self.starts(state, who)));
                }
                _ => {}
            }
            for member in 0..self.members {
                match state.attempts[who].wires[member] {
                    Wire::Nothing => {}
                    Wire::Claim | Wire::Raise(_) => next.push(self.arrives(state, who, member)),
                    Wire::Granted(token) => {
                        next.push(self.is_answered(state, who, member, HealthSnapshot::For(token)));
                    }
                }
            }
        }
        for member in 0..self.members {
            if state.members[member].holder.is_some() {
                let mut ended = state.clone();
                ended.members[member].holder = None;
                next.push(Ok(ended));
            }
            if state.crashes < self.crashes {
                let mut crashed = state.clone();
                crashed.crashes += 1;
                let floor = if self.mutation == Mutation::NoFloor { 0 } else { state.highest };
                crashed.members[member] = Member { holder: None, counter: floor };
                next.push(Ok(crashed));
            }
        }
        next
    }
}

impl Model {
    fn starts(&self, state: &State, who: usize) -> State {
        let mut next = state.clone();
        let completed = next.attempts.iter().filter_map(|attempt| match attempt.phase {
            Phase::Holds(token) => Some(token),
            _ => None,
        });
        let before = completed.max().unwrap_or(0);
        let attempt = &mut next.attempts[who];
        (attempt.phase, attempt.before) = (Phase::Asking, before);
        attempt.wires.fill(Wire::Claim);
        next
    }

    /// A request reaches its member. A refusal is heard at once: when it is heard makes no difference.
    fn arrives(&self, state: &State, who: usize, member: usize) -> Result<State, String> {
        let mut next = state.clone();
        let id = Some(who as u8);
        let node = &mut next.members[member];
        let granted = match state.attempts[who].wires[member] {
            Wire::Claim if node.holder.is_none() => {
                node.counter += 1;
                node.holder = id;
                node.counter
            }
            Wire::Raise(to) if node.holder == id || self.mutation == Mutation::NoOwnershipCheck => {
                node.counter = node.counter.max(to);
                node.counter
            }
            Wire::Claim => return self.is_answered(state, who, member, HealthSnapshot::Against),
            _ => return self.is_answered(state, who, member, HealthSnapshot::Gone),
        };
        next.highest = next.highest.max(granted);
        let is_asking = state.attempts[who].phase == Phase::Asking;
        next.attempts[who].wires[member] = if is_asking { Wire::Granted(granted) } else { Wire::Nothing };
        Ok(next)
    }

    /// A reply reaches its client.
    fn is_answered(
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
        if attempt.phase == Phase::Asking {
            self.decide(&mut next, who)?;
            let attempt = &mut next.attempts[who];
            if attempt.phase != Phase::Asking {
                // Nobody listens any more.
                attempt.votes.fill(HealthSnapshot::Open);
                let granted = |wire: &&mut Wire| matches!(wire, Wire::Granted(_));
                attempt.wires.iter_mut().filter(granted).for_each(|wire| *wire = Wire::Nothing);
            }
        }
        Ok(next)
    }

    fn decide(&self, next: &mut State, who: usize) -> Result<(), String> {
        let attempt = &mut next.attempts[who];
        let fixed = attempt.decided.filter(|_| self.mutation == Mutation::NoAdoption);
        let seen = |seen: &HealthSnapshot| match (seen, fixed) {
            // Whatever is above the token that was decided on is taken for it.
            (HealthSnapshot::For(token), Some(fixed)) => HealthSnapshot::For((*token).min(fixed)).vote(),
            (seen, _) => seen.vote(),
        };
        let votes: Vec<Vote> = attempt.votes.iter().map(seen).collect();
        let mut decision = claimed(&votes);
        if let (Decision::Raise { to, .. }, Mutation::NoWriteBack) = (&decision, self.mutation) {
            decision = Decision::Granted { fence: Some(*to), valid_for: Duration::from_secs(1) };
        }
        match decision {
            Decision::Open => {}
            Decision::Raise { to, members } => {
                let to = to.get() as u8;
                attempt.decided = attempt.decided.or(Some(to));
                for member in members {
                    attempt.votes[member] = HealthSnapshot::Open;
                    attempt.wires[member] = Wire::Raise(to);
                }
            }
            Decision::Granted { fence, .. } => {
                let token = fence.map_or(0, |fence| fence.get() as u8);
                attempt.phase = Phase::Holds(token);
                let before = attempt.before;
                let twin = |at: usize| at != who && next.attempts[at].phase == Phase::Holds(token);
                if token <= before {
                    return Err(format!("token {token} after token {before} was completed"));
                }
                if (0..next.attempts.len()).any(twin) {
                    return Err(format!("token {token} twice"));
                }
            }
            Decision::Contended | Decision::Gone(_) | Decision::NoQuorum => attempt.phase = Phase::Failed,
        }
        Ok(())
    }
}
