//! A claim at all members: the steps of Redlock, with fencing tokens.

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::{
    Core,
    fan_out::{FanOut, Next},
    ordering::ClaimOrder,
};
use crate::{
    BoxFuture, Busy, Claim, Contender, Error, ErrorKind, FencingToken, Grant, Intent, LostReason, Moment,
    Outcome, Queueing, Result, Standing,
    decide::{
        backoff,
        votes::{self, Decision, Vote, majority},
    },
    env::show,
};

/// How often a claim is repeated when several claims have split the members, and none has a majority.
const SPLITS_MAX: u32 = 10;
/// The pause after a first split of the members: clearly longer than a round.
const SPLIT_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause, after several splits in a row: releases may take long to arrive.
const SPLIT_PAUSE_MAX: Duration = Duration::from_millis(160);

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
                round.hear_the_rest(fence).await;
                return Ok(Standing::Granted(Grant::lasting(fence, valid_for)));
            }
            self.proposals.forget(&claim.name);
            let makes_holds = claim.intent == Intent::Hold;
            let is_split = decision == Decision::Contended && makes_holds && round.is_split().await;
            let tries_again = is_split && splits < SPLITS_MAX;
            // One of the claims that split the members keeps its grants, and the others release theirs: with random
            // pauses alone, many claims would split again and again.
            let insists = tries_again && round.comes_first();
            if makes_holds && !insists {
                let given_back = round.give_back();
                order.propose_anew();
                if tries_again {
                    // Its next requests follow its releases, so it would be the first to take what it has released.
                    let limit = self.env.now() + self.round(claim.ttl);
                    for answered in given_back {
                        let _ = self.env.until(limit, answered).await;
                    }
                }
            }
            if tries_again {
                let first = if insists { SPLIT_PAUSE / 8 } else { SPLIT_PAUSE };
                let pause = backoff::delay(splits, first, SPLIT_PAUSE_MAX, self.env.fraction());
                splits += 1;
                self.env.sleep(pause).await;
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
    order: &'a Arc<ClaimOrder>,
    claim: &'a Claim,
    proposal: Option<FencingToken>,
    votes: Vec<Vote>,
    /// The holder at each member that did not grant.
    rivals: Vec<Option<Busy>>,
    /// The failure of each member.
    failures: Vec<Option<Error>>,
    calls: FanOut<Result<Standing>>,
    begin: Moment,
    timer: BoxFuture<'static, ()>,
}

impl<'a> Round<'a> {
    fn cast(core: &'a Arc<Core>, order: &'a Arc<ClaimOrder>, claim: &'a Claim) -> Self {
        let members = core.members.len();
        order.begin_round();
        let mut calls = FanOut::new(&core.env);
        let proposal = order.propose(core.proposal_for(&claim.name));
        let asked = Arc::new(Claim { fence_proposal: claim.fence_proposal.max(proposal), ..claim.clone() });
        for voter in &core.members {
            calls.add(voter.number, voter.claim(order, asked.clone()));
        }
        Round {
            core,
            order,
            claim,
            proposal,
            votes: vec![Vote::Open; members],
            rivals: vec![None; members],
            failures: (0..members).map(|_| None).collect(),
            calls,
            begin: core.env.now(),
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
            self.hear().await;
        }
    }

    /// Waits for members that are in step. The next proposal for this lock follows this grant if all members have its token.
    async fn hear_the_rest(&mut self, granted: Option<FencingToken>) {
        let has = |vote: &&Vote| matches!(vote, Vote::For { fence, .. } if *fence == granted);
        let mut agreed = self.votes.iter().filter(has).count();
        let count = |_, answer| {
            agreed += usize::from(matches!(answer, Ok(Standing::Granted(grant)) if grant.fence == granted));
        };
        self.core.hear_the_rest(&mut self.calls, self.begin, count).await;
        let (proposals, name) = (&self.core.proposals, &self.claim.name);
        match granted.zip(self.proposal) {
            Some((granted, proposal)) if agreed == self.votes.len() => {
                proposals.keep(name, proposal, granted)
            }
            _ => proposals.forget(name),
        }
    }

    async fn hear(&mut self) {
        match self.calls.next(&mut self.timer).await {
            Next::Answer(member, answer) => self.note(member, answer),
            Next::Empty | Next::Late => self.silence(),
        }
    }

