//! [`Queue`]: those who hold and wait, in order; and what that means for one of them.

use std::{collections::HashSet, sync::Arc, time::Duration};

use leasehold_core::{
    Contender, Error, ErrorKind, FencingToken, Mode, Queueing, Stance as Shown,
    decide::grant::{QueueEntry, Verdict, grant},
};
use zookeeper_client::{MultiReadResult, Stat};

use crate::{
    client::{ClientState, token_of},
    error::{Effect, ServerError},
    format::{NodeData, Stance},
    node_name::{Dialect, NodeKind, NodeName, sort},
    session::LiveSession,
};

/// So many nodes are read with one request: with the longest notes half of what a server sends at once.
pub(crate) const READS_MAX: usize = 128;

/// The children of a lock's node that count, in order.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) members: Vec<NodeName>,
    /// One that does not see us, if there is one.
    blind: Option<String>,
}

/// A child and what is in it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) sibling: NodeName,
    pub(crate) path: String,
    /// `None` when it is not of ours.
    pub(crate) slip: Option<NodeData>,
    pub(crate) stat: Stat,
    /// How much of its time is left, if it ends by time.
    pub(crate) left: Option<Duration>,
    /// What a stranger wrote.
    text: Option<Arc<str>>,
}

impl Queue {
    /// The members, as seen from the place `pivot`.
    pub(crate) fn of(dialect: Dialect, children: &[String], pivot: Option<i32>) -> Queue {
        let mut members: Vec<NodeName> = children.iter().filter_map(|child| dialect.read(child)).collect();
        let blind = members.iter().find(|it| it.kind == NodeKind::Blind).map(|it| it.name.clone());
        let living: HashSet<_> =
            members.iter().filter(|it| it.kind == NodeKind::Contender).map(|it| (it.id, it.number)).collect();
        // A delay_marker counts when its holder has gone.
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
    /// Somebody is there who would not be kept out.
    pub(crate) fn refuse_blind(&self) -> Result<(), Error> {
        let Some(blind) = &self.blind else { return Ok(()) };
        let message = format!("`{}` is of a lock whose layout does not see ours", blind.escape_debug());
        Err(Error::new(ErrorKind::Unsafe, message)
            .hint("give the other program a path of its own; for Python's kazoo there is dialect=kazoo"))
    }

    /// Those that stand before this place.
    pub(crate) fn before(&self, number: i32) -> Vec<NodeName> {
        self.members.iter().filter(|it| it.number.wrapping_sub(number) < 0).cloned().collect()
    }
}

impl Member {
    fn new(shared: &ClientState, sibling: &NodeName, path: String, data: &[u8], stat: Stat) -> Member {
        let (slip, now) = (NodeData::read(data), shared.env.now());
        let span = slip.as_ref().and_then(|slip| match sibling.kind {
            NodeKind::DelayMarker => Some(slip.lock_delay),
            _ => slip.expires.then_some(slip.ttl),
        });
        let left = span.map(|span| shared.sights.left(&path, stat.mzxid, span, now));
        let text = std::str::from_utf8(data).ok().filter(|text| !text.is_empty() && slip.is_none());
        Member { sibling: sibling.clone(), path, stat, left, text: text.map(Arc::from), slip }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.left.is_some_and(|left| left.is_zero())
    }

    /// Strangers hold or wait alone, and in order.
    pub(crate) fn mode(&self) -> Mode {
        self.slip.as_ref().map_or(Mode::Exclusive, |slip| slip.mode)
    }

    fn asks(&self) -> bool {
        self.slip.as_ref().is_none_or(|slip| slip.stance == Stance::Asking)
    }

    fn fence(&self) -> Option<FencingToken> {
        let lifted = self.slip.as_ref().and_then(|slip| slip.fence);
        lifted.or_else(|| FencingToken::new(token_of(&self.stat)).ok())
    }

    /// As `inspect` shows it.
    pub(crate) fn contender(&self, stance: Shown) -> Contender {
        let slip = self.slip.as_ref();
        Contender {
            tag: self.sibling.id.map_or(0, Contender::tag_of),
            stance,
            mode: slip.map(|slip| slip.mode),
            expires_in: self.left,
            age: None,
            fence: self.fence().filter(|_| stance == Shown::Holding),
            note: slip.map_or(self.text.clone(), |slip| slip.note.clone()),
        }
    }
}

/// Reads what is in these children; those that are gone are left out.
pub(crate) async fn read(
    shared: &ClientState,
    live: &LiveSession,
    directory: &str,
    names: &[NodeName],
) -> Result<Vec<Member>, ServerError> {
    let mut members = Vec::with_capacity(names.len());
    for chunk in names.chunks(READS_MAX) {
        let paths: Vec<String> = chunk.iter().map(|it| format!("{directory}/{}", it.name)).collect();
        let results = read_all(shared, live, &paths).await?;
        for ((sibling, path), result) in chunk.iter().zip(paths).zip(results) {
            match result {
                Some((data, stat)) => members.push(Member::new(shared, sibling, path, &data, stat)),
                None => shared.sights.forget(&path),
            }
        }
    }
    Ok(members)
}

async fn read_all(
    shared: &ClientState,
    live: &LiveSession,
    paths: &[String],
) -> Result<Vec<Option<(Vec<u8>, Stat)>>, ServerError> {
    let mut reader = live.client.new_multi_reader();
    for path in paths {
        reader.add_get_data(path).map_err(|foreign| ServerError::of(foreign, Effect::Reads))?;
    }
    let results = shared.link.ask(Effect::Reads, reader.commit()).await?;
    let result = |result| match result {
        MultiReadResult::Data { data, stat } => Ok(Some((data, stat))),
        MultiReadResult::Error { err } => match ServerError::of(err, Effect::Reads) {
            ServerError::NoNode => Ok(None),
            other => Err(other),
        },
        _ => Ok(None),
    };
    results.into_iter().map(result).collect()
}

/// What each member is doing. Nobody is overtaken: who comes first holds first, and a transient question of somebody who
/// does not wait is shown as nothing.
pub(crate) fn stances(members: &[Member]) -> Vec<Option<Shown>> {
    let places: Vec<QueueEntry> = members.iter().map(|member| place(member.mode())).collect();
    let stance = |at: usize, member: &Member| {
        let is_next = grant(&places, at) == Verdict::Granted;
        match member.sibling.kind {
            NodeKind::DelayMarker => Some(Shown::Delaying),
            _ if is_next && member.asks() => Some(Shown::Holding),
            _ if member.slip.as_ref().is_some_and(|slip| slip.queueing == Queueing::No) => None,
            _ => Some(Shown::Waiting),
        }
    };
    members.iter().enumerate().map(|(at, member)| stance(at, member)).collect()
}

/// All keep their place: a token is the number of the transaction that gave the place, so nobody may overtake.
pub(crate) fn place(mode: Mode) -> QueueEntry {
    QueueEntry { mode, queueing: Queueing::Fifo, holds: false }
}
