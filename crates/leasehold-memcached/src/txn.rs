//! Compare-and-swap of a lock's item: read, decide, write back if no other client changed it in between.

use leasehold_core::{
    ClaimId, Error, Moment, Result,
    decide::lock_state::{Entry, LockState, State},
};

use crate::{
    client::{ATTEMPTS_MAX, Client},
    error::{refused, too_contended},
    format::{self, Document, SPAN_END, moment, seconds},
    keys::LockKeys,
    lock_record::{LockRecord, OwnDocument, Stored, item_number, item_or_none},
    server_info::{Server, Stats},
    transport::protocol::{CommandBatch, Item, Reply},
};

/// The outcome of one write, with the record as it is afterwards.
#[derive(Debug)]
pub(crate) enum Written {
    /// It is written, or deleted.
    Done(LockRecord),
    /// Another client was faster; nothing is written.
    Conflict(LockRecord),
}

/// The outcome of [`Client::update`].
pub(crate) enum Updated<T> {
    /// The decision, and the record that it led to.
    Done(T, LockRecord),
    /// The lock is held by another library.
    Foreign(Item),
    /// The decision for which the server has no room, its error, and the unchanged record.
    NoRoom(T, Error, LockRecord),
}

/// The end of the item of these entries: a hold keeps it for its lock-delay, too.
fn end_of(entries: &[Entry]) -> u64 {
    let end = |entry: &Entry| {
        let delay = if entry.state == State::Held { entry.lock_delay.as_secs() } else { 0 };
        seconds(entry.expires).saturating_add(delay)
    };
    entries.iter().map(end).max().unwrap_or(0)
}

fn shifted(mut entries: Vec<Entry>, from: u64, to: u64) -> Vec<Entry> {
    let shift = |at: Moment| moment(seconds(at).saturating_add(to).saturating_sub(from));
    for entry in &mut entries {
        (entry.expires, entry.since) = (shift(entry.expires), shift(entry.since));
    }
    entries
}

impl Client {
    /// Changes a document by `decide`, which gets the state and the server's time, and writes the change; again from the
    /// new record after each conflict. `mine` is as for [`Client::write`].
    ///
    /// # Errors
    /// Those of `decide` and of [`Transport::call`](crate::transport::Transport::call); [`too_contended`].
    pub(crate) async fn update<T>(
        &self,
        keys: &LockKeys,
        mut record: LockRecord,
        mine: Option<ClaimId>,
        decide: impl Fn(&mut LockState, Moment) -> Result<T>,
    ) -> Result<Updated<T>> {
        for attempt in 0..ATTEMPTS_MAX {
            self.back_off(attempt).await;
            let own = match &record.stored {
                Stored::Own(own) => own,
                Stored::Foreign(item) => return Ok(Updated::Foreign(item.clone())),
            };
            let mut state = own.document.clone();
            state.expire(own.now);
            let before = state.clone();
            let answer = decide(&mut state, own.now)?;
            if state.entries() == before.entries() {
                return Ok(Updated::Done(answer, record));
            }
            match self.write(keys, &record, own, state.entries().to_vec(), mine).await? {
                Ok(Written::Done(now)) => return Ok(Updated::Done(answer, now)),
                Ok(Written::Conflict(now)) => record = now,
                Err(full) => return Ok(Updated::NoRoom(answer, full, record)),
            }
        }
        Err(too_contended())
    }

    /// Replaces the entries of `own`; none delete the item, and without an item one is added. `mine` is the claim that is
    /// granted or renewed by it: when it is alone, its time is given as a span that starts now; in all other cases the item
    /// keeps its date. The inner error: the server has no room, and nothing is written.
    pub(crate) async fn write(
        &self,
        keys: &LockKeys,
        record: &LockRecord,
        own: &OwnDocument,
        mut entries: Vec<Entry>,
        mine: Option<ClaimId>,
    ) -> Result<Result<Written>> {
        // An evicted holder learns that its hold is gone, and not why: an entry about it would keep foreign clients out.
        entries.retain(|entry| entry.state != State::Revoked);
        if entries.is_empty() {
            return self.delete(keys, own.cas, &record.server).await.map(Ok);
        }
        let end = end_of(&entries);
        let alone = matches!(&entries[..], [entry] if Some(entry.id) == mine);
        let (end, ttl, entries) = if alone {
            let ttl = end.saturating_sub(seconds(own.now)).max(1);
            (SPAN_END, ttl, shifted(entries, end, SPAN_END))
        } else if own.end == SPAN_END {
            match self.date(keys, own).await? {
                Ok(date) => {
                    let entries = shifted(entries, SPAN_END, date);
                    let end = end_of(&entries);
                    (end, end, entries)
                }
                Err(now) => return Ok(Ok(Written::Conflict(now))),
            }
        } else {
            (end, end, entries)
        };
        let value = format::encode(&Document { name: keys.name.clone(), end, entries });
        if value.len() > record.server.document_max {
            return Ok(Err(refused("the document of the lock is too large")));
        }
        let batch = match own.cas {
            0 => CommandBatch::new().add(&keys.lock, ttl, &value),
            cas => CommandBatch::new().cas(&keys.lock, i64::try_from(ttl).unwrap_or(i64::MAX), &value, cas),
        };
        self.written(keys, batch, own.cas).await
    }

