//! [`ReservedKeys`]: the key of each lock that this client keeps for its holds, one after the other.
//!
//! etcd compares a range by a look at every key that was ever in it and is not compacted, so a lock that is taken often had
//! better not get a key for each hold. And a key that nobody else writes is deleted without a comparison, which costs etcd
//! half of a transaction.

use std::{collections::HashMap, sync::Arc};

use leasehold_core::{ClaimId, Env, LockName, store_kit::Locked};

/// The most locks that are remembered; then all are forgotten, and get new keys.
const NAMES_MAX: usize = 1 << 14;

/// The locks that this client has claimed.
#[derive(Debug, Default)]
pub(crate) struct ReservedKeys(Names);

type Names = Arc<Locked<HashMap<LockName, Usage>>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Usage {
    /// The id in the key.
    id: ClaimId,
    /// Whether a request may still write or delete it.
    is_taken: bool,
    /// Whether the last claim has found others.
    others: bool,
}

/// A key in the hands of one claim. Dropped before it is given back, it is never used again: a request of which the answer
/// was lost may still arrive.
#[derive(Debug)]
pub(crate) struct TakenKey {
    names: Names,
    name: LockName,
    pub(crate) id: ClaimId,
}

impl ReservedKeys {
    /// Takes the key of a lock for one claim. It is a new one while another claim has the last.
    pub(crate) fn take(&self, env: &Env, name: &LockName) -> TakenKey {
        let mut names = self.0.lock();
        if names.len() >= NAMES_MAX && !names.contains_key(name) {
            names.clear();
        }
        let taken = |id| TakenKey { names: self.0.clone(), name: name.clone(), id };
        let new = || Usage { id: ClaimId::mint(env), is_taken: false, others: false };
        let usage = names.entry(name.clone()).or_insert_with(new);
        match std::mem::replace(&mut usage.is_taken, true) {
            false => taken(usage.id),
            true => taken(ClaimId::mint(env)),
        }
    }

    /// Whether others are expected at a lock.
    pub(crate) fn expects_others(&self, name: &LockName) -> bool {
        self.0.lock().get(name).is_some_and(|usage| usage.others)
    }

    /// Records whether a claim has found others.
    pub(crate) fn found_others(&self, name: &LockName, others: bool) {
        if let Some(usage) = self.0.lock().get_mut(name) {
            usage.others = others;
        }
    }
}

impl TakenKey {
    /// Gives the key back, of which every request has been answered.
    pub(crate) fn give_back(&self) {
        if let Some(usage) = self.names.lock().get_mut(&self.name).filter(|usage| usage.id == self.id) {
            usage.is_taken = false;
        }
    }
}

impl Drop for TakenKey {
    fn drop(&mut self) {
        let mut names = self.names.lock();
        if names.get(&self.name).is_some_and(|usage| usage.id == self.id && usage.is_taken) {
            names.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_used_by_one_claim_at_a_time_and_not_after_an_answer_was_lost() {
        let env = Env::system().unwrap();
        let (keys, name) = (ReservedKeys::default(), |at: usize| LockName::new(format!("{at}")).unwrap());
        let first = keys.take(&env, &name(0));
        let beside = keys.take(&env, &name(0));
        assert_ne!(beside.id, first.id);
        beside.give_back();
        assert_ne!(keys.take(&env, &name(0)).id, first.id, "it is not given back by another");
        let (id, others) = (first.id, keys.take(&env, &name(1)));
        first.give_back();
        drop(first);
        let second = keys.take(&env, &name(0));
        assert!(second.id == id && others.id != id);
        drop(second);
        assert_ne!(keys.take(&env, &name(0)).id, id, "an answer was lost");
    }

    #[test]
    fn the_table_is_bounded_and_what_it_forgot_gives_nothing_back() {
        let env = Env::system().unwrap();
        let (keys, name) = (ReservedKeys::default(), |at: usize| LockName::new(format!("{at}")).unwrap());
        let first = keys.take(&env, &name(0));
        for at in 1..=NAMES_MAX {
            keys.take(&env, &name(at)).give_back();
        }
        assert!(keys.0.lock().len() <= NAMES_MAX);
        let second = keys.take(&env, &name(0));
        assert_ne!(second.id, first.id);
        first.give_back();
        drop(first);
        assert!(keys.0.lock()[&name(0)].is_taken);
    }
}
