//! [`Waiters`]: who of this client waits for news, and what rings for whom.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use leasehold_core::{BoxFuture, ClaimId, Error, ErrorKind, Result, Wake};
use tokio::sync::{Notify, oneshot};

/// Rings until it is heard.
#[derive(Default, Debug)]
pub(crate) struct Notifier {
    news: Notify,
    broken: AtomicBool,
    /// Whether it has rung since it was last asked.
    has_rung: AtomicBool,
    /// Ends the watch that rings it, when another one is set.
    armed: Mutex<Option<oneshot::Sender<()>>>,
}

/// All bells of one client, by the claim that listens.
#[derive(Default, Debug)]
pub(crate) struct Waiters(Mutex<HashMap<ClaimId, Vec<Weak<Notifier>>>>);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Notifier {
    pub(crate) fn ring(&self) {
        self.has_rung.store(true, Ordering::Release);
        self.news.notify_one();
    }

    /// Whether it has not rung since it was last asked, and still may.
    pub(crate) fn is_silent(&self) -> bool {
        !self.has_rung.load(Ordering::Acquire) && !self.broken.load(Ordering::Acquire)
    }

    /// Whether it has rung since this was last asked.
    pub(crate) fn take_ring(&self) -> bool {
        self.has_rung.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn break_off(&self) {
        self.broken.store(true, Ordering::Release);
        self.news.notify_one();
    }

    /// Completes when the watch that was set now is not wanted any more.
    pub(crate) fn arm(&self) -> oneshot::Receiver<()> {
        let (keep, ended) = oneshot::channel();
        *locked(&self.armed) = Some(keep);
        ended
    }
}

impl Waiters {
    /// Hangs a new bell up for a claim.
    pub(crate) fn hang(self: &Arc<Self>, id: ClaimId) -> WaitSubscription {
        self.hang_up(id, Arc::default())
    }

    /// Hangs up one that may have rung already.
    pub(crate) fn hang_up(self: &Arc<Self>, id: ClaimId, bell: Arc<Notifier>) -> WaitSubscription {
        locked(&self.0).entry(id).or_default().push(Arc::downgrade(&bell));
        WaitSubscription { bell, home: Some((self.clone(), id)) }
    }

    /// Those who listen for a claim.
    pub(crate) fn of(&self, id: ClaimId) -> Vec<Arc<Notifier>> {
        let all = locked(&self.0);
        all.get(&id).into_iter().flatten().filter_map(Weak::upgrade).collect()
    }

    /// Whatever was watched is not watched any more: those who listen ask again.
    pub(crate) fn break_all(&self) {
        let all: Vec<_> = locked(&self.0).values().flatten().filter_map(Weak::upgrade).collect();
        all.iter().for_each(|bell| bell.break_off());
    }

    fn forget_unplaced(&self, id: ClaimId) {
        let mut all = locked(&self.0);
        if let Some(bells) = all.get_mut(&id) {
            bells.retain(|bell| bell.strong_count() > 0);
            if bells.is_empty() {
                all.remove(&id);
            }
        }
    }
}

/// One who listens.
pub(crate) struct WaitSubscription {
    bell: Arc<Notifier>,
    home: Option<(Arc<Waiters>, ClaimId)>,
}

impl WaitSubscription {
    /// For news that somebody else sees to.
    pub(crate) fn of(bell: Arc<Notifier>) -> WaitSubscription {
        WaitSubscription { bell, home: None }
    }
}

impl Wake for WaitSubscription {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.bell.news.notified().await;
            if self.bell.broken.load(Ordering::Acquire) {
                return Err(Error::new(ErrorKind::Unreachable, "the subscription ended with its session")
                    .hint("ask the store again, and subscribe anew"));
            }
            Ok(())
        })
    }
}

impl Drop for WaitSubscription {
    fn drop(&mut self) {
        self.bell = Arc::default();
        if let Some((bells, id)) = self.home.take() {
            bells.forget_unplaced(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_bell_is_taken_down() {
        let (bells, id) = (Arc::new(Waiters::default()), ClaimId::from_bits(1));
        let (one, two) = (bells.hang(id), bells.hang(id));
        assert_eq!(bells.of(id).len(), 2);
        drop(one);
        assert_eq!(bells.of(id).len(), 1);
        drop(two);
        assert!(locked(&bells.0).is_empty());
    }
}