    /// Deletes the item that has this CAS unique.
    pub(crate) async fn delete(&self, keys: &LockKeys, cas: u64, server: &Server) -> Result<Written> {
        let batch = if server.compares {
            CommandBatch::new().delete(&keys.lock, cas)
        } else {
            // It expires as it is stored.
            CommandBatch::new().cas(&keys.lock, -1, b"", cas)
        };
        self.written(keys, batch, cas).await?
    }

    /// Extends the item that has this CAS unique, in place.
    pub(crate) async fn extend(&self, keys: &LockKeys, cas: u64, ttl: u64) -> Result<Written> {
        self.written(keys, CommandBatch::new().extend(&keys.lock, cas, ttl), cas).await?
    }

    /// Writes to the item that has this CAS unique, and reads what is there then. The inner error is as for
    /// [`Client::write`].
    async fn written(&self, keys: &LockKeys, batch: CommandBatch, cas: u64) -> Result<Result<Written>> {
        let (mut replies, received) = self.transport.call(batch.then(Client::query(keys))).await?;
        let reply = replies.next();
        let record = self.parse(keys, &mut replies, &received)?;
        Ok(match reply {
            Some(Reply::Done) => Ok(Written::Done(record)),
            Some(Reply::Refused(why)) if record.cas() == cas => Err(refused(&why)),
            _ => Ok(Written::Conflict(record)),
        })
    }

    /// The second of the server's calendar at which an item ends whose time was given as a span; or the record as it is
    /// now, if it is another one.
    async fn date(&self, keys: &LockKeys, own: &OwnDocument) -> Result<std::result::Result<u64, LockRecord>> {
        let (mut replies, received) = self.transport.call(Client::query(keys).stats()).await?;
        let record = self.parse(keys, &mut replies, &received)?;
        // Requested after the item: if the second changes between the two, the item ends later and never earlier.
        let second = Stats::of(replies.next())?.need::<u64>("time")?;
        match &record.stored {
            Stored::Own(now) if now.cas == own.cas => {
                Ok(Ok(second.saturating_add(SPAN_END.saturating_sub(seconds(now.now)))))
            }
            _ => Ok(Err(record)),
        }
    }

    /// Raises the offset of a lock's fencing tokens to at least `wanted`. An item of its own without an end keeps it, so
    /// that later tokens of the name are above it, too.
    ///
    /// # Errors
    /// Those of [`Transport::call`](crate::transport::Transport::call); [`ErrorKind::Exhausted`](leasehold_core::ErrorKind) when there is no room.
    pub(crate) async fn raise_offset(&self, keys: &LockKeys, wanted: u64) -> Result<()> {
        let (key, text) = (&keys.offset, wanted.to_string());
        let mut write = CommandBatch::new().add(key, 0, text.as_bytes());
        for attempt in 0..ATTEMPTS_MAX {
            self.back_off(attempt).await;
            let (mut replies, _) = self.transport.call(write.get(key)).await?;
            let is_written = match replies.next() {
                Some(Reply::Refused(why)) => return Err(refused(&why)),
                reply => reply == Some(Reply::Done),
            };
            let Some(item) = item_or_none(replies.next())? else {
                // Evicted while it was written.
                write = CommandBatch::new().add(key, 0, text.as_bytes());
                continue;
            };
            let cas = item.cas;
            if is_written || item_number(Some(item)) >= wanted {
                return Ok(());
            }
            write = CommandBatch::new().cas(key, 0, text.as_bytes(), cas);
        }
        Err(too_contended())
    }
}
