//! [`LockRecord`]: the item under the key of a lock, and the time of its server.

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    ClaimId, Contender, FencingToken, LockName, Moment, Result, Snapshot, Stance,
    decide::lock_state::{Entry, LockState, State},
};

use crate::{
    error::{refused, unexpected_reply},
    format::{self, PENDING, SPAN_END, moment},
    keys::LockKeys,
    server_info::{Server, THIRTY_DAYS},
    transport::protocol::{Item, Reply},
};

/// The item under the key of a lock, as it was read.
#[derive(Clone, Debug)]
pub(crate) struct LockRecord {
    pub(crate) stored: Stored,
    /// The offset of the fencing tokens of this name.
    pub(crate) offset: u64,
    pub(crate) server: Arc<Server>,
    /// The span by which holds end earlier than shown, because the server's clock stood still.
    pub(crate) lag: Duration,
}

#[derive(Clone, Debug)]
pub(crate) enum Stored {
    /// An item of another program.
    Foreign(Item),
    /// A document of this library, or none.
    Own(OwnDocument),
}

/// A document with its fencing tokens filled in; an empty one without an item.
#[derive(Clone, Debug)]
pub(crate) struct OwnDocument {
    pub(crate) document: LockState,
    /// The server's time, on the scale of the document.
    pub(crate) now: Moment,
    /// The end of the item at the time it was stored, in seconds.
    pub(crate) end: u64,
    /// The CAS unique of the item; zero without one.
    pub(crate) cas: u64,
    /// The fencing token that follows from it.
    pub(crate) token: u64,
    /// Whether it was extended in place since then.
    pub(crate) stale: bool,
    /// Whether a token in it follows from the CAS unique of its item.
    pub(crate) pending: bool,
}

impl LockRecord {
    /// The record of a lock without an item.
    pub(crate) fn absent(server: Arc<Server>) -> LockRecord {
        let own = OwnDocument {
            document: LockState::default(),
            now: moment(SPAN_END - THIRTY_DAYS),
            end: SPAN_END,
            cas: 0,
            token: 0,
            stale: false,
            pending: false,
        };
        LockRecord { stored: Stored::Own(own), offset: 0, server, lag: Duration::ZERO }
    }

    /// Parses the replies about the lock and its token offset. `known` are the tokens that this client remembers.
    pub(crate) fn parse(
        keys: &LockKeys,
        replies: &mut impl Iterator<Item = Reply>,
        server: Arc<Server>,
        known: impl Fn(ClaimId) -> Option<FencingToken>,
    ) -> Result<LockRecord> {
        let item = item(replies.next())?;
        let mut record = LockRecord::absent(server);
        record.offset = item_number(item_or_none(replies.next())?);
        if let Some(item) = item {
            let own = own_document(keys, &item, record.offset, &record.server, known)?;
            record.stored = own.map_or(Stored::Foreign(item), Stored::Own);
        }
        Ok(record)
    }

    pub(crate) fn cas(&self) -> u64 {
        match &self.stored {
            Stored::Foreign(item) => item.cas,
            Stored::Own(own) => own.cas,
        }
    }

    /// The document and the entry by which a claim holds the lock.
    pub(crate) fn held_by(&self, id: ClaimId) -> Option<(&OwnDocument, &Entry)> {
        let Stored::Own(own) = &self.stored else { return None };
        let held = |entry: &&Entry| entry.id == id && entry.state == State::Held && entry.expires > own.now;
        Some((own, own.document.entries().iter().find(held)?))
    }

    pub(crate) fn valid_for(&self, own: &OwnDocument, entry: &Entry) -> Duration {
        entry.expires.since(own.now).saturating_sub(self.lag)
    }

    pub(crate) fn snapshot(&self, name: &LockName) -> Snapshot {
        let (mut holders, waiters) = match &self.stored {
            Stored::Foreign(item) => (vec![foreign(item)], Vec::new()),
            Stored::Own(own) => own.document.contenders(own.now),
        };
        if matches!(&self.stored, Stored::Own(own) if own.stale) {
            // Its times count from an end that was moved.
            holders.iter_mut().for_each(|holder| holder.age = None);
        }
        let fence = holders.iter().filter_map(|holder| holder.fence).max();
        Snapshot { name: name.clone(), holders, waiters, fence, members: Vec::new() }
    }
}

fn item(reply: Option<Reply>) -> Result<Option<Item>> {
    match reply {
        Some(Reply::Refused(why)) => Err(refused(&why)),
        reply => item_or_none(reply),
    }
}

/// The item of a reply; none when the server could not read it.
pub(crate) fn item_or_none(reply: Option<Reply>) -> Result<Option<Item>> {
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
    let token = server.token_base.saturating_add(item.cas).saturating_add(offset);
    let (mut entries, mut pending) = (document.entries, false);
    for entry in entries.iter_mut().filter(|entry| entry.fence == Some(PENDING)) {
        pending = true;
        entry.fence = if item.stale { known(entry.id) } else { Some(FencingToken::new(token)?) };
    }
    // A foreign `touch` may have removed its end; a document of ours always has one.
    let left = item.ttl.unwrap_or(THIRTY_DAYS);
    Ok(Some(OwnDocument {
        document: LockState::of(entries),
        now: moment(document.end.saturating_sub(left)),
        end: document.end,
        cas: item.cas,
        token,
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
