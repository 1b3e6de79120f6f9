//! [`LockRecord`]: what is kept under the key of a lock, and what time it is there.

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    ClaimId, Contender, Error, ErrorKind, FencingToken, LockName, Moment, Result, Snapshot, Stance,
    decide::lock_state::{Entry, LockState, State},
};

use crate::{
    format::{self, PENDING, moment},
    keys::Keys,
    reply::{Item, Reply},
    server_info::{Server, THIRTY_DAYS},
};

/// A lock and its keys.
#[derive(Clone, Debug)]
pub(crate) struct LockKeys {
    pub(crate) name: LockName,
    pub(crate) keys: Keys,
}

impl LockKeys {
    pub(crate) fn of(name: &LockName) -> LockKeys {
        LockKeys { name: name.clone(), keys: Keys::of(name) }
    }
}

/// What is kept under the key of a lock.
#[derive(Clone, Debug)]
pub(crate) struct LockRecord {
    pub(crate) found: Stored,
    /// By how much the tokens of this name are lifted.
    pub(crate) offset: u64,
    pub(crate) server: Arc<Server>,
    /// The item that names the run of the server.
    pub(crate) run: Option<Item>,
    /// How much less than it says a hold lasts, because the server's clock stood still.
    pub(crate) lag: Duration,
}

#[derive(Clone, Debug)]
pub(crate) enum Stored {
    /// Nothing.
    Free,
    /// What somebody else put there.
    Foreign(Item),
    /// Our document.
    Own(OwnDocument),
}

/// A document, with its tokens filled in.
#[derive(Clone, Debug)]
pub(crate) struct OwnDocument {
    pub(crate) document: LockState,
    /// The server's time, on the scale of the document.
    pub(crate) now: Moment,
    /// When the item was to end when it was stored, in seconds.
    pub(crate) end: u64,
    pub(crate) cas: u64,
    /// It was prolonged in place since then.
    pub(crate) stale: bool,
    /// Whether a token in it follows from the CAS unique of its item.
    pub(crate) pending: bool,
}

impl LockRecord {
    /// Reads the replies to three looks: at the lock, at its offset, and at the run of the server. `known` are tokens that this client remembers.
    pub(crate) fn read(
        place: &LockKeys,
        replies: &mut impl Iterator<Item = Reply>,
        server: Arc<Server>,
        known: impl Fn(ClaimId) -> Option<FencingToken>,
    ) -> Result<LockRecord> {
        let item = item(replies.next())?;
        let offset = item_number(item_or_none(replies.next())?);
        let found = match item {
            None => Stored::Free,
            Some(item) => {
                ours(place, &item, offset, &server, known)?.map_or(Stored::Foreign(item), Stored::Own)
            }
        };
        let run = item_or_none(replies.next())?;
        Ok(LockRecord { found, offset, server, run, lag: Duration::ZERO })
    }

    /// The document and the entry by which a claim holds the lock.
    pub(crate) fn held_by(&self, id: ClaimId) -> Option<(&OwnDocument, &Entry)> {
        let Stored::Own(ours) = &self.found else { return None };
        let held = |entry: &&Entry| entry.id == id && entry.state == State::Held && entry.expires > ours.now;
        Some((ours, ours.document.entries().iter().find(held)?))
    }

    /// For how long a claim holds the lock.
    pub(crate) fn valid_for(&self, ours: &OwnDocument, entry: &Entry) -> Duration {
        entry.expires.since(ours.now).saturating_sub(self.lag)
    }

    /// The highest token that an item with this CAS unique can give.
    pub(crate) fn reach(&self, cas: u64) -> u64 {
        self.server.token_base.saturating_add(cas).saturating_add(self.offset)
    }

    pub(crate) fn snapshot(&self, name: &LockName) -> Snapshot {
        let (holders, waiters) = match &self.found {
            Stored::Free => Default::default(),
            Stored::Foreign(item) => (vec![foreign(item)], Vec::new()),
            Stored::Own(ours) => ours.contenders(),
        };
        let fence = holders.iter().filter_map(|holder| holder.fence).max();
        Snapshot { name: name.clone(), holders, waiters, fence, members: Vec::new() }
    }
}

impl OwnDocument {
    fn contenders(&self) -> (Vec<Contender>, Vec<Contender>) {
        let (mut holders, waiters) = self.document.contenders(self.now);
        if self.stale {
            // Its times count from an end that has been moved.
            holders.iter_mut().for_each(|holder| holder.age = None);
        }
        (holders, waiters)
    }
}

fn item(reply: Option<Reply>) -> Result<Option<Item>> {
    match reply {
        Some(Reply::Refused(why)) => Err(refused(&why)),
        reply => item_or_none(reply),
    }
}

fn item_or_none(reply: Option<Reply>) -> Result<Option<Item>> {
    match reply {
        Some(Reply::Item(item)) => Ok(Some(item)),
        Some(Reply::Nothing | Reply::Refused(_)) => Ok(None),
        _ => Err(Error::new(ErrorKind::Corrupt, "the server does not answer what it was asked").unknown()),
    }
}

/// A refusal in words of ours.
pub(crate) fn refused(why: &str) -> Error {
    let no_room = why.contains("out of memory") || why.contains("too large");
    if no_room {
        return Error::new(ErrorKind::Exhausted, format!("the server has no room: {why}"))
            .hint("give it more memory (-m)");
    }
    Error::new(ErrorKind::Rejected, format!("the server refuses: {why}")).hint("see the server's log")
}

/// A number that is kept as text; nothing is zero.
pub(crate) fn item_number(item: Option<Item>) -> u64 {
    let text = item.and_then(|item| String::from_utf8(item.value).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn ours(
    place: &LockKeys,
    item: &Item,
    offset: u64,
    server: &Server,
    known: impl Fn(ClaimId) -> Option<FencingToken>,
) -> Result<Option<OwnDocument>> {
    // A document of another lock under this key is a collision of hashes, or a copy: it keeps out all the same.
    let Some(document) = format::decode(&item.value).filter(|document| document.name == place.name) else {
        return Ok(None);
    };
    let mut entries = document.entries;
    let mut pending = false;
    for entry in entries.iter_mut().filter(|entry| entry.fence == Some(PENDING)) {
        pending = true;
        entry.fence = if item.stale {
            known(entry.id)
        } else {
            Some(FencingToken::new(server.token_base.saturating_add(item.cas).saturating_add(offset))?)
        };
    }
    // Somebody's `touch` may have made it stay for ever; nothing of ours is meant to.
    let left = item.ttl.unwrap_or(THIRTY_DAYS);
    Ok(Some(OwnDocument {
        document: LockState::of(entries),
        now: moment(document.end.saturating_sub(left)),
        end: document.end,
        cas: item.cas,
        stale: item.stale,
        pending,
    }))
}

/// A stranger, as far as it can be seen.
pub(crate) fn foreign(item: &Item) -> Contender {
    let shown: String =
        String::from_utf8_lossy(&item.value[..item.value.len().min(64)]).escape_debug().take(12).collect();
    let more = if item.value.len() > shown.len() { "…" } else { "" };
    Contender {
        tag: 0,
        stance: Stance::Holding,
        mode: None,
        expires_in: item.ttl.map(Duration::from_secs),
        age: None,
        fence: None,
        note: Some(format!("held by another library: value {shown}{more}").into()),
    }
}
