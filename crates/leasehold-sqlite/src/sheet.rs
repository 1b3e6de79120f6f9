//! [`Sheet`]: all that the file knows of one lock, in one transaction.

use leasehold_core::{
    ClaimId, LockName, Mode, Moment, Result,
    decide::lock_state::{Change, Entry, LockState, State},
};
use rusqlite::params;

use crate::{
    desk::{Desk, Look},
    refusal::of_sqlite,
    row::{ClaimRow, Row, Watcher},
};

/// All that the file knows of one lock, in one transaction: read, changed by the state machine, saved.
#[derive(Debug)]
pub(crate) struct Sheet {
    name: LockName,
    before: Vec<Entry>,
    wakers: Vec<(u64, u64)>,
    watchers: Vec<Watcher>,
    /// The state machine.
    pub(crate) document: LockState,
}

/// Who is to be told, apart from the sessions themselves: the rows that say why they are woken.
#[derive(Default)]
struct Rung(Vec<i64>);

impl Sheet {
    /// Reads one lock.
    pub(crate) fn read(desk: &Desk<'_>, name: &LockName) -> Result<Sheet> {
        Ok(Sheet::of(name.clone(), Sheet::rows(desk, name)?))
    }

    /// The rows of one lock, as they are.
    pub(crate) fn rows(desk: &Desk<'_>, name: &LockName) -> Result<Vec<Row>> {
        let mut statement = desk.prepare(include_str!("../sql/rows.sql"))?;
        let mut rows = statement.query([name.as_str()]).map_err(of_sqlite)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(of_sqlite)? {
            all.push(Row::read(row)?);
        }
        Ok(all)
    }

    /// A lock that has no rows yet.
    pub(crate) fn anew(name: LockName, document: LockState) -> Sheet {
        Sheet { name, before: Vec::new(), wakers: Vec::new(), watchers: Vec::new(), document }
    }

