//! A claim at all members: the steps of Redlock, with fencing tokens.

use std::{sync::Arc, time::Duration};

use super::{
    Core,
    fan_out::{FanOut, Next},
    ordering::OrderHandle,
};
use crate::{
    BoxFuture, Busy, Claim, Contender, Error, ErrorKind, FencingToken, Grant, Intent, LostReason, Outcome,
    Queueing, Result, Standing,
    decide::votes::{self, Decision, Vote, majority},
};

/// How often a claim is repeated when several claims have split the members, and none has a majority.
const SPLITS_MAX: u32 = 10;
/// The longest random pause after a split of the members: clearly longer than a round.
const SPLIT_PAUSE: Duration = Duration::from_millis(20);

impl Core {
    pub(super) async fn claim(self: &Arc<Self>, claim: &Claim) -> Result<Standing> {
        self.identified().await?;
        let order = self.orders.of(claim.id);
        let mut splits = 0;
        loop {
            if claim.intent == Intent::Hold
                && self.members.len() - order.doubts() < majority(self.members.len())
            {
                // The engine repeats with another id, which those releases do not end.
                return Ok(Standing::Gone(LostReason::Gone));
            }
            let mut round = Round::cast(self, &order, claim);
            let decision = round.count().await;
            if let Decision::Granted { fence, valid_for } = decision {
                return Ok(Standing::Granted(Grant::lasting(fence, valid_for)));
            }
            let makes_holds = claim.intent == Intent::Hold;
            let is_split = decision == Decision::Contended && makes_holds && round.is_split();
            let tries_again = is_split && splits < SPLITS_MAX;
            // One of the claims that split the members keeps its grants, and the others release theirs: with random
            // pauses alone, many claims would split again and again.
            let insists = tries_again && round.comes_first();
            if makes_holds && !insists {
                round.give_back();
                order.propose_anew();
            }
            if tries_again {
                splits += 1;
                let pause = if insists { SPLIT_PAUSE / 8 } else { SPLIT_PAUSE };
                self.env.sleep(self.env.jitter(pause)).await;
                continue;
            }
            let busy = round.busy(is_split);
            return match decision {
                Decision::Gone(reason) => Ok(Standing::Gone(reason)),
                Decision::Contended if claim.queueing == Queueing::No => Ok(Standing::Held(busy)),
                Decision::Contended => Ok(Standing::Waiting(busy)),
                _ => Err(round.no_quorum()),
            };
        }
    }

    /// The time limit of one round.
    pub(super) fn round(&self, ttl: Duration) -> Duration {
        self.options.node_timeout.min(ttl / 8).max(Duration::from_millis(5))
    }
}

/// One round of requests to all members.
struct Round<'a> {
    core: &'a Arc<Core>,
    order: &'a OrderHandle,
    claim: &'a Claim,
    votes: Vec<Vote>,
    /// The holder at each member that did not grant.
    rivals: Vec<Option<Busy>>,
    /// The failure of each member.
    failures: Vec<Option<Error>>,
    calls: FanOut<Result<Standing>>,
    timer: BoxFuture<'static, ()>,
}

impl<'a> Round<'a> {
    fn cast(core: &'a Arc<Core>, order: &'a OrderHandle, claim: &'a Claim) -> Self {
        let members = core.members.len();
        order.begin_round();
        let mut calls = FanOut::new(&core.env);
        let asked = Claim {
            fence_proposal: claim.fence_proposal.max(order.propose(core.proposal())),
            ..claim.clone()
        };
        for voter in &core.members {
            calls.add(voter.number, voter.claim(order, asked.clone()));
        }
        Round {
            core,
            order,
            claim,
            votes: vec![Vote::Open; members],
            rivals: vec![None; members],
            failures: (0..members).map(|_| None).collect(),
            calls,
            timer: core.env.sleep(core.round(claim.ttl)),
        }
    }

    /// Counts the votes until they decide; a member without an answer in time is silent.
    async fn count(&mut self) -> Decision {
        loop {
            match votes::claimed(&self.votes) {
                Decision::Open => {}
                Decision::Raise { to, members } => {
                    self.raise(to, &members);
                    continue;
                }
                decided => return decided,
            }
            match self.calls.next(&mut self.timer).await {
                Next::Answer(member, answer) => self.note(member, answer),
                Next::Empty | Next::Late => self.silence(),
            }
        }
    }

    /// Raises the token at members with a smaller one, if they still hold the claim.
    fn raise(&mut self, to: FencingToken, members: &[usize]) {
        let raised = Claim {
            intent: Intent::Amend,
            fence_floor: self.claim.fence_floor.max(Some(to)),
            ..self.claim.clone()
        };
        for &member in members {
            self.votes[member] = Vote::Open;
            self.calls.add(member, self.core.members[member].claim(self.order, raised.clone()));
        }
        self.timer = self.core.env.sleep(self.core.round(self.claim.ttl));
    }

