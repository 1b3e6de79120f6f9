//! Whether a claim may hold, and if not, what it has to wait for.

use std::{collections::HashSet, time::Duration};

use leasehold_core::{
    Claim, Contender, Mode, Stance as Shown,
    decide::grant::{Verdict, grant},
};

use crate::{
    client::ClientState,
    error::ServerError,
    node_name::{NodeKind, NodeName},
    queue::{Member, Queue, place, read, stances},
    session::LiveSession,
};

/// What became of a question.
#[derive(Debug)]
pub(crate) enum Decision {
    /// Nobody is in its way.
    Granted,
    /// Somebody is.
    Blocked(Blocker),
    /// The others use the name with another number of permits.
    Mismatch(Option<u32>),
    /// Somebody went meanwhile: ask again.
    Changed,
}

/// What is in the way.
#[derive(Debug)]
pub(crate) struct Blocker {
    pub(crate) holder: Option<Contender>,
    pub(crate) ahead: u32,
    /// When the first of them ends, if one ends by time.
    pub(crate) left: Option<Duration>,
    pub(crate) sight: WatchTarget,
}

/// What to watch.
#[derive(Clone, Debug)]
pub(crate) enum WatchTarget {
    /// Nothing changes before this one goes, or takes on another mode than this, if the mode matters.
    Node { path: String, mode: Option<Mode> },
    /// Any of these who goes may make room.
    Any { directory: String, names: HashSet<String> },
}

/// Judges the claim that stands at `number`.
pub(crate) async fn judge(
    shared: &ClientState,
    live: &LiveSession,
    claim: &Claim,
    queue: &Queue,
    number: i32,
) -> Result<Decision, ServerError> {
    let before = queue.before(number);
    if before.is_empty() {
        return Ok(Decision::Granted);
    }
    let directory = shared.paths.lock(&claim.name);
    // A writer waits for all; it is enough to know the one that holds and the one that it waits for.
    let is_writer = claim.mode == Mode::Exclusive;
    let wanted: Vec<NodeName> = match &before[..] {
        [first, .., last] if is_writer => vec![first.clone(), last.clone()],
        all => all.to_vec(),
    };
    let members = read(shared, live, &directory, &wanted).await?;
    if is_writer && members.len() < wanted.len() {
        return Ok(Decision::Changed);
    }
    if members.is_empty() {
        return Ok(Decision::Granted);
    }
    if take_away(shared, live, &members).await? {
        return Ok(Decision::Changed);
    }
    let limit = members[0].mode().limit();
    if limit != claim.mode.limit() {
        return Ok(Decision::Mismatch(limit));
    }
    let Some(sight) = sight(claim.mode, &directory, &members) else { return Ok(Decision::Granted) };
    let holder = stances(&members).into_iter().zip(&members).find_map(|(stance, member)| {
        let stance = stance.filter(|stance| *stance != Shown::Waiting)?;
        Some(member.contender(stance))
    });
    Ok(Decision::Blocked(Blocker {
        holder,
        ahead: u32::try_from(before.len()).unwrap_or(u32::MAX),
        left: members.iter().filter_map(|member| member.left).min(),
        sight,
    }))
}

/// Deletes those whose time is over; whether there were any. Only as they were seen: one that was prolonged stays.
async fn take_away(
    shared: &ClientState,
    live: &LiveSession,
    members: &[Member],
) -> Result<bool, ServerError> {
    let mut has_changed = false;
    for member in members.iter().filter(|member| member.is_over()) {
        match shared.delete(live, &member.path, Some(member.stat.version)).await {
            Ok(_) | Err(ServerError::BadVersion) => has_changed = true,
            Err(other) => return Err(other),
        }
    }
    Ok(has_changed)
}

fn sight(mode: Mode, directory: &str, members: &[Member]) -> Option<WatchTarget> {
    let mut places: Vec<_> = members.iter().map(|member| place(member.mode())).collect();
    places.push(place(mode));
    let any = || WatchTarget::Any {
        directory: directory.to_string(),
        names: members.iter().map(|member| member.sibling.name.clone()).collect(),
    };
    // A writer waits for all, however they share.
    let seen = |member: &Member| (mode != Mode::Exclusive).then_some(member.mode());
    let node = |member: &Member| WatchTarget::Node { path: member.path.clone(), mode: seen(member) };
    match (grant(&places, members.len()), mode) {
        (Verdict::Granted, _) => None,
        (Verdict::WaitFor(at), _) => Some(node(&members[at])),
        (Verdict::WaitForAny, Mode::Permits { .. }) => Some(any()),
        // All have to go; the last of them is the last to go, or to be skipped.
        (Verdict::WaitForAny, _) => {
            let blocks = |member: &&Member| mode == Mode::Exclusive || member.mode() != Mode::Shared;
            members.iter().rev().find(blocks).map(node).or_else(|| Some(any()))
        }
    }
}

/// The one that holds together with this claim, if it is not alone: it stands in the way of becoming a writer.
pub(crate) async fn other_holder(
    shared: &ClientState,
    live: &LiveSession,
    claim: &Claim,
    name: &str,
) -> Result<Option<Contender>, ServerError> {
    let children = shared.children(live, &claim.name).await?;
    let queue = Queue::of(shared.dialect, &children, None);
    let mut members = read(shared, live, &shared.paths.lock(&claim.name), &queue.members).await?;
    // As it was before it asked.
    for member in members.iter_mut().filter(|member| member.sibling.name == name) {
        if let Some(slip) = &mut member.slip {
            slip.mode = Mode::Shared;
        }
    }
    let found = stances(&members).into_iter().zip(&members).find_map(|(stance, member)| {
        let is_other = member.sibling.name != name && member.sibling.kind == NodeKind::Contender;
        let stance = stance.filter(|stance| is_other && *stance == Shown::Holding)?;
        Some(member.contender(stance))
    });
    Ok(found)
}
