//! [`Owner`], and the holds of all owners of one client.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex as StdMutex, MutexGuard as StdMutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use leasehold_core::{Hold, LockName};

/// The owner of a [`ReentrantMutex`](crate::ReentrantMutex). Clones are the same owner; pass it down the call chain that belongs together.
///
/// An owner is a value and not a thread or a task, so it works across both.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Owner(u64);

impl Owner {
    /// An owner unlike any other of this process.
    #[expect(clippy::new_without_default, reason = "each call answers another one")]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Owner(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The hold that the guards of one owner share.
pub(crate) struct Held {
    pub(crate) hold: Hold,
    pub(crate) entry: OwnerEntry,
}

/// The hold of one owner of one lock, for the owner's next guard.
type OwnerSlot = Arc<tokio::sync::Mutex<Weak<Held>>>;
type Slots = HashMap<(LockName, Owner), OwnerSlot>;

/// The slots of all owners of one client.
#[derive(Clone, Default)]
pub(crate) struct OwnerTable(Arc<StdMutex<Slots>>);

/// Keeps a slot for as long as its owner holds the lock or waits for it.
pub(crate) struct OwnerEntry {
    table: OwnerTable,
    key: (LockName, Owner),
    slot: Option<OwnerSlot>,
}

impl OwnerTable {
    pub(crate) fn enter(&self, name: &LockName, owner: &Owner) -> OwnerEntry {
        let key = (name.clone(), owner.clone());
        let slot = self.slots().entry(key.clone()).or_default().clone();
        OwnerEntry { table: self.clone(), key, slot: Some(slot) }
    }

    fn slots(&self) -> StdMutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.slots().is_empty()
    }
}

impl OwnerEntry {
    pub(crate) fn slot(&self) -> OwnerSlot {
        self.slot.clone().unwrap_or_default()
    }
}

impl Drop for OwnerEntry {
    fn drop(&mut self) {
        let mut slots = self.table.slots();
        drop(self.slot.take());
        // Every other entry of this owner has a clone of the slot, and clones are made under the lock that is held here.
        if slots.get(&self.key).is_some_and(|slot| Arc::strong_count(slot) == 1) {
            slots.remove(&self.key);
        }
    }
}
