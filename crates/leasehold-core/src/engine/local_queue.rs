//! [`LocalQueue`]: tasks of one client that wait for the same lock, in order; only the first one asks the store.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::{Notify, OwnedMutexGuard};

use super::last_answer::LastAnswer;
use crate::{Env, LockName, Moment, Result, store_kit::Locked};

/// The turn, and what the tasks whose turn it was have had of the store.
#[derive(Clone)]
struct Front {
    turn: Arc<tokio::sync::Mutex<()>>,
    shared: Arc<Shared>,
}

struct Shared {
    progress: Locked<Progress>,
    /// Notifies the task whose turn it is that a hold of this client is on its way out.
    freed: Notify,
}

struct Progress {
    seen: LastAnswer,
    /// Since when no task of the queue has got the lock.
    since: Moment,
    /// Whether a task of this client holds the lock alone, as far as is known.
    is_held: bool,
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
    pub(super) fn place(&self, name: &LockName, now: Moment) -> LocalPermit {
        let progress = || Progress { seen: LastAnswer::None, since: now, is_held: false };
        let shared = || Shared { progress: Locked::new(progress()), freed: Notify::new() };
        let fresh = || Front { turn: Arc::default(), shared: Arc::new(shared()) };
        let front = self.by_name.lock().entry(name.clone()).or_insert_with(fresh).clone();
        LocalPermit { by_name: self.by_name.clone(), name: name.clone(), front, guard: None }
    }

    /// Tells the task whose turn it is that a hold of this client is on its way out.
    pub(super) fn freed(&self, name: &LockName) {
        if let Some(front) = self.by_name.lock().get(name) {
            front.shared.progress.lock().is_held = false;
            front.shared.freed.notify_waiters();
        }
    }
}

impl LocalPermit {
    /// Takes the turn if nobody has it and nobody waits for it.
    pub(super) fn try_enter(&mut self) -> bool {
        self.guard = self.front.turn.clone().try_lock_owned().ok();
        self.guard.is_some()
    }

    /// Waits for the turn. Cancel safe: a dropped wait loses its place in the queue.
    pub(super) async fn enter(&mut self) {
        self.guard = Some(self.front.turn.clone().lock_owned().await);
    }

    /// The last answer of the store about the name to a task of this client.
    pub(super) fn seen(&self) -> LastAnswer {
        self.front.shared.progress.lock().seen.clone()
    }

    /// Tells the tasks behind what the store has answered.
    pub(super) fn tell(&self, seen: &LastAnswer) {
        self.front.shared.progress.lock().seen.clone_from(seen);
    }

    /// Since when this client waits for the lock.
    pub(super) fn since(&self) -> Moment {
        self.front.shared.progress.lock().since
    }

    /// Tells the tasks behind that this one has got the lock, alone or with others, by a claim that was sent at `sent`.
    pub(super) fn granted(&self, sent: Moment, is_alone: bool) {
        let mut progress = self.front.shared.progress.lock();
        (progress.since, progress.is_held) = (sent, is_alone);
    }

    /// Waits until `until` for the release of a hold that a task of this client has alone, as far as is known. Answers
    /// whether there was one.
    pub(super) async fn neighbour_has_left(&self, env: &Env, until: Moment) -> bool {
        // Before the question, so that a release in between is not missed.
        let freed = self.front.shared.freed.notified();
        if !self.front.shared.progress.lock().is_held {
            return false;
        }
        env.until(until, freed).await;
        true
    }

    /// The store's wake-up of the task in this place, or the release of a hold of this client.
    pub(super) async fn woken(
        place: Option<&LocalPermit>,
        wake: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        let Some(place) = place else { return wake.await };
        tokio::select! {
            biased;
            woken = wake => woken,
            () = place.front.shared.freed.notified() => Ok(()),
        }
    }
}

impl Drop for LocalPermit {
    fn drop(&mut self) {
        let mut by_name = self.by_name.lock();
        drop(self.guard.take());
        // The map has a clone, and each place has one, made under the lock that is held here.
        if Arc::strong_count(&self.front.shared) == 2 {
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
        let mut first = queue.place(&name, Moment::from_nanos(0));
        assert!(pin!(first.enter()).poll(&mut context).is_ready(), "a free lock");
        let mut third = queue.place(&name, Moment::from_nanos(0));
        let mut third = Box::pin(async move { third.enter().await });
        {
            let mut second = queue.place(&name, Moment::from_nanos(0));
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
        let (mut first, mut second) =
            (queue.place(&name, Moment::from_nanos(0)), queue.place(&name, Moment::from_nanos(0)));
        assert!(pin!(first.enter()).poll(&mut context).is_ready());
        drop(first);
        assert!(pin!(second.enter()).poll(&mut context).is_ready());
        let mut third = queue.place(&name, Moment::from_nanos(0));
        assert!(pin!(third.enter()).poll(&mut context).is_pending(), "two ask the store");
    }
}
