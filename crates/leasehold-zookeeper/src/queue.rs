//! [`Queue`]: the holders and waiters of a lock in order, and every decision about them. No I/O.

#[cfg(test)]
mod tests;

use std::{collections::HashSet, sync::Arc, time::Duration};

use leasehold_core::{
    Contender, Error, ErrorKind, FencingToken, Mode, Queueing, Stance,
    decide::grant::{QueueEntry, Verdict, grant},
};
use zookeeper_client::Stat;

use crate::{
    dialect::{NodeKind, NodeName, ZooKeeperDialect, sort},
    format::{NodeData, Phase},
};

/// The children of a lock's node that count, in order.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) members: Vec<NodeName>,
    /// A node in a layout that ignores ours, if there is one.
    blind: Option<String>,
}

/// A child of a lock's node and its content.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: NodeName,
    pub(crate) data: NodeData,
    /// Whether another library wrote it.
    pub(crate) is_foreign: bool,
    pub(crate) stat: Stat,
    /// Its remaining time, if it ends by time.
    pub(crate) left: Option<Duration>,
}

/// The decision about a claim.
#[derive(PartialEq, Debug)]
pub(crate) enum Decision {
    /// It may hold.
    Granted,
    /// It has to wait.
    Blocked(Blocker),
    /// The others use the name with another number of permits.
    Mismatch(Option<u32>),
    /// These have to be deleted first, in the version that was read: their time is over.
    Expired(Vec<(String, i32)>),
    /// A member has gone: the queue is to be read again.
    Changed,
}

/// The reason why a claim has to wait.
#[derive(PartialEq, Debug)]
pub(crate) struct Blocker {
    pub(crate) holder: Option<Contender>,
    pub(crate) ahead: u32,
    /// The time until the first member ends, if one ends by time.
    pub(crate) left: Option<Duration>,
    pub(crate) target: WatchTarget,
}

/// The change that a waiter waits for.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum WatchTarget {
    /// The end of this node, or another mode than this, if the mode matters.
    Node { name: String, mode: Option<Mode> },
    /// The end of any of these nodes.
    Any(HashSet<String>),
}

impl Queue {
    /// The members in order, seen from the place `pivot`.
    pub(crate) fn of(dialect: ZooKeeperDialect, children: &[String], pivot: Option<i32>) -> Queue {
        let mut members: Vec<NodeName> = children.iter().filter_map(|child| dialect.read(child)).collect();
        let blind = members.iter().find(|it| it.kind == NodeKind::Blind).map(|it| it.name.clone());
        let living: HashSet<_> =
            members.iter().filter(|it| it.kind == NodeKind::Contender).map(|it| (it.id, it.number)).collect();
        // A delay marker counts once its holder has gone.
        members.retain(|it| match it.kind {
            NodeKind::Contender => true,
            NodeKind::DelayMarker => !living.contains(&(it.id, it.number)),
            NodeKind::Blind => false,
        });
        let pivot = pivot.or(members.first().map(|it| it.number)).unwrap_or_default();
        sort(&mut members, pivot);
        Queue { members, blind }
    }

    /// # Errors
    /// A node is there whose owner would not be excluded.
    pub(crate) fn refuse_blind(&self) -> Result<(), Error> {
        let Some(blind) = &self.blind else { return Ok(()) };
        let message = format!("`{}` is of a lock whose layout ignores ours", blind.escape_debug());
        Err(Error::new(ErrorKind::Unsafe, message)
            .hint("give the other program a path of its own; for Python's kazoo there is dialect=kazoo"))
    }

    /// The members ahead of a claim at this place.
    pub(crate) fn ahead(&self, number: i32) -> &[NodeName] {
        let count = self.members.partition_point(|it| it.number.wrapping_sub(number) < 0);
        &self.members[..count]
    }

    /// The members whose content decides about a claim at this place. A writer waits for all that are ahead: the holder and
    /// the last one are enough to read.
    pub(crate) fn to_read(&self, mode: Mode, number: i32) -> Vec<NodeName> {
        match self.ahead(number) {
            [first, .., last] if mode == Mode::Exclusive => vec![first.clone(), last.clone()],
            all => all.to_vec(),
        }
    }

    /// Decides about a claim at this place. `members` are those of [`Queue::to_read`] that are still there.
    pub(crate) fn decide(&self, mode: Mode, number: i32, members: &[Member]) -> Decision {
        let ahead = self.ahead(number).len();
        if mode == Mode::Exclusive && members.len() < ahead.min(2) {
            return Decision::Changed;
        }
        let Some(first) = members.first() else { return Decision::Granted };
        let expired = members.iter().filter(|member| member.is_over());
        let expired: Vec<_> = expired.map(|member| (member.name.name.clone(), member.stat.version)).collect();
        if !expired.is_empty() {
            return Decision::Expired(expired);
        }
        let limit = first.data.mode.limit();
        if limit != mode.limit() {
            return Decision::Mismatch(limit);
        }
        let Some(target) = watch_target(mode, members) else { return Decision::Granted };
        let holder = stances(members).into_iter().zip(members).find_map(|(stance, member)| {
            let stance = stance.filter(|stance| *stance != Stance::Waiting)?;
            Some(member.contender(stance))
        });
        Decision::Blocked(Blocker {
            holder,
            ahead: u32::try_from(ahead).unwrap_or(u32::MAX),
            left: members.iter().filter_map(|member| member.left).min(),
            target,
        })
    }
}

