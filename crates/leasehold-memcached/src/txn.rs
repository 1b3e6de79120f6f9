//! Writing a document back, if nobody changed it meanwhile.

use leasehold_core::{
    ClaimId, Moment, Result,
    decide::lock_state::{Entry, State},
};

use crate::{
    batch::CommandBatch,
    client::ClientState,
    format::{self, Document, SPAN_END, moment, seconds},
    lock_record::{LockKeys, LockRecord, OwnDocument},
    reply::Reply,
    server_info::{self, Server},
};

/// What became of it, and what is there now.
#[derive(Debug)]
pub(crate) enum Written {
    /// It is written, or deleted.
    Done(LockRecord),
    /// Somebody else was faster; nothing is written.
    Conflict(LockRecord),
    /// There is no room, for this reason; nothing is written.
    NoRoom(String),
}

/// When the item of these entries may end: a hold keeps it for its lock-delay, too.
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

impl ClientState {
    /// Puts `entries` in place of the document that `ours` is; none delete it. `mine` is the claim that is granted or
    /// renewed by it: when it is alone, its time is given as a span, counted anew; everything else keeps its date.
    pub(crate) async fn write(
        &self,
        place: &LockKeys,
        look: &LockRecord,
        ours: &OwnDocument,
        mut entries: Vec<Entry>,
        mine: Option<ClaimId>,
    ) -> Result<Written> {
        // Who was thrown out is told that its hold is gone. To remember why would keep strangers out.
        entries.retain(|entry| entry.state != State::Revoked);
        if entries.is_empty() {
            return self.delete(place, ours.cas, &look.server).await;
        }
        let end = end_of(&entries);
        let alone = matches!(&entries[..], [entry] if Some(entry.id) == mine);
        let (end, lives, entries) = if alone {
            let lives = end.saturating_sub(seconds(ours.now)).max(1);
            (SPAN_END, lives, shifted(entries, end, SPAN_END))
        } else if ours.end == SPAN_END {
            match self.date(place, ours).await? {
                Ok(date) => {
                    let entries = shifted(entries, SPAN_END, date);
                    let end = end_of(&entries);
                    (end, end, entries)
                }
                Err(now) => return Ok(Written::Conflict(now)),
            }
        } else {
            (end, end, entries)
        };
        let value = format::encode(&Document { name: place.name.clone(), end, entries });
        if value.len() > look.server.document_max {
            return Ok(Written::NoRoom("the document of the lock is too large".into()));
        }
        let lives = i64::try_from(lives).unwrap_or(i64::MAX);
        let packet = CommandBatch::new().cas(&place.keys.lock, lives, &value, ours.cas);
        self.answered(place, packet).await
    }

    /// Deletes the item that has this CAS unique.
    pub(crate) async fn delete(&self, place: &LockKeys, cas: u64, server: &Server) -> Result<Written> {
        let key = &place.keys.lock;
        let packet = if server.compares {
            CommandBatch::new().delete(key, cas)
        } else {
            // It expires as it is stored.
            CommandBatch::new().cas(key, -1, b"", cas)
        };
        self.answered(place, packet).await
    }

    /// Prolongs the item that has this CAS unique.
    pub(crate) async fn prolong(&self, place: &LockKeys, cas: u64, lives: u64) -> Result<Written> {
        self.answered(place, CommandBatch::new().prolong(&place.keys.lock, cas, lives)).await
    }

    async fn answered(&self, place: &LockKeys, packet: CommandBatch) -> Result<Written> {
        let (mut replies, heard) = self.call(packet.then(ClientState::look_at(place))).await?;
        let reply = replies.next();
        let look = self.read(place, &mut replies, &heard)?;
        Ok(match reply {
            Some(Reply::Done) => Written::Done(look),
            Some(Reply::Refused(why)) => Written::NoRoom(why),
            _ => Written::Conflict(look),
        })
    }

    /// The second of the server's calendar at which an item ends whose time was given as a span; or what is there now, if
    /// it is not that item any more.
    async fn date(
        &self,
        place: &LockKeys,
        ours: &OwnDocument,
    ) -> Result<std::result::Result<u64, LockRecord>> {
        let (mut replies, heard) = self.call(ClientState::look_at(place).stats()).await?;
        let look = self.read(place, &mut replies, &heard)?;
        // Asked for after the item: where the second changes between the two, it ends later and never earlier.
        let second = server_info::second(replies.next())?;
        match &look.found {
            crate::lock_record::Stored::Own(now) if now.cas == ours.cas => {
                Ok(Ok(second.saturating_add(SPAN_END.saturating_sub(seconds(now.now)))))
            }
            _ => Ok(Err(look)),
        }
    }
}