    fn note(&mut self, member: usize, answer: Result<Standing>) {
        let voter = &self.core.members[member];
        self.votes[member] = match answer {
            Ok(Standing::Granted(grant)) => {
                let quarantine = self.core.options.quarantine();
                // An amendment finds an existing hold: that is a vote, whatever data was lost before.
                let counts = self.claim.intent == Intent::Amend
                    || voter.counts(grant.remembers_for, quarantine, self.core.env.now());
                if !counts {
                    self.core.probe_later(voter);
                }
                Vote::For { counts, fence: grant.fence, valid_for: grant.valid_for }
            }
            Ok(Standing::Waiting(busy) | Standing::Held(busy)) => {
                self.rivals[member] = Some(busy);
                Vote::Against
            }
            Ok(Standing::Gone(reason)) => Vote::Gone(reason),
            Ok(Standing::Mismatch { .. }) => {
                let message = "the name is in use there as another kind of lock";
                self.failures[member] = Some(Error::new(ErrorKind::Mismatch, message));
                Vote::Silent
            }
            Err(error) => {
                voter.record().failure = Some(error.to_string());
                self.failures[member] = Some(error);
                Vote::Silent
            }
        };
    }

    fn silence(&mut self) {
        let limit = self.core.round(self.claim.ttl);
        for member in 0..self.votes.len() {
            if self.votes[member] == Vote::Open {
                let message = format!("no answer within {limit:?}");
                self.failures[member] = Some(Error::new(ErrorKind::TimedOut, message).unknown());
                self.votes[member] = Vote::Silent;
            }
        }
    }

    /// Releases the claim at members that have or may have granted it; in the background, for a member that hangs has to
    /// answer first. A place in the queue of a member with another holder stays, for its wake-up.
    fn give_back(&self) {
        for voter in &self.core.members {
            let may_hold = match (&self.votes[voter.number], &self.failures[voter.number]) {
                (Vote::For { .. } | Vote::Open, _) => true,
                (Vote::Silent, Some(error)) => error.outcome() == Outcome::Unknown,
                _ => false,
            };
            if may_hold {
                self.core.release_later(voter, self.order, self.claim);
            }
        }
    }

    /// Whether no claim has a majority, as far as members answered. A claim with a majority has the same token at each of
    /// its members; different tokens are holds that came and went meanwhile.
    fn is_split(&self) -> bool {
        let against = self.rivals.iter().flatten();
        let holds: Vec<_> = against
            .map(|busy| busy.holder.as_ref().map(|holder| (holder.tag, holder.stance, holder.fence)))
            .collect();
        let unknown = self
            .votes
            .iter()
            .filter(|vote| matches!(vote, Vote::Open | Vote::Silent | Vote::Gone(_)))
            .count();
        let most =
            holds.iter().map(|hold| holds.iter().filter(|other| *other == hold).count()).max().unwrap_or(0);
        most + unknown < majority(self.votes.len())
    }

    /// Whether it comes before all rivals, in an order that is the same for all of them.
    fn comes_first(&self) -> bool {
        let mine = Contender::tag_of(self.claim.id);
        let holders = self.rivals.iter().flatten().filter_map(|busy| busy.holder.as_ref());
        holders.clone().all(|holder| holder.mode.is_some() && holder.tag < mine)
            && self.votes.iter().any(|vote| matches!(vote, Vote::For { .. }))
    }

    /// The contention: the holder of most members.
    fn busy(&self, is_split: bool) -> Busy {
        let rivals: Vec<&Busy> = self.rivals.iter().flatten().collect();
        let tag = |busy: &Busy| busy.holder.as_ref().map(|holder: &Contender| holder.tag);
        let votes_of = |busy: &&&Busy| rivals.iter().filter(|other| tag(other) == tag(busy)).count();
        let first = rivals.iter().max_by_key(votes_of).copied();
        let recheck_in = match is_split {
            true => self.core.env.jitter(SPLIT_PAUSE) + Duration::from_millis(1),
            false => rivals.iter().map(|busy| busy.recheck_in).min().unwrap_or(self.claim.ttl / 3),
        };
        let ahead = rivals.iter().filter_map(|busy| busy.ahead).max();
        Busy {
            holder: first.and_then(|busy| busy.holder.clone()),
            ahead: ahead.filter(|_| self.claim.queueing != Queueing::No),
            recheck_in: recheck_in.min(self.claim.ttl / 3).max(Duration::from_millis(1)),
        }
    }

    /// The error with the state of every member.
    fn no_quorum(&self) -> Error {
        let states: Vec<String> = self.core.members.iter().map(|voter| self.state_of(voter.number)).collect();
        let known: Vec<&Error> = self.failures.iter().flatten().collect();
        let error = self.core.no_quorum(&states);
        let in_doubt = known.iter().any(|error| error.outcome() == Outcome::Unknown);
        let held = self.votes.iter().any(|vote| matches!(vote, Vote::For { .. }));
        if in_doubt || held { error.unknown() } else { error }
    }

    fn state_of(&self, member: usize) -> String {
        let (voter, now) = (&self.core.members[member], self.core.env.now());
        let says = match (&self.votes[member], &self.failures[member]) {
            (Vote::For { counts: true, .. }, _) => "granted".to_string(),
            (Vote::For { counts: false, .. }, _) => voter.member(self.core.options.quarantine(), now).state,
            (Vote::Against, _) => "held by somebody else".to_string(),
            (Vote::Gone(reason), _) => reason.to_string(),
            (_, Some(error)) => error.to_string(),
            (_, None) => "not asked to the end".to_string(),
        };
        voter.says(says)
    }
}
