//! Renewal on all members, and repair of the holds that a minority has lost.

use std::{sync::Arc, time::Duration};

use super::{
    Core,
    fan_out::{FanOut, Next},
    ordering::ClaimOrder,
};
use crate::{
    BoxFuture, Claim, Error, Intent, Moment, Queueing, Renewal, Result, Standing,
    decide::votes::{self, RenewalVote, Renewed},
};

impl Core {
    /// Renews, and returns once a majority has answered for every claim.
    pub(super) async fn renew(self: &Arc<Self>, claims: &[Claim]) -> Vec<Result<Renewal>> {
        if claims.is_empty() {
            return Vec::new();
        }
        let mut rounds = Renewals::begin(self, claims);
        let decided = rounds.count().await;
        let answers = decided.iter().enumerate().map(|(at, renewed)| rounds.answer(at, *renewed)).collect();
        rounds.repair_later(decided);
        answers
    }
}

/// One round of renewals.
struct Renewals {
    core: Arc<Core>,
    claims: Arc<[Claim]>,
    /// Taken before any request: a later release finds them, and nothing is made again after it.
    orders: Vec<Arc<ClaimOrder>>,
    renewal_votes: Vec<Vec<RenewalVote>>,
    /// The failure of each member that has not answered for all claims.
    failures: Vec<Option<String>>,
    calls: FanOut<Vec<Result<Renewal>>>,
    sent: Moment,
    shortest: Duration,
    timer: BoxFuture<'static, ()>,
}

impl Renewals {
    fn begin(core: &Arc<Core>, claims: &[Claim]) -> Self {
        let claims: Arc<[Claim]> = claims.into();
        let mut calls = FanOut::new(&core.env);
        for voter in &core.members {
            calls.add(voter.number, voter.renew(claims.clone()));
        }
        let shortest = claims.iter().map(|claim| claim.ttl).min().unwrap_or_default();
        Renewals {
            core: core.clone(),
            orders: claims.iter().map(|claim| core.orders.of(claim.id)).collect(),
            renewal_votes: vec![vec![RenewalVote::Open; core.members.len()]; claims.len()],
            failures: core.members.iter().map(|voter| Some(voter.says("no answer"))).collect(),
            claims,
            calls,
            sent: core.env.now(),
            shortest,
            timer: core.env.sleep(core.round(shortest)),
        }
    }

    async fn count(&mut self) -> Vec<Renewed> {
        loop {
            let decided: Vec<Renewed> =
                self.renewal_votes.iter().map(|renewal_votes| votes::renewed(renewal_votes)).collect();
            if !decided.contains(&Renewed::Open) {
                return decided;
            }
            match self.calls.next(&mut self.timer).await {
                Next::Answer(member, answers) => self.note(member, answers),
                Next::Empty | Next::Late => {
                    let settle =
                        |renewed: Renewed| if renewed == Renewed::Open { Renewed::NoQuorum } else { renewed };
                    return decided.into_iter().map(settle).collect();
                }
            }
        }
    }

    fn note(&mut self, member: usize, answers: Vec<Result<Renewal>>) {
        let voter = &self.core.members[member];
        let mut failure = None;
        for ((renewal_votes, order), answer) in self.renewal_votes.iter_mut().zip(&self.orders).zip(answers) {
            renewal_votes[member] = match answer {
                // A release under way may end it at any time.
                Ok(_) if order.is_in_doubt_at(member) => RenewalVote::Silent,
                Ok(Renewal::Renewed { valid_for }) => RenewalVote::Kept(valid_for),
                Ok(Renewal::Gone(reason)) => RenewalVote::Gone(reason),
                Err(error) => {
                    failure = Some(error);
                    RenewalVote::Silent
                }
            };
        }
        if let Some(error) = &failure {
            voter.record().failure = Some(format!("{error:#}"));
        }
        self.failures[member] = failure.map(|error| voter.says(error));
        // An incomplete answer is none.
        for renewal_votes in &mut self.renewal_votes {
            if renewal_votes[member] == RenewalVote::Open {
                renewal_votes[member] = RenewalVote::Silent;
            }
        }
    }

    fn answer(&self, at: usize, renewed: Renewed) -> Result<Renewal> {
        match renewed {
            Renewed::Kept(valid_for) => Ok(Renewal::Renewed { valid_for }),
            Renewed::Gone(reason) => Ok(Renewal::Gone(reason)),
            Renewed::Open | Renewed::NoQuorum => Err(self.no_quorum(at).unknown()),
        }
    }

    fn no_quorum(&self, at: usize) -> Error {
        self.core.no_quorum(self.core.members.iter().map(|voter| {
            match self.renewal_votes[at][voter.number] {
                RenewalVote::Kept(_) => None,
                RenewalVote::Gone(reason) => Some(voter.says(reason)),
                RenewalVote::Open | RenewalVote::Silent => self.failures[voter.number].clone(),
            }
        }))
    }

    /// Makes holds again that a minority has lost, also by late answers: a majority has just confirmed that they are held.
    /// Without it, one more loss at a member would be the loss of the lock.
    fn repair_later(self, decided: Vec<Renewed>) {
        let is_kept = |at: usize| matches!(decided[at], Renewed::Kept(_));
        let lost: Vec<(usize, usize)> = (0..self.claims.len())
            .filter(|&at| is_kept(at))
            .flat_map(|at| (0..self.core.members.len()).map(move |member| (at, member)))
            .filter(|&(at, member)| matches!(self.renewal_votes[at][member], RenewalVote::Gone(_)))
            .collect();
        if lost.is_empty() && self.calls.is_empty() {
            return;
        }
        let Renewals { core, claims, orders, calls, sent, shortest, .. } = self;
        for (at, member) in lost {
            core.repair_later(&claims[at], &orders[at], member);
        }
        let until = sent + shortest / 2;
        core.env.clone().spawn(calls.rest(move |member, answers: Vec<Result<Renewal>>| {
            if core.env.now() > until {
                // The decision is too old to say that the hold still exists.
                return;
            }
            for (at, answer) in answers.iter().enumerate().take(claims.len()) {
                if matches!(answer, Ok(Renewal::Gone(_))) && matches!(decided[at], Renewed::Kept(_)) {
                    core.repair_later(&claims[at], &orders[at], member);
                }
            }
        }));
    }
}

impl Core {
    fn repair_later(self: &Arc<Self>, claim: &Claim, order: &Arc<ClaimOrder>, member: usize) {
        let voter = self.members[member].clone();
        // It lost a hold that others keep: it may have restarted, or its clock may have moved.
        self.probe_later(&voter);
        let claim = Arc::new(Claim {
            intent: Intent::Hold,
            queueing: Queueing::No,
            fence_proposal: claim.fence_proposal.max(self.proposal()),
            ..claim.clone()
        });
        let repair = voter.repair(order, claim.clone());
        self.env.spawn(async move {
            match repair.await {
                Ok(None) => {}
                Ok(Some(Standing::Granted(_))) => {
                    tracing::info!(lock = %claim.name, node = %voter.url, "a member had lost the lock and has it again");
                }
                Ok(Some(_)) => {
                    tracing::warn!(lock = %claim.name, node = %voter.url, "a member has given the lock to somebody else");
                }
                Err(error) => tracing::debug!(lock = %claim.name, node = %voter.url, %error, "no repair"),
            }
        });
    }
}
