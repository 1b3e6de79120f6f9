//! Decisions of several stores that vote.
//!
//! The algorithm is Redlock (Sanfilippo, "Distributed locks with Redis", 2014) with fencing tokens: every grant carries
//! the member's counter, the largest of a majority is the token, and it counts once a majority holds exactly that one.
//! Members that hold less are raised, only while they still hold the claim; what they answer above is taken over.
//! Any two majorities have a member in common, so tokens of grants that were completed one after the other grow,
//! whatever clocks, pauses and lost messages there are, as long as counters are not lost.

use std::time::Duration;

use crate::{FencingToken, LostReason};

/// The size of a majority of `members`: of the configured ones, not of the reachable ones.
pub const fn majority(members: usize) -> usize {
    members / 2 + 1
}

/// The vote of a member on a claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vote {
    /// It has not answered yet, or not yet since it was asked to raise its token.
    Open,
    /// It holds the lock for the claim.
    For {
        /// Whether that counts: not from a member that may have lost its data.
        counts: bool,
        /// Its token.
        fence: Option<FencingToken>,
        /// How long it keeps the hold.
        valid_for: Duration,
    },
    /// Another claim has the lock there.
    Against,
    /// The claim's id is spent there.
    Gone(LostReason),
    /// It failed, or did not answer in time.
    Silent,
}

/// The decision of a majority about a claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Nothing yet: more answers are to come.
    Open,
    /// It holds the lock.
    Granted {
        /// The token that a majority has.
        fence: Option<FencingToken>,
        /// How long a majority keeps the hold.
        valid_for: Duration,
    },
    /// A majority holds the lock for the claim, and not enough have the largest token: these members are to raise theirs.
    Raise {
        /// The largest token.
        to: FencingToken,
        /// The members that have less.
        members: Vec<usize>,
    },
    /// Others have the lock, or part of it.
    Contended,
    /// The claim's id is spent.
    Gone(LostReason),
    /// Too few members answered for anybody to have won.
    NoQuorum,
}

/// Counts the votes on a claim. A member is raised once for each value: the caller sets its vote to
/// [`Vote::Open`] when it asks.
pub fn claimed(votes: &[Vote]) -> Decision {
    let needed = majority(votes.len());
    let count = |wanted: fn(&Vote) -> bool| votes.iter().filter(|vote| wanted(vote)).count();
    let open = count(|vote| *vote == Vote::Open);
    let granted = count(|vote| matches!(vote, Vote::For { counts: true, .. }));
    if granted >= needed {
        return complete(votes, needed, open);
    }
    let gone = count(|vote| matches!(vote, Vote::Gone(_)));
    if gone > votes.len() - needed {
        let reason = |vote: &Vote| if let Vote::Gone(reason) = vote { Some(*reason) } else { None };
        return Decision::Gone(gravest(votes.iter().filter_map(reason)));
    }
    if granted + open >= needed {
        return Decision::Open;
    }
    let against = count(|vote| *vote == Vote::Against);
    let may_be_contended = granted + against + open >= needed;
    let may_be_gone = gone > 0 && gone + open > votes.len() - needed;
    if against > 0 && granted + against >= needed {
        Decision::Contended
    } else if open > 0 && (may_be_contended || may_be_gone) {
        Decision::Open
    } else {
        Decision::NoQuorum
    }
}

/// Enough hold it: do enough of them have one token?
fn complete(votes: &[Vote], needed: usize, open: usize) -> Decision {
    // A member without a vote has its say here: a larger token does no harm, an unknown one might.
    let largest =
        votes.iter().filter_map(|vote| if let Vote::For { fence, .. } = vote { *fence } else { None }).max();
    let agreed: Vec<Duration> = votes
        .iter()
        .filter_map(|vote| match vote {
            Vote::For { counts: true, fence, valid_for } if *fence == largest => Some(*valid_for),
            _ => None,
        })
        .collect();
    if let Some(valid_for) = kept_by(agreed, needed) {
        return Decision::Granted { fence: largest, valid_for };
    }
    let below = |vote: &Vote| matches!(vote, Vote::For { fence, .. } if *fence < largest);
    let members: Vec<usize> = (0..votes.len()).filter(|&at| below(&votes[at])).collect();
    match largest {
        Some(to) if !members.is_empty() => Decision::Raise { to, members },
        _ if open > 0 => Decision::Open,
        _ => Decision::NoQuorum,
    }
}

/// Where a member stands with a renewal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RenewalVote {
    /// It has not answered yet.
    Open,
    /// It keeps the hold for this long.
    Kept(Duration),
    /// It has no such hold.
    Gone(LostReason),
    /// It failed, or did not answer in time.
    Silent,
}

/// The decision of a majority about a renewal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Renewed {
    /// Nothing yet.
    Open,
    /// A majority keeps the hold for this long.
    Kept(Duration),
    /// A majority cannot keep it any more.
    Gone(LostReason),
    /// Too few answered to know.
    NoQuorum,
}

/// Counts the answers to a renewal.
pub fn renewed(votes: &[RenewalVote]) -> Renewed {
    let needed = majority(votes.len());
    let kept = votes
        .iter()
        .filter_map(|pledge| if let RenewalVote::Kept(span) = pledge { Some(*span) } else { None });
    if let Some(valid_for) = kept_by(kept.collect(), needed) {
        return Renewed::Kept(valid_for);
    }
    let gone: Vec<LostReason> = votes
        .iter()
        .filter_map(|pledge| if let RenewalVote::Gone(reason) = pledge { Some(*reason) } else { None })
        .collect();
    if gone.len() > votes.len() - needed {
        return Renewed::Gone(gravest(gone.into_iter()));
    }
    if votes.contains(&RenewalVote::Open) { Renewed::Open } else { Renewed::NoQuorum }
}

/// How long at least `needed` of these keep it.
fn kept_by(mut spans: Vec<Duration>, needed: usize) -> Option<Duration> {
    spans.sort_unstable_by(|a, b| b.cmp(a));
    spans.get(needed - 1).copied()
}

/// The largest value that no token of a completed grant is above, from the counters of those members that answered: a
/// majority has it or more, and those that did not answer may be among them.
pub fn completed(mut counters: Vec<Option<FencingToken>>, members: usize) -> Option<FencingToken> {
    let missing = members.saturating_sub(counters.len());
    counters.sort_unstable_by(|a, b| b.cmp(a));
    let rank = majority(members).saturating_sub(missing).max(1);
    counters.get(rank - 1).copied().flatten()
}

/// The most specific of several reasons.
fn gravest(reasons: impl Iterator<Item = LostReason>) -> LostReason {
    let weight = |reason: &LostReason| match reason {
        LostReason::ForceReleased => 2,
        LostReason::Expired => 1,
        _ => 0,
    };
    reasons.max_by_key(weight).unwrap_or(LostReason::Gone)
}

#[cfg(test)]
mod tests;