    /// Raises the token at members with a smaller one, if they still hold the claim.
    fn raise(&mut self, to: FencingToken, members: &[usize]) {
        let raised = Arc::new(Claim {
            intent: Intent::Amend,
            fence_floor: self.claim.fence_floor.max(Some(to)),
            ..self.claim.clone()
        });
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
                voter.record().failure = Some(format!("{error:#}"));
                self.failures[member] = Some(error);
                Vote::Silent
            }
        };
    }

    fn silence(&mut self) {
        let limit = self.core.round(self.claim.ttl);
        for member in 0..self.votes.len() {
            if self.votes[member] == Vote::Open {
                let message = format!("no answer within {}", show(limit));
                self.failures[member] = Some(Error::new(ErrorKind::TimedOut, message).unknown());
                self.votes[member] = Vote::Silent;
            }
        }
    }

    /// Releases the claim at members that have or may have granted it; in the background, for a member that hangs has to
    /// answer first. A place in the queue of a member with another holder stays, for its wake-up. Returns the ends of the
    /// releases at members that have answered the claim.
    fn give_back(&self) -> Vec<oneshot::Receiver<()>> {
        let (claim, mut given_back) = (Arc::new(self.claim.clone()), Vec::new());
        for voter in &self.core.members {
            let may_hold = match (&self.votes[voter.number], &self.failures[voter.number]) {
                (Vote::For { .. } | Vote::Open, _) => true,
                (Vote::Silent, Some(error)) => error.outcome() == Outcome::Unknown,
                _ => false,
            };
            if may_hold {
                let answered = self.core.release_later(voter, self.order, &claim);
                given_back
                    .extend(Some(answered).filter(|_| matches!(self.votes[voter.number], Vote::For { .. })));
            }
        }
        given_back
    }

    /// Whether no claim has a majority, as far as members answer in time. A claim that took its rivals for winners too early
    /// would give up, and so would they.
    async fn is_split(&mut self) -> bool {
        loop {
            let (most, unknown) = self.rivals_most();
            if most + unknown < majority(self.votes.len()) {
                return true;
            }
            if most >= majority(self.votes.len()) || !self.votes.contains(&Vote::Open) {
                return false;
            }
            self.hear().await;
        }
    }

    /// The number of members that one rival has, and of those that it may have. A claim with a majority has the same token at
    /// each of its members; different tokens are holds that came and went meanwhile.
    fn rivals_most(&self) -> (usize, usize) {
        let against = self.rivals.iter().flatten();
        let holds: Vec<_> = against
            .map(|busy| busy.holder.as_ref().map(|holder| (holder.tag, holder.stance, holder.fence)))
            .collect();
        let unknown = self
            .votes
            .iter()
            .filter(|vote| matches!(vote, Vote::Open | Vote::Silent | Vote::Gone(_)))
            .count();
        let most = holds.iter().map(|hold| holds.iter().filter(|other| *other == hold).count()).max();
        (most.unwrap_or(0), unknown)
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
        let members = 0..self.votes.len();
        let error = self.core.no_quorum(members.map(|member| self.reason_of(member)));
        let is_new = |vote: &Vote| matches!(vote, Vote::For { counts: false, .. });
        let error = match self.votes.iter().any(is_new) {
            true => error.hint(
                "wait, or if no lock of before a restart can be at work any more, give such members their vote at once with \
                 `leasehold promote --store URL`",
            ),
            false => error,
        };
        let error = error.passing_in(self.counts_in());
        let in_doubt = self.failures.iter().flatten().any(|error| error.outcome() == Outcome::Unknown);
        let held = self.votes.iter().any(|vote| matches!(vote, Vote::For { .. }));
        if in_doubt || held { error.unknown() } else { error }
    }

    /// The time until the members that have granted are a majority that counts.
    fn counts_in(&self) -> Option<Duration> {
        let (quarantine, now) = (self.core.options.quarantine(), self.core.env.now());
        let members = self.votes.iter().zip(&self.core.members);
        let mut counted: Vec<Duration> = members
            .filter_map(|(vote, member)| match vote {
                Vote::For { counts: true, .. } => Some(Duration::ZERO),
                Vote::For { counts: false, .. } => member.votes_in(quarantine, now),
                _ => None,
            })
            .collect();
        counted.sort_unstable();
        counted.get(majority(self.votes.len()) - 1).copied()
    }

    /// Why a member has not granted.
    fn reason_of(&self, member: usize) -> Option<String> {
        let (voter, now) = (&self.core.members[member], self.core.env.now());
        Some(match (&self.votes[member], &self.failures[member]) {
            (Vote::For { counts: true, .. }, _) => return None,
            (Vote::For { counts: false, .. }, _) => {
                voter.says(voter.member(self.core.options.quarantine(), now).state)
            }
            (Vote::Against, _) => voter.says("held by somebody else"),
            // A member that was asked to end this claim remembers that, as it does a forced release.
            (Vote::Gone(_), _) if self.claim.intent == Intent::Hold => {
                voter.says("this claim has ended there, and is made anew")
            }
            (Vote::Gone(reason), _) => voter.says(reason),
            (_, Some(error)) => voter.says(error),
            // Its answer was not waited for.
            (_, None) => return None,
        })
    }
}
