//! [`LocalQueue`]: tasks of one client that wait for the same lock, in order; only the first one asks the store.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::OwnedMutexGuard;

use crate::{LockName, store_kit::Locked};

type NameLock = Arc<tokio::sync::Mutex<()>>;
type NameLocks = Arc<Locked<HashMap<LockName, NameLock>>>;

#[derive(Default)]
pub(super) struct LocalQueue {
    by_name: NameLocks,
}

/// The permission to ask the store about a name; dropping it passes it on to the next task.
pub(super) struct LocalPermit {
    by_name: NameLocks,
    name: LockName,
    guard: Option<OwnedMutexGuard<()>>,
}

impl LocalQueue {
    /// Waits for the permission. Cancel safe: a dropped wait loses its place in the queue.
    pub(super) async fn enter(&self, name: &LockName) -> LocalPermit {
        // It exists before the wait, so that a dropped wait removes its entry as well.
        let mut permit = LocalPermit { by_name: self.by_name.clone(), name: name.clone(), guard: None };
        let name_lock = self.by_name.lock().entry(name.clone()).or_default().clone();
        permit.guard = Some(name_lock.lock_owned().await);
        permit
    }
}

impl Drop for LocalPermit {
    fn drop(&mut self) {
        let mut by_name = self.by_name.lock();
        drop(self.guard.take());
        // Each waiter has a clone, made under the lock that is held here.
        if by_name.get(&self.name).is_some_and(|name_lock| Arc::strong_count(name_lock) == 1) {
            by_name.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    #[test]
    fn turns_come_in_order_and_nothing_is_kept() {
        let queue = LocalQueue::default();
        let name = LockName::new("x").unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let mut first = pin!(queue.enter(&name));
        let Poll::Ready(turn) = first.as_mut().poll(&mut context) else { panic!("a free lock") };
        let mut third = pin!(queue.enter(&name));
        {
            let mut second = pin!(queue.enter(&name));
            assert!(second.as_mut().poll(&mut context).is_pending());
            assert!(third.as_mut().poll(&mut context).is_pending());
            drop(turn);
            assert!(third.as_mut().poll(&mut context).is_pending(), "the second comes first");
        }
        assert!(third.as_mut().poll(&mut context).is_ready(), "the second gave up");
        assert!(queue.by_name.lock().is_empty());
    }
}
