//! One attempt a lock: tasks of one client that want the same lock wait for each other here, in order, and only the
//! first of them asks the store.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

use crate::LockName;

type Gate = Arc<tokio::sync::Mutex<()>>;

#[derive(Default)]
pub(super) struct LocalQueue {
    gates: Arc<Mutex<HashMap<LockName, Gate>>>,
}

/// The turn to ask the store; the next one's begins when it is dropped.
pub(super) struct Turn {
    gates: Arc<Mutex<HashMap<LockName, Gate>>>,
    name: LockName,
    gate: Option<OwnedMutexGuard<()>>,
}

fn lock(gates: &Mutex<HashMap<LockName, Gate>>) -> MutexGuard<'_, HashMap<LockName, Gate>> {
    gates.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LocalQueue {
    /// Waits for the turn. Cancel safe: whoever gives up loses the place and nothing else.
    pub(super) async fn enter(&self, name: &LockName) -> Turn {
        // The turn exists before the wait, so that a dropped wait tidies up as well.
        let mut turn = Turn { gates: self.gates.clone(), name: name.clone(), gate: None };
        let gate = lock(&self.gates).entry(name.clone()).or_default().clone();
        turn.gate = Some(gate.lock_owned().await);
        turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut gates = lock(&self.gates);
        drop(self.gate.take());
        // Whoever waits holds a clone of the gate, and clones are made under the lock that is held here.
        if gates.get(&self.name).is_some_and(|gate| Arc::strong_count(gate) == 1) {
            gates.remove(&self.name);
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
        let Poll::Ready(turn) = first.as_mut().poll(&mut context) else { panic!("a free gate") };
        let mut third = pin!(queue.enter(&name));
        {
            let mut second = pin!(queue.enter(&name));
            assert!(second.as_mut().poll(&mut context).is_pending());
            assert!(third.as_mut().poll(&mut context).is_pending());
            drop(turn);
            assert!(third.as_mut().poll(&mut context).is_pending(), "the second comes first");
        }
        assert!(third.as_mut().poll(&mut context).is_ready(), "the second gave up");
        assert!(lock(&queue.gates).is_empty());
    }
}
