//! The state of one lock and what each verb makes of it: the one state machine behind every store that reads its
//! whole state, decides, and writes it back (memory, SQLite, compare-and-swap stores).

mod entry;

use std::time::Duration;

use super::grant::{QueueEntry, Verdict, grant, runnable};
pub use entry::{Entry, State};

use crate::{
    Binding, Busy, Claim, ClaimId, Contender, FencingToken, Grant, Intent, LostReason, Mode, Moment,
    Queueing, Release, Renewal, Result, Stance, Standing,
};

/// One lock.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct LockState {
    entries: Vec<Entry>,
    changed: Vec<u64>,
}

impl LockState {
    /// The state of the entries that a store has read, in any order.
    pub fn of(mut entries: Vec<Entry>) -> Self {
        entries.sort_by_key(|entry| entry.seq);
        LockState { entries, changed: Vec::new() }
    }

    /// The entries in order of arrival.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry with this `seq`.
    pub fn entry(&self, seq: u64) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.seq == seq)
    }

    /// The `seq` of each entry that is new, different or gone since it was read or this was last called.
    pub fn take_changed(&mut self) -> Vec<u64> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// Answers a claim. `fence` draws the next token and is called at most once, for a new grant only.
    ///
    /// # Errors
    /// Those of `fence`; nothing is granted then.
    pub fn claim(
        &mut self,
        claim: &Claim,
        session: Option<u64>,
        now: Moment,
        fence: impl FnOnce(Option<FencingToken>) -> Result<Option<FencingToken>>,
    ) -> Result<Standing> {
        self.expire(now);
        let mine = self.entries.iter().position(|entry| entry.id == claim.id);
        match mine.map(|at| self.entries[at].state) {
            Some(State::Held) => return Ok(self.amend(mine.unwrap_or_default(), claim, session, now)),
            Some(State::Revoked) => return Ok(Standing::Gone(LostReason::ForceReleased)),
            Some(State::Delaying) => return Ok(Standing::Gone(LostReason::Expired)),
            Some(State::Waiting) | None => {}
        }
        if claim.intent == Intent::Amend {
            return Ok(Standing::Gone(LostReason::Gone));
        }
        if let Some(limit) = self.other_limit(claim) {
            return Ok(Standing::Mismatch { limit });
        }
        let at = mine.unwrap_or_else(|| self.enter(claim, now));
        self.refresh(at, claim, session, now);
        if self.verdict(at) == Verdict::Granted {
            return self.hold(at, claim, now, fence);
        }
        let busy = self.busy(at, claim, now);
        if claim.queueing == Queueing::No {
            self.remove(at);
            return Ok(Standing::Held(busy));
        }
        self.changed.push(self.entries[at].seq);
        Ok(Standing::Waiting(busy))
    }

    /// Prolongs a hold; never makes one, and never revives one that has expired.
    pub fn renew(&mut self, claim: &Claim, now: Moment) -> Renewal {
        self.expire(now);
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == claim.id) else {
            return Renewal::Gone(LostReason::Gone);
        };
        match entry.state {
            State::Held => {
                entry.expires = entry.expires.max(now + claim.ttl);
                let valid_for = entry.expires.since(now);
                self.changed.push(entry.seq);
                Renewal::Renewed { valid_for }
            }
            State::Revoked => Renewal::Gone(LostReason::ForceReleased),
            State::Delaying => Renewal::Gone(LostReason::Expired),
            State::Waiting => Renewal::Gone(LostReason::Gone),
        }
    }

    /// Ends the hold of a claim, or its waiting.
    pub fn release(&mut self, id: ClaimId, now: Moment) -> Release {
        self.expire(now);
        let Some(at) = self.entries.iter().position(|entry| entry.id == id) else { return Release::NotHeld };
        let state = self.entries[at].state;
        if state != State::Delaying {
            self.remove(at);
        }
        if matches!(state, State::Waiting | State::Held) { Release::Released } else { Release::NotHeld }
    }

    /// Ends every hold and delay, and answers whose. The holders' entries stay as [`State::Revoked`] until they
    /// would have expired.
    pub fn force_release(&mut self, now: Moment) -> Vec<Contender> {
        self.expire(now);
        let mut evicted = Vec::new();
        for at in (0..self.entries.len()).rev() {
            if !self.entries[at].holds() {
                continue;
            }
            evicted.push(self.entries[at].contender(now));
            if self.entries[at].state == State::Held {
                self.entries[at].state = State::Revoked;
                self.changed.push(self.entries[at].seq);
            } else {
                self.remove(at);
            }
        }
        evicted.reverse();
        evicted
    }

    /// Takes out what has run out of time at `now`.
    pub fn expire(&mut self, now: Moment) {
        for at in (0..self.entries.len()).rev() {
            let entry = &self.entries[at];
            if entry.expires > now {
                continue;
            }
            let shut_until = entry.expires + entry.lock_delay;
            if entry.state == State::Held && shut_until > now {
                self.delay(at, shut_until);
            } else {
                self.remove(at);
            }
        }
    }

    /// Takes out what lived by a session that has ended.
    pub fn end_session(&mut self, session: u64, now: Moment) {
        for at in (0..self.entries.len()).rev() {
            let entry = &self.entries[at];
            if entry.session != Some(session) || entry.state == State::Delaying {
                continue;
            }
            if entry.state == State::Held && !entry.lock_delay.is_zero() {
                self.delay(at, now + entry.lock_delay);
            } else {
                self.remove(at);
            }
        }
    }

    /// The waiters that would be granted now.
    pub fn runnable(&self) -> impl Iterator<Item = &Entry> {
        self.runnable_among(|entry| entry.state != State::Revoked)
    }

    /// The waiters to wake after a verb: the ones that it lets in and, if it began a lock-delay, the next ones, which
    /// sleep until the hold would have ended. Called once per verb, before
    /// [`LockState::take_changed`].
    pub fn to_wake(&self) -> Vec<&Entry> {
        let is_delaying = |entry: &Entry| entry.state == State::Delaying;
        let began_delay = self.changed.iter().filter_map(|seq| self.entry(*seq)).any(is_delaying);
        let counts = |entry: &Entry| entry.state != State::Revoked && !(began_delay && is_delaying(entry));
        self.runnable_among(counts).collect()
    }

    fn runnable_among(&self, counts: impl Fn(&Entry) -> bool) -> impl Iterator<Item = &Entry> {
        let counted: Vec<&Entry> = self.entries.iter().filter(|entry| counts(entry)).collect();
        let queue: Vec<QueueEntry> = counted.iter().map(|entry| entry.queue_entry()).collect();
        runnable(&queue).into_iter().map(move |at| counted[at])
    }

    /// The entries that keep `id` out, whose sessions a waiter checks.
    pub fn blockers_of(&self, id: ClaimId) -> impl Iterator<Item = &Entry> {
        let mine = self.entries.iter().position(|entry| entry.id == id).unwrap_or(self.entries.len());
        let blocks = move |at: usize, entry: &Entry| {
            entry.id != id && (entry.holds() || (at < mine && entry.state == State::Waiting))
        };
        let all = self.entries.iter().enumerate();
        all.filter(move |(at, entry)| blocks(*at, entry)).map(|(_, entry)| entry)
    }

    /// The holders, with the ones in their lock-delay, and the waiters.
    pub fn contenders(&self, now: Moment) -> (Vec<Contender>, Vec<Contender>) {
        // As they are at `now`: an expired hold whose lock-delay runs is shown as that.
        let mut then = self.clone();
        then.expire(now);
        let all = then
            .entries
            .iter()
            .filter(|entry| entry.state != State::Revoked)
            .map(|entry| entry.contender(now));
        all.partition(|contender| contender.stance != Stance::Waiting)
    }

    fn enter(&mut self, claim: &Claim, now: Moment) -> usize {
        let seq = self.entries.last().map_or(0, |last| last.seq) + 1;
        self.entries.push(Entry {
            seq,
            id: claim.id,
            state: State::Waiting,
            mode: claim.mode,
            queueing: claim.queueing,
            expires: now + claim.ttl,
            since: now,
            lock_delay: claim.lock_delay,
            session: None,
            fence: None,
            note: claim.note.clone(),
        });
        self.entries.len() - 1
    }

    /// Takes over the values of a repeated claim.
    fn refresh(&mut self, at: usize, claim: &Claim, session: Option<u64>, now: Moment) {
        let entry = &mut self.entries[at];
        entry.mode = claim.mode;
        entry.queueing = claim.queueing;
        entry.expires = entry.expires.max(now + claim.ttl);
        entry.lock_delay = claim.lock_delay;
        entry.session = session.filter(|_| claim.binding == Binding::Client);
        entry.note.clone_from(&claim.note);
    }

    fn hold(
        &mut self,
        at: usize,
        claim: &Claim,
        now: Moment,
        fence: impl FnOnce(Option<FencingToken>) -> Result<Option<FencingToken>>,
    ) -> Result<Standing> {
        let token = fence(claim.fence_floor.max(claim.fence_proposal))?;
        let entry = &mut self.entries[at];
        entry.state = State::Held;
        entry.since = now;
        // Counted from the grant: the place that it had may have been kept for longer.
        entry.expires = now + claim.ttl;
        entry.fence = token;
        self.changed.push(entry.seq);
        Ok(Standing::Granted(Grant::lasting(token, entry.expires.since(now))))
    }

    /// Repeats or changes a hold. An upgrade to exclusive is granted only when it is the only holder.
    fn amend(&mut self, at: usize, claim: &Claim, session: Option<u64>, now: Moment) -> Standing {
        let held_as = self.entries[at].mode;
        if claim.mode != held_as && !self.may_change_mode(at, claim.mode) {
            return Standing::Held(self.busy(at, claim, now));
        }
        self.refresh(at, claim, session, now);
        let entry = &mut self.entries[at];
        entry.fence = entry.fence.max(claim.fence_floor);
        self.changed.push(entry.seq);
        Standing::Granted(Grant::lasting(entry.fence, entry.expires.since(now)))
    }

    fn may_change_mode(&self, at: usize, to: Mode) -> bool {
        let from = self.entries[at].mode;
        let alone = !self.entries.iter().enumerate().any(|(other, entry)| other != at && entry.holds());
        match (from, to) {
            (Mode::Exclusive, Mode::Shared) => true,
            (Mode::Shared, Mode::Exclusive) => alone,
            (Mode::Permits { take: before, of }, Mode::Permits { take: after, of: same }) => {
                after <= before && of == same
            }
            _ => false,
        }
    }

    /// The limit that the others agreed on, when it is not the one that `claim` speaks of.
    fn other_limit(&self, claim: &Claim) -> Option<Option<u32>> {
        let others =
            self.entries.iter().filter(|entry| entry.id != claim.id && entry.state != State::Revoked);
        others.map(|entry| entry.mode.limit()).find(|limit| *limit != claim.mode.limit())
    }

    fn verdict(&self, at: usize) -> Verdict {
        let counts = |entry: &&Entry| entry.state != State::Revoked;
        let ahead = self.entries[..at].iter().filter(counts).count();
        let queue: Vec<QueueEntry> = self.entries.iter().filter(counts).map(Entry::queue_entry).collect();
        grant(&queue, ahead)
    }

    fn busy(&self, at: usize, claim: &Claim, now: Moment) -> Busy {
        let me = self.entries[at].id;
        let first = self.entries.iter().find(|entry| entry.holds() && entry.id != me);
        let ahead = self.blockers_of(me).count();
        let soonest = self.blockers_of(me).map(|entry| entry.expires.since(now)).min();
        // A waiter also comes back to keep its own place, long before that runs out.
        let recheck_in = soonest.unwrap_or(claim.ttl).min(claim.ttl / 3).max(Duration::from_millis(1));
        Busy {
            holder: first.map(|entry| entry.contender(now)),
            ahead: (claim.queueing != Queueing::No).then(|| u32::try_from(ahead).unwrap_or(u32::MAX)),
            recheck_in,
        }
    }

    fn delay(&mut self, at: usize, until: Moment) {
        let entry = &mut self.entries[at];
        entry.state = State::Delaying;
        entry.since = entry.expires;
        entry.expires = until;
        entry.session = None;
        self.changed.push(entry.seq);
    }

    fn remove(&mut self, at: usize) {
        let entry = self.entries.remove(at);
        self.changed.push(entry.seq);
    }
}

#[cfg(test)]
mod tests;