fn watch_target(mode: Mode, members: &[Member]) -> Option<WatchTarget> {
    let mut places: Vec<_> = members.iter().map(|member| place(member.data.mode)).collect();
    places.push(place(mode));
    if grant(&places, members.len()) == Verdict::Granted {
        return None;
    }
    let blocks = |member: &&Member| mode == Mode::Exclusive || member.data.mode != Mode::Shared;
    Some(match members.iter().rev().find(blocks) {
        // All have to go; the last of them is the last to go, or to be overtaken. A writer waits for all, whatever their mode.
        Some(last) if mode.limit().is_none() => WatchTarget::Node {
            name: last.name.name.clone(),
            mode: (mode != Mode::Exclusive).then_some(last.data.mode),
        },
        _ => WatchTarget::Any(members.iter().map(|member| member.name.name.clone()).collect()),
    })
}

impl Member {
    /// A member whose remaining time is not known yet.
    pub(crate) fn new(name: NodeName, data: &[u8], stat: Stat) -> Member {
        let read = NodeData::read(data);
        let is_foreign = read.is_none();
        let text = std::str::from_utf8(data).ok().filter(|text| !text.is_empty());
        let data = read.unwrap_or_else(|| NodeData::exclusive(text.map(Arc::from)));
        Member { name, data, is_foreign, stat, left: None }
    }

    /// The time after its last change at which it ends, if it ends by time.
    pub(crate) fn ttl(&self) -> Option<Duration> {
        match self.name.kind {
            NodeKind::DelayMarker => Some(self.data.lock_delay).filter(|_| !self.is_foreign),
            _ => Some(self.data.ttl).filter(|_| self.data.expires),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.left.is_some_and(|left| left.is_zero())
    }

    /// The token of its hold: a raised one, or that of its place.
    pub(crate) fn fence(&self) -> Option<FencingToken> {
        self.data.fence.or_else(|| FencingToken::new(token_of(&self.stat)).ok())
    }

    /// The member as `inspect` shows it.
    pub(crate) fn contender(&self, stance: Stance) -> Contender {
        Contender {
            tag: self.name.id.map_or(0, Contender::tag_of),
            stance,
            mode: Some(self.data.mode).filter(|_| !self.is_foreign),
            expires_in: self.left,
            age: None,
            fence: self.fence().filter(|_| stance == Stance::Holding),
            note: self.data.note.clone(),
        }
    }
}

/// The state of each member. Nobody is overtaken: the first in order holds first. A claim that does not wait is shown as
/// nothing unless it holds.
pub(crate) fn stances(members: &[Member]) -> Vec<Option<Stance>> {
    let places: Vec<QueueEntry> = members.iter().map(|member| place(member.data.mode)).collect();
    let stance = |at: usize, member: &Member| {
        let is_next = grant(&places, at) == Verdict::Granted;
        match member.name.kind {
            NodeKind::DelayMarker => Some(Stance::Delaying),
            _ if is_next && member.data.phase == Phase::Asking => Some(Stance::Holding),
            _ if member.data.queueing == Queueing::No => None,
            _ => Some(Stance::Waiting),
        }
    };
    members.iter().enumerate().map(|(at, member)| stance(at, member)).collect()
}

/// The holder beside the node `own`, which has asked to hold alone: it stands in the way of the upgrade.
pub(crate) fn other_holder(members: &mut [Member], own: &NodeName) -> Option<Contender> {
    // As it was before it asked.
    for member in members.iter_mut().filter(|member| member.name == *own) {
        member.data.mode = Mode::Shared;
    }
    let others = stances(members).into_iter().zip(members).filter(|(_, member)| member.name != *own);
    let mut holders = others.filter(|(stance, _)| *stance == Some(Stance::Holding));
    holders.next().map(|(_, member)| member.contender(Stance::Holding))
}

/// All keep their place: a token is the id of the transaction that created the place, so nobody may overtake.
fn place(mode: Mode) -> QueueEntry {
    QueueEntry { mode, queueing: Queueing::Fifo, holds: false }
}

/// The id of the transaction that created a node.
pub(crate) fn token_of(stat: &Stat) -> u64 {
    u64::try_from(stat.czxid).unwrap_or_default()
}
