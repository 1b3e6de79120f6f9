//! [`ClientKeys`]: the key of each lock that holds of this client have one after the other.
//!
//! etcd compares a range by a look at every key that was ever in it and is not compacted, so a lock that is taken often had
//! better not get a key for each hold. And a key that nobody else writes is deleted without a comparison, which costs etcd
//! half of a transaction.

use std::collections::HashSet;

use leasehold_core::{ClaimId, Env, LockName, store_kit::Locked};

/// How many names are remembered of each kind.
const NAMES_MAX: usize = 1 << 16;

/// The id of this client in its keys, and the names whose key is in use.
#[derive(Debug)]
pub(crate) struct ClientKeys(Locked<Names>);

#[derive(Debug)]
struct Names {
    id: ClaimId,
    /// The names whose key a request may still write or delete. One whose answer was lost stays here.
    taken: HashSet<LockName>,
    /// The names of which the last claim has found others.
    shared: HashSet<LockName>,
}

impl ClientKeys {
    pub(crate) fn new(env: &Env) -> ClientKeys {
        let (id, taken, shared) = (ClaimId::mint(env), HashSet::new(), HashSet::new());
        ClientKeys(Locked::new(Names { id, taken, shared }))
    }

    /// Takes the key of a name for one claim: the id in it. `None` while another claim has it.
    pub(crate) fn take(&self, env: &Env, name: &LockName) -> Option<ClaimId> {
        let mut names = self.0.lock();
        if names.taken.len() >= NAMES_MAX {
            // The keys of before are used by the claims that have them, and by nobody later.
            (names.id, names.taken) = (ClaimId::mint(env), HashSet::new());
        }
        names.taken.insert(name.clone()).then_some(names.id)
    }

    /// Gives back a key, of which every request has been answered.
    pub(crate) fn give_back(&self, name: &LockName, id: ClaimId) {
        let mut names = self.0.lock();
        if names.id == id {
            names.taken.remove(name);
        }
    }

    /// Whether others are expected at a lock.
    pub(crate) fn expects_others(&self, name: &LockName) -> bool {
        self.0.lock().shared.contains(name)
    }

    /// Records whether a claim has found others.
    pub(crate) fn found_others(&self, name: &LockName, are_there: bool) {
        let mut names = self.0.lock();
        if !are_there {
            names.shared.remove(name);
        } else {
            if names.shared.len() >= NAMES_MAX {
                names.shared.clear();
            }
            names.shared.insert(name.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_used_by_one_claim_at_a_time() {
        let env = Env::system().unwrap();
        let (keys, name) = (ClientKeys::new(&env), |at: usize| LockName::new(format!("{at}")).unwrap());
        let first = keys.take(&env, &name(0)).unwrap();
        assert_eq!(keys.take(&env, &name(0)), None);
        assert_eq!(keys.take(&env, &name(1)), Some(first));
        keys.give_back(&name(0), first);
        assert_eq!(keys.take(&env, &name(0)), Some(first));
        // So many that the id changes: a claim that has a key of before gives no key of now back.
        assert!((2..NAMES_MAX).all(|at| keys.take(&env, &name(at)) == Some(first)));
        let second = keys.take(&env, &name(0)).unwrap();
        assert_ne!(second, first);
        keys.give_back(&name(0), first);
        assert_eq!(keys.take(&env, &name(0)), None);
    }
}
