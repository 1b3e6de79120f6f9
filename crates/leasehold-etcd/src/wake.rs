//! Wake-ups: who waits for what, and the bell that rings for it.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use leasehold_core::{BoxFuture, ClaimId, Error, ErrorKind, Interest, Result, Wake};
use tokio::sync::Notify;

use crate::{members::locked, mirror::Mirror};

/// Rings until it is heard.
#[derive(Default, Debug)]
pub(crate) struct Bell {
    news: Notify,
    broken: AtomicBool,
}

/// The bells of one lock.
#[derive(Default, Debug)]
pub(crate) struct Bells(Mutex<Vec<(Interest, Weak<Bell>)>>);

impl Bells {
    pub(crate) fn hang(&self, interest: Interest) -> Arc<Bell> {
        let bell = Arc::new(Bell::default());
        let mut all = locked(&self.0);
        all.retain(|(_, other)| other.strong_count() > 0);
        all.push((interest, Arc::downgrade(&bell)));
        bell
    }

    /// Something has changed: all who want to know of changes are told, and those of `turns`.
    pub(crate) fn ring(&self, turns: &HashSet<ClaimId>) {
        for (interest, bell) in locked(&self.0).iter() {
            let wanted = match interest {
                Interest::Turn(id) => turns.contains(id),
                Interest::Changes => true,
            };
            if let Some(bell) = bell.upgrade().filter(|_| wanted) {
                bell.news.notify_one();
            }
        }
    }

    /// Something may have been missed: everybody looks.
    pub(crate) fn ring_all(&self) {
        locked(&self.0).iter().filter_map(|(_, bell)| bell.upgrade()).for_each(|bell| bell.news.notify_one());
    }

    /// Nobody will ring any more: those who listen are told so.
    pub(crate) fn break_all(&self) {
        for bell in locked(&self.0).drain(..).filter_map(|(_, bell)| bell.upgrade()) {
            bell.broken.store(true, Ordering::Release);
            bell.news.notify_one();
        }
    }
}

/// One who listens.
pub(crate) struct Hearing {
    pub(crate) bell: Arc<Bell>,
    /// Keeps the watch going.
    pub(crate) _mirror: Arc<Mirror>,
}

impl Wake for Hearing {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.bell.news.notified().await;
            if self.bell.broken.load(Ordering::Acquire) {
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
        let bells = Bells::default();
        let id = ClaimId::from_bits(1);
        let dead = bells.hang(Interest::Changes);
        drop(dead);
        let (mine, other) =
            (bells.hang(Interest::Turn(id)), bells.hang(Interest::Turn(ClaimId::from_bits(2))));
        bells.ring(&HashSet::from([id]));
        let rung = |bell: &Bell| {
            let mut heard = std::pin::pin!(bell.news.notified());
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            heard.as_mut().poll(&mut context).is_ready()
        };
        assert!(rung(&mine) && !rung(&other));
        assert_eq!(locked(&bells.0).len(), 2);
    }
}
