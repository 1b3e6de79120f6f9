//! [`LockRecord`]: the rows of one lock in a transaction.

use leasehold_core::{
    ClaimId, LockName, Mode, Moment, Result,
    decide::lock_state::{Entry, LockState, State},
    store_kit::Topic,
};
use rusqlite::params;

use crate::{
    capability::TTL_MAX,
    error::from_sqlite,
    format::{self, ClaimRow, Row, watch_seq},
    session::Liveness,
    txn::Txn,
};

/// The rows of one lock in a transaction: loaded, changed by the state machine, saved.
#[derive(Debug)]
pub(crate) struct LockRecord {
    pub(crate) name: LockName,
    before: Vec<ClaimRow>,
    /// The sessions that watch it.
    watches: Vec<u64>,
    /// The state machine.
    pub(crate) state: LockState,
}

impl LockRecord {
    /// Loads one lock.
    pub(crate) fn load(txn: &Txn<'_>, name: &LockName) -> Result<LockRecord> {
        let mut statement = txn.prepare(include_str!("../sql/rows.sql"))?;
        let mut rows = statement.query([name.as_str()]).map_err(from_sqlite)?;
        let (mut before, mut watches) = (Vec::<ClaimRow>::new(), Vec::new());
        while let Some(row) = rows.next().map_err(from_sqlite)? {
            match Row::read(row)? {
                Row::Claim(claim) => before.push(claim),
                Row::Watch(session) => watches.push(session),
            }
        }
        let state = LockState::of(before.iter().map(|claim| claim.entry.clone()).collect());
        Ok(LockRecord { name: name.clone(), before, watches, state })
    }

    /// Ends everything bound to a session whose process has ended: its holds, and all its places in the queue, because
    /// nobody is left to take them.
    pub(crate) fn end_session(&mut self, session: u64, now: Moment) {
        self.state.end_session(session, now);
        let waiting = self.state.entries().iter().filter(|entry| entry.state == State::Waiting);
        let orphaned = waiting.filter(|entry| self.waker(entry.seq) == Some(session));
        for id in orphaned.map(|entry| entry.id).collect::<Vec<_>>() {
            self.state.release(id, now);
        }
    }

    /// The sessions that some claim of this lock depends on, each once.
    pub(crate) fn sessions(&self) -> Vec<u64> {
        self.sessions_of(self.state.entries().iter())
    }