    /// A lock of these rows.
    pub(crate) fn of(name: LockName, rows: Vec<Row>) -> Sheet {
        let (mut entries, mut wakers, mut watchers) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            match row {
                Row::Claim(claim) => {
                    wakers.extend(claim.waker.map(|waker| (claim.entry.seq, waker)));
                    entries.push(claim.entry);
                }
                Row::Watcher(watcher) => watchers.push(watcher),
            }
        }
        Sheet { name, before: entries.clone(), wakers, watchers, document: LockState::of(entries) }
    }

    /// Ends what lives by a session whose process has ended: its holds, and its places whatever they are bound to,
    /// because nobody is left to take them.
    pub(crate) fn bury(&mut self, session: u64, now: Moment) {
        self.document.end_session(session, now);
        let waiting = self.document.entries().iter().filter(|entry| entry.state == State::Waiting);
        let places: Vec<_> =
            waiting.filter(|entry| self.waker(entry.seq) == Some(session)).map(|entry| entry.id).collect();
        for id in places {
            self.document.release(id, now);
        }
    }

    /// The sessions that somebody here lives by.
    pub(crate) fn sessions(&self) -> Vec<u64> {
        let entries = self.document.entries().iter();
        let mut sessions: Vec<_> =
            entries.filter_map(|entry| entry.session.or_else(|| self.waker(entry.seq))).collect();
        sessions.sort_unstable();
        sessions.dedup();
        sessions
    }

    /// Buries the dead among those who keep `id` out; answers whether there were any. With `listen`, the end of the
    /// others will be heard of.
    pub(crate) fn bury_dead_blockers(&mut self, desk: &mut Desk<'_>, id: ClaimId, listen: bool) -> bool {
        let blockers = self.document.blockers_of(id);
        let mut sessions: Vec<_> =
            blockers.filter_map(|entry| entry.session.or_else(|| self.waker(entry.seq))).collect();
        sessions.sort_unstable();
        sessions.dedup();
        sessions.retain(|&session| desk.look(session, listen) == Look::Dead);
        for &session in &sessions {
            self.bury(session, desk.now);
        }
        !sessions.is_empty()
    }

    /// Writes what has changed, and calls those whose turn it is. `own` is the claim that the verb was about: what is
    /// written of it is news of this process.
    pub(crate) fn save(mut self, desk: &mut Desk<'_>, own: Option<ClaimId>) -> Result<()> {
        let mut rung = Rung::default();
        if self.before.is_empty() && self.watchers.is_empty() {
            return self.write(desk, own);
        }
        if self.lets_somebody_in() {
            self.call_runnable(desk, own, &mut rung);
        }
        self.call_overtaken(desk, &mut rung);
        self.write(desk, own)?;
        if !self.watchers.is_empty() && self.looks_different() {
            self.call_watchers(desk, &mut rung)?;
        }
        for seq in rung.0 {
            let mut ring = desk.prepare(include_str!("../sql/ring.sql"))?;
            ring.execute(params![self.name.as_str(), seq]).map_err(of_sqlite)?;
        }
        Ok(())
    }

    /// Writes all that is there, changed or not, after the rows were cleared.
    pub(crate) fn write_all(&self, desk: &Desk<'_>) -> Result<()> {
        self.document.entries().iter().try_for_each(|entry| self.put(desk, entry, None))
    }

    fn write(&mut self, desk: &Desk<'_>, own: Option<ClaimId>) -> Result<()> {
        for change in self.document.take_changes() {
            match change {
                Change::Put(seq) => {
                    let entry = self.document.entry(seq).expect("the last word on this entry was not Remove");
                    self.put(desk, entry, own)?;
                }
                // A claim that came and went in one verb was never written.
                Change::Remove(seq) if self.was(seq).is_none() => {}
                Change::Remove(seq) => desk.remove(&self.name, seq as i64)?,
            }
        }
        Ok(())
    }

    fn put(&self, desk: &Desk<'_>, entry: &Entry, own: Option<ClaimId>) -> Result<()> {
        let waker = match entry.state {
            State::Waiting if Some(entry.id) == own => desk.session,
            State::Waiting => self.waker(entry.seq),
            _ => None,
        };
        let expires_wall_us = desk.wall_us_of(entry.expires);
        let mut put = desk.prepare(include_str!("../sql/put.sql"))?;
        ClaimRow { entry: entry.clone(), expires_wall_us, waker }.write(self.name.as_str(), &mut put)
    }

    /// Calls those who wait and would be granted now; the dead among them make room for those behind.
    fn call_runnable(&mut self, desk: &mut Desk<'_>, own: Option<ClaimId>, rung: &mut Rung) {
        loop {
            let to_wake = self.document.to_wake().into_iter().filter(|entry| Some(entry.id) != own);
            let called: Vec<_> = to_wake.map(|entry| (entry.seq, entry.id)).collect();
            let sessions = called.iter().filter_map(|&(seq, _)| self.waker(seq));
            let dead: Vec<_> = sessions.filter(|&session| desk.look(session, false) == Look::Dead).collect();
            if dead.is_empty() {
                return called.into_iter().for_each(|(seq, id)| self.call(desk, seq, id, rung));
            }
            for session in dead {
                self.bury(session, desk.now);
            }
        }
    }

    /// A new holder that the first waiter did not see come must be watched by it: with permits, a small take may
    /// overtake a large one and die, and nobody else would notice.
    fn call_overtaken(&self, desk: &mut Desk<'_>, rung: &mut Rung) {
        let entries = self.document.entries();
        let overtakes = entries.iter().any(|entry| {
            matches!(entry.mode, Mode::Permits { .. })
                && entry.state == State::Held
                && entry.session.is_some()
                && !self
                    .was(entry.seq)
                    .is_some_and(|was| was.state == State::Held && was.session == entry.session)
        });
        if overtakes && let Some(first) = entries.iter().find(|entry| entry.state == State::Waiting) {
            self.call(desk, first.seq, first.id, rung);
        }
    }

    fn call(&self, desk: &mut Desk<'_>, seq: u64, id: ClaimId, rung: &mut Rung) {
        let Some(session) = self.waker(seq) else { return };
        match desk.look(session, false) {
            Look::Own => desk.calls.turns.push(id),
            Look::Alive => {
                desk.calls.touch(session);
                rung.0.push(seq as i64);
            }
            Look::Dead | Look::Doubtful => {}
        }
    }

    fn call_watchers(&self, desk: &mut Desk<'_>, rung: &mut Rung) -> Result<()> {
        for watcher in &self.watchers {
            match desk.look(watcher.session, false) {
                Look::Own => desk.calls.changes.push(self.name.clone()),
                Look::Alive => {
                    desk.calls.touch(watcher.session);
                    rung.0.push(watcher.seq);
                }
                Look::Dead => desk.remove(&self.name, watcher.seq)?,
                Look::Doubtful => {}
            }
        }
        Ok(())
    }

    /// Whether somebody went or asks for less than before, so that others may come in.
    fn lets_somebody_in(&self) -> bool {
        self.before.iter().any(|was| match self.document.entry(was.seq) {
            Some(is) if is.id == was.id => {
                (is.mode, is.queueing) != (was.mode, was.queueing)
                    || (was.state == State::Held && is.state != State::Held)
            }
            _ => true,
        })
    }

    /// Whether an observer would see a difference; a longer life is none.
    fn looks_different(&self) -> bool {
        let now = self.document.entries();
        let same = |(was, is): (&Entry, &Entry)| {
            (was.id, was.state, was.mode, was.fence, &was.note)
                == (is.id, is.state, is.mode, is.fence, &is.note)
        };
        now.len() != self.before.len() || !self.before.iter().zip(now).all(same)
    }

    fn was(&self, seq: u64) -> Option<&Entry> {
        self.before.iter().find(|entry| entry.seq == seq)
    }

    /// Which session to wake for a waiting claim. Not for one that came in this verb: it is our own.
    fn waker(&self, seq: u64) -> Option<u64> {
        let found = self.wakers.iter().find(|(of, _)| *of == seq);
        // A number may have been given to a new claim after the old one went.
        let same = self.was(seq).map(|was| was.id) == self.document.entry(seq).map(|is| is.id);
        found.filter(|_| same).map(|(_, waker)| *waker)
    }
}
