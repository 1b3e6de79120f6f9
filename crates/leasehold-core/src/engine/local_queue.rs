//! [`LocalQueue`]: tasks of one client that wait for the same lock, in order; only the first one asks the store.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::OwnedMutexGuard;

use super::last_answer::LastAnswer;
use crate::{LockName, store_kit::Locked};

/// The turn, and the last answer that the task whose turn it is has seen.
#[derive(Clone, Default)]
struct Front {
    turn: Arc<tokio::sync::Mutex<()>>,
    seen: Arc<Locked<LastAnswer>>,
}

type Fronts = Arc<Locked<HashMap<LockName, Front>>>;

#[derive(Default)]
pub(super) struct LocalQueue {
    by_name: Fronts,
}

/// A place in the queue of a name, and once it is entered the permission to ask the store; dropping it passes that on
/// to the next task.
pub(super) struct LocalPermit {
    by_name: Fronts,
    name: LockName,
    front: Front,
    guard: Option<OwnedMutexGuard<()>>,
}

impl LocalQueue {
    /// A place that is not entered yet.
    pub(super) fn place(&self, name: &LockName) -> LocalPermit {
        let front = self.by_name.lock().entry(name.clone()).or_default().clone();
        LocalPermit { by_name: self.by_name.clone(), name: name.clone(), front, guard: None }
    }
}

impl LocalPermit {
    /// Waits for the turn. Cancel safe: a dropped wait loses its place in the queue.
    pub(super) async fn enter(&mut self) {
        self.guard = Some(self.front.turn.clone().lock_owned().await);
    }

    /// The last answer of the store about the name to a task of this client.
    pub(super) fn seen(&self) -> LastAnswer {
        self.front.seen.lock().clone()
    }

    /// Tells the tasks behind what the store has answered.
    pub(super) fn tell(&self, seen: &LastAnswer) {
        self.front.seen.lock().clone_from(seen);
    }
}

impl Drop for LocalPermit {
    fn drop(&mut self) {
        let mut by_name = self.by_name.lock();
        drop(self.guard.take());
        // The map has a clone, and each place has one, made under the lock that is held here.
        if Arc::strong_count(&self.front.seen) == 2 {
            by_name.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    #[test]
    fn turns_come_in_order_and_nothing_is_kept() {
        let queue = LocalQueue::default();
        let name = LockName::new("x").unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let mut first = queue.place(&name);
        assert!(pin!(first.enter()).poll(&mut context).is_ready(), "a free lock");
        let mut third = queue.place(&name);
        let mut third = Box::pin(async move { third.enter().await });
        {
            let mut second = queue.place(&name);
            let mut second = pin!(second.enter());
            assert!(second.as_mut().poll(&mut context).is_pending());
            assert!(third.as_mut().poll(&mut context).is_pending());
            drop(first);
            assert!(third.as_mut().poll(&mut context).is_pending(), "the second comes first");
        }
        assert!(third.as_mut().poll(&mut context).is_ready(), "the second gave up");
        drop(third);
        assert!(queue.by_name.lock().is_empty());
    }

    #[test]
    fn a_task_that_comes_when_the_turn_is_passed_on_waits_behind() {
        let (queue, name) = (LocalQueue::default(), LockName::new("x").unwrap());
        let mut context = Context::from_waker(Waker::noop());
        let (mut first, mut second) = (queue.place(&name), queue.place(&name));
        assert!(pin!(first.enter()).poll(&mut context).is_ready());
        drop(first);
        assert!(pin!(second.enter()).poll(&mut context).is_ready());
        let mut third = queue.place(&name);
        assert!(pin!(third.enter()).poll(&mut context).is_pending(), "two ask the store");
    }
}