    fn sessions_of<'e>(&self, entries: impl Iterator<Item = &'e Entry>) -> Vec<u64> {
        let mut sessions: Vec<_> =
            entries.filter_map(|entry| entry.session.or_else(|| self.waker(entry.seq))).collect();
        sessions.sort_unstable();
        sessions.dedup();
        sessions
    }

    /// Ends the dead sessions among those that block `id`; `true` when there were any. With `watch`, the ends of the
    /// others will be reported.
    pub(crate) fn reap_dead_blockers(&mut self, txn: &mut Txn<'_>, id: ClaimId, watch: bool) -> bool {
        let mut dead = self.sessions_of(self.state.blockers_of(id));
        dead.retain(|&session| txn.liveness(session, watch) == Liveness::Dead);
        for &session in &dead {
            self.end_session(session, txn.now);
        }
        !dead.is_empty()
    }

    /// Writes the changes, and wakes the waiters and watchers concerned. The changes of `own`, the claim of the verb
    /// itself, are written with this session as its waker, and it is not woken.
    pub(crate) fn save(mut self, txn: &mut Txn<'_>, own: Option<ClaimId>) -> Result<()> {
        // The rows to mark as woken; the session files are touched after the commit.
        let mut woken = Vec::new();
        if self.makes_room() {
            self.wake_runnable(txn, own, &mut woken);
        }
        self.wake_overtaken(txn, &mut woken);
        for seq in self.state.take_changed() {
            match self.state.entry(seq) {
                Some(entry) => {
                    let waker = if Some(entry.id) == own { txn.session } else { self.waker(seq) };
                    let waker = waker.filter(|_| entry.state == State::Waiting);
                    format::put(txn, &self.name, entry, waker)?;
                }
                // A claim that came and went in one verb was never written.
                None if self.previous(seq).is_none() => {}
                None => txn.delete(&self.name, seq as i64)?,
            }
        }
        if !self.watches.is_empty() && self.is_visibly_changed() {
            for &session in &self.watches {
                wake(txn, session, Topic::Changes(self.name.clone()), watch_seq(session), &mut woken);
            }
        }
        for seq in woken {
            txn.execute(include_str!("../sql/mark_woken.sql"), params![self.name.as_str(), seq])?;
        }
        Ok(())
    }

    /// Carries the holds over a restart of the machine: no process of before lives, and holds that live by time alone go
    /// on by the wall clock, the only clock that survived.
    pub(crate) fn carry_over(mut self, txn: &Txn<'_>) -> Result<()> {
        let held = self.before.iter().filter(|row| matches!(row.entry.state, State::Held | State::Delaying));
        let carried = held.map(|row| {
            let expires = txn.moment_of(row.expires_wall_us).min(txn.now + TTL_MAX);
            Entry { expires, since: txn.now, ..row.entry.clone() }
        });
        self.state = LockState::of(carried.collect());
        for session in self.sessions() {
            self.state.end_session(session, txn.now);
        }
        txn.execute(include_str!("../sql/clear.sql"), [self.name.as_str()])?;
        self.state.entries().iter().try_for_each(|entry| format::put(txn, &self.name, entry, None))
    }

    /// Wakes the waiters that would be granted now; the dead ones among them make room for those behind.
    fn wake_runnable(&mut self, txn: &mut Txn<'_>, own: Option<ClaimId>, woken: &mut Vec<i64>) {
        loop {
            let to_wake = self.state.to_wake().into_iter().filter(|entry| Some(entry.id) != own);
            let to_wake: Vec<_> = to_wake.map(|entry| (entry.seq, entry.id)).collect();
            let sessions = to_wake.iter().filter_map(|&(seq, _)| self.waker(seq));
            let dead: Vec<_> =
                sessions.filter(|&session| txn.liveness(session, false) == Liveness::Dead).collect();
            if dead.is_empty() {
                return to_wake.into_iter().for_each(|(seq, id)| self.wake_claim(txn, seq, id, woken));
            }
            for session in dead {
                self.end_session(session, txn.now);
            }
        }
    }

    /// Wakes the first waiter when a holder came that it has not seen, so that it watches that holder's end: with
    /// permits, a small claim may overtake a large one and die, and nobody else would notice.
    fn wake_overtaken(&self, txn: &mut Txn<'_>, woken: &mut Vec<i64>) {
        let entries = self.state.entries();
        let holds_as = |entry: &Entry, session| entry.state == State::Held && entry.session == session;
        let overtakes = entries.iter().any(|entry| {
            matches!(entry.mode, Mode::Permits { .. })
                && entry.session.is_some()
                && holds_as(entry, entry.session)
                && !self.previous(entry.seq).is_some_and(|before| holds_as(&before.entry, entry.session))
        });
        if overtakes && let Some(first) = entries.iter().find(|entry| entry.state == State::Waiting) {
            self.wake_claim(txn, first.seq, first.id, woken);
        }
    }

    fn wake_claim(&self, txn: &mut Txn<'_>, seq: u64, id: ClaimId, woken: &mut Vec<i64>) {
        if let Some(session) = self.waker(seq) {
            wake(txn, session, Topic::Claim(id), seq as i64, woken);
        }
    }

    /// Whether a claim went or asks for less than before, so that others may be granted.
    fn makes_room(&self) -> bool {
        self.before.iter().map(|claim| &claim.entry).any(|before| match self.state.entry(before.seq) {
            Some(now) if now.id == before.id => {
                (now.mode, now.queueing) != (before.mode, before.queueing)
                    || (before.state == State::Held && now.state != State::Held)
            }
            _ => true,
        })
    }

    /// Whether an observer would see a difference; a longer life is none.
    fn is_visibly_changed(&self) -> bool {
        let now = self.state.entries();
        let same = |(ClaimRow { entry: before, .. }, now): (&ClaimRow, &Entry)| {
            (before.id, before.state, before.mode, before.fence, &before.note)
                == (now.id, now.state, now.mode, now.fence, &now.note)
        };
        now.len() != self.before.len() || !self.before.iter().zip(now).all(same)
    }

    fn previous(&self, seq: u64) -> Option<&ClaimRow> {
        self.before.iter().find(|claim| claim.entry.seq == seq)
    }

    /// The session to wake for a waiting claim; `None` for one that came in this transaction: it is our own.
    fn waker(&self, seq: u64) -> Option<u64> {
        let before = self.previous(seq)?;
        // A number may have been given to a new claim after the old one went.
        before.waker.filter(|_| self.state.entry(seq).is_some_and(|now| now.id == before.entry.id))
    }
}

/// Wakes a subscription of a session, if its process lives; another process by the row of this `seq`. All rows of a dead one
/// are removed after the commit.
fn wake(txn: &mut Txn<'_>, session: u64, topic: Topic, seq: i64, woken: &mut Vec<i64>) {
    match txn.liveness(session, false) {
        Liveness::Own => txn.after.topics.push(topic),
        Liveness::Alive => {
            txn.after.checked.iter_mut().filter(|it| it.number == session).for_each(|it| it.notify = true);
            woken.push(seq);
        }
        Liveness::Dead | Liveness::Missing | Liveness::Unknown => {}
    }
}
