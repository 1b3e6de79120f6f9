//! [`Bells`]: who in this process waits to be woken.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use leasehold_core::{BoxFuture, ClaimId, Interest, LockName, Result, Wake};
use tokio::sync::Notify;

use crate::{
    refusal,
    shared::{Shared, lock},
};

/// Who in this process waits to be woken.
#[derive(Default, Debug)]
pub(crate) struct Bells(Mutex<Inside>);

#[derive(Default, Debug)]
struct Inside {
    next_key: u64,
    turns: HashMap<ClaimId, Vec<(u64, Arc<Notify>)>>,
    changes: HashMap<LockName, Watched>,
}

#[derive(Default, Debug)]
struct Watched {
    bells: Vec<(u64, Arc<Notify>)>,
    /// What the row of this watcher had counted when we last looked.
    seen: i64,
}

impl Bells {
    /// Wakes those who wait for the turn of this claim.
    pub(crate) fn ring_turn(&self, id: ClaimId) {
        ring(lock(&self.0).turns.get(&id).map_or(&[], Vec::as_slice));
    }

    /// Wakes those who watch this lock.
    pub(crate) fn ring_changes(&self, name: &LockName) {
        ring(lock(&self.0).changes.get(name).map_or(&[], |watched| watched.bells.as_slice()));
    }

    /// Wakes those who watch this lock if its row counts another number than last time.
    pub(crate) fn ring_counted(&self, name: &LockName, count: i64) {
        if let Some(watched) = lock(&self.0).changes.get_mut(name)
            && watched.seen != count
        {
            watched.seen = count;
            ring(&watched.bells);
        }
    }

    /// Wakes everybody: nothing is known, or the store is closed.
    pub(crate) fn ring_all(&self) {
        let inside = lock(&self.0);
        inside.turns.values().for_each(|bells| ring(bells));
        inside.changes.values().for_each(|watched| ring(&watched.bells));
    }

    /// Whether somebody watches this lock.
    pub(crate) fn watches(&self, name: &LockName) -> bool {
        lock(&self.0).changes.contains_key(name)
    }

    fn hang(&self, name: &LockName, interest: Interest, bell: Arc<Notify>) -> u64 {
        let mut inside = lock(&self.0);
        inside.next_key += 1;
        let key = inside.next_key;
        match interest {
            Interest::Turn(id) => inside.turns.entry(id).or_default().push((key, bell)),
            Interest::Changes => inside.changes.entry(name.clone()).or_default().bells.push((key, bell)),
        }
        key
    }

    /// Answers whether it was the last one that watched the lock for changes.
    fn take_down(&self, name: &LockName, interest: Interest, key: u64) -> bool {
        let inside = &mut *lock(&self.0);
        match interest {
            Interest::Turn(id) => {
                if without(inside.turns.get_mut(&id), key) {
                    inside.turns.remove(&id);
                }
                false
            }
            Interest::Changes => {
                let last = without(inside.changes.get_mut(name).map(|watched| &mut watched.bells), key);
                last && inside.changes.remove(name).is_some()
            }
        }
    }
}

fn ring(bells: &[(u64, Arc<Notify>)]) {
    bells.iter().for_each(|(_, bell)| bell.notify_one());
}

/// Takes one out; answers whether none is left.
fn without(bells: Option<&mut Vec<(u64, Arc<Notify>)>>, key: u64) -> bool {
    let Some(bells) = bells else { return false };
    bells.retain(|(other, _)| *other != key);
    bells.is_empty()
}

/// One subscription.
pub(crate) struct Subscription {
    shared: Arc<Shared>,
    name: LockName,
    interest: Interest,
    key: u64,
    bell: Arc<Notify>,
}

impl Subscription {
    /// Hangs a bell; it is taken down when this is dropped.
    pub(crate) fn new(shared: Arc<Shared>, name: LockName, interest: Interest) -> Self {
        let bell = Arc::new(Notify::new());
        let key = shared.bells.hang(&name, interest, bell.clone());
        Subscription { shared, name, interest, key, bell }
    }
}

impl Wake for Subscription {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            // A bell keeps one stroke that nobody has heard, so none is lost between two calls.
            if !self.shared.is_closed() {
                self.bell.notified().await;
            }
            if self.shared.is_closed() { Err(refusal::closed()) } else { Ok(()) }
        })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if self.shared.bells.take_down(&self.name, self.interest, self.key) {
            self.shared.unwatch_later(self.name.clone());
        }
    }
}
