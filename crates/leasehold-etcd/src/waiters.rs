//! Wake-ups: who waits for what, and the notifier that rings for it.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use leasehold_core::{BoxFuture, ClaimId, Error, ErrorKind, Interest, Result, Wake};
use tokio::sync::Notify;

use crate::{transport::locked, watcher::LockWatcher};

/// Rings until it is heard.
#[derive(Default, Debug)]
pub(crate) struct Notifier {
    news: Notify,
    broken: AtomicBool,
}

/// The waiters of one lock.
#[derive(Default, Debug)]
pub(crate) struct Waiters(Mutex<Vec<(Interest, Weak<Notifier>)>>);

impl Waiters {
    pub(crate) fn hang(&self, interest: Interest) -> Arc<Notifier> {
        let notifier = Arc::new(Notifier::default());
        let mut all = locked(&self.0);
        all.retain(|(_, other)| other.strong_count() > 0);
        all.push((interest, Arc::downgrade(&notifier)));
        notifier
    }

    /// Something has changed: all who want to know of changes are told, and those of `turns`.
    pub(crate) fn ring(&self, turns: &HashSet<ClaimId>) {
        for (interest, notifier) in locked(&self.0).iter() {
            let wanted = match interest {
                Interest::Turn(id) => turns.contains(id),
                Interest::Changes => true,
            };
            if let Some(notifier) = notifier.upgrade().filter(|_| wanted) {
                notifier.news.notify_one();
            }
        }
    }

    /// Something may have been missed: everybody readings.
    pub(crate) fn ring_all(&self) {
        locked(&self.0)
            .iter()
            .filter_map(|(_, notifier)| notifier.upgrade())
            .for_each(|notifier| notifier.news.notify_one());
    }

    /// Nobody will ring any more: those who listen are told so.
    pub(crate) fn break_all(&self) {
        for notifier in locked(&self.0).drain(..).filter_map(|(_, notifier)| notifier.upgrade()) {
            notifier.broken.store(true, Ordering::Release);
            notifier.news.notify_one();
        }
    }
}

/// One who listens.
pub(crate) struct WaitSubscription {
    pub(crate) notifier: Arc<Notifier>,
    /// Keeps the watch going.
    pub(crate) _watcher: Arc<LockWatcher>,
}

impl Wake for WaitSubscription {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.notifier.news.notified().await;
            if self.notifier.broken.load(Ordering::Acquire) {
                return Err(Error::new(ErrorKind::Unreachable, "the subscription broke")
                    .hint("ask the store again, and subscribe anew"));
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_rings_for_its_turn_alone_and_a_dead_one_is_taken_down() {
        let waiters = Waiters::default();
        let id = ClaimId::from_bits(1);
        let dead = waiters.hang(Interest::Changes);
        drop(dead);
        let (mine, other) =
            (waiters.hang(Interest::Turn(id)), waiters.hang(Interest::Turn(ClaimId::from_bits(2))));
        waiters.ring(&HashSet::from([id]));
        let rung = |notifier: &Notifier| {
            let mut heard = std::pin::pin!(notifier.news.notified());
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            heard.as_mut().poll(&mut context).is_ready()
        };
        assert!(rung(&mine) && !rung(&other));
        assert_eq!(locked(&waiters.0).len(), 2);
    }
}
