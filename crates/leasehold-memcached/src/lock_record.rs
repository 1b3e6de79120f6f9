//! [`LockRecord`]: the item under the key of a lock, and the time of its server.

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    ClaimId, Contender, FencingToken, LockName, Moment, Result, Snapshot, Stance,
    decide::lock_state::{Entry, LockState, State},
};

use crate::{
    error::{refused, unexpected_reply},
    format::{self, PENDING, moment},
    keys::LockKeys,
    reply::{Item, Reply},
    server_info::{Server, THIRTY_DAYS},
};

/// The item under the key of a lock, as it was read.
#[derive(Clone, Debug)]
pub(crate) struct LockRecord {
    pub(crate) stored: Stored,
    /// The offset of the fencing tokens of this name.
    pub(crate) offset: u64,
    pub(crate) server: Arc<Server>,
    /// The item that identifies the run of the server.
    pub(crate) run: Option<Item>,
    /// The span by which holds end earlier than shown, because the server's clock stood still.
    pub(crate) lag: Duration,
}

#[derive(Clone, Debug)]
pub(crate) enum Stored {
    /// No item.
    Free,
    /// An item of another program.
    Foreign(Item),
    /// A document of this library.
    Own(OwnDocument),
}

/// A document with its fencing tokens filled in.
#[derive(Clone, Debug)]
pub(crate) struct OwnDocument {
    pub(crate) document: LockState,
    /// The server's time, on the scale of the document.
    pub(crate) now: Moment,
    /// The end of the item at the time it was stored, in seconds.
    pub(crate) end: u64,
    pub(crate) cas: u64,
    /// Whether it was extended in place since then.
    pub(crate) stale: bool,
    /// Whether a token in it follows from the CAS unique of its item.
    pub(crate) pending: bool,
}

impl LockRecord {
    /// Parses the replies about the lock, its token offset and the run of the server. `known` are the tokens that this
    /// client remembers.
    pub(crate) fn parse(
        keys: &LockKeys,
        replies: &mut impl Iterator<Item = Reply>,
        server: Arc<Server>,
        known: impl Fn(ClaimId) -> Option<FencingToken>,
    ) -> Result<LockRecord> {
        let item = item(replies.next())?;
        let offset = item_number(item_or_none(replies.next())?);
        let stored = match item {
            None => Stored::Free,
            Some(item) => {
                own_document(keys, &item, offset, &server, known)?.map_or(Stored::Foreign(item), Stored::Own)
            }
        };
        let run = item_or_none(replies.next())?;
        Ok(LockRecord { stored, offset, server, run, lag: Duration::ZERO })
    }

    /// The document and the entry by which a claim holds the lock.
    pub(crate) fn held_by(&self, id: ClaimId) -> Option<(&OwnDocument, &Entry)> {
        let Stored::Own(own) = &self.stored else { return None };
        let held = |entry: &&Entry| entry.id == id && entry.state == State::Held && entry.expires > own.now;
        Some((own, own.document.entries().iter().find(held)?))
    }

    /// The remaining time of a hold.
    pub(crate) fn valid_for(&self, own: &OwnDocument, entry: &Entry) -> Duration {
        entry.expires.since(own.now).saturating_sub(self.lag)
    }

    /// The fencing token of an item with this CAS unique.
    pub(crate) fn token_of(&self, cas: u64) -> u64 {
        self.server.token_base.saturating_add(cas).saturating_add(self.offset)
    }

    pub(crate) fn snapshot(&self, name: &LockName) -> Snapshot {
        let (holders, waiters) = match &self.stored {
            Stored::Free => Default::default(),
            Stored::Foreign(item) => (vec![foreign(item)], Vec::new()),
            Stored::Own(own) => own.contenders(),
        };
        let fence = holders.iter().filter_map(|holder| holder.fence).max();
        Snapshot { name: name.clone(), holders, waiters, fence, members: Vec::new() }
    }
}

impl OwnDocument {
    /// The document without the entries that have expired.
    pub(crate) fn unexpired(&self) -> LockState {
        let mut document = self.document.clone();
        document.expire(self.now);
        document
    }

    fn contenders(&self) -> (Vec<Contender>, Vec<Contender>) {
        let (mut holders, waiters) = self.document.contenders(self.now);
        if self.stale {
            // Its times count from an end that was moved.
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
        _ => Err(unexpected_reply()),
    }
}

/// The number in an item, kept as text; zero without one.
pub(crate) fn item_number(item: Option<Item>) -> u64 {
    let text = item.and_then(|item| String::from_utf8(item.value).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn own_document(
    keys: &LockKeys,
    item: &Item,
    offset: u64,
    server: &Server,
    known: impl Fn(ClaimId) -> Option<FencingToken>,
) -> Result<Option<OwnDocument>> {
    // A document of another lock under this key is a collision of hashes, or a copy: it keeps out all the same.
    let Some(document) = format::decode(&item.value).filter(|document| document.name == keys.name) else {
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
    // A foreign `touch` may have removed its end; a document of ours always has one.
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

/// The holder of a foreign item, as far as it is visible.
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
