//! [`Revalidations`]: how often the server may have lost holds without notifying clients.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{Env, Moment, store_kit::Locked};

/// A shared count that can be awaited to grow, for [`Store::revalidation`](crate::Store::revalidation).
#[derive(Clone, Debug, Default)]
pub struct Revalidations(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    count: watch::Sender<u64>,
    recent: Locked<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    last: Option<Moment>,
    /// Whether another one is counted at the end of the pause.
    is_due: bool,
}

/// The shortest time between two, so that a connection that flaps does not cause constant renewals.
const PAUSE: Duration = Duration::from_millis(200);

impl Revalidations {
    /// Counts one.
    pub fn raise(&self) {
        self.0.count.send_modify(|count| *count += 1);
    }

    /// Counts one, or where one was counted just now one more at the end of a pause: what the server may have lost since is
    /// noticed by nothing else.
    pub fn raise_sparingly(&self, env: &Env) {
        let now = env.now();
        let mut recent = self.0.recent.lock();
        let Some(due) = recent.last.map(|last| last + PAUSE).filter(|due| now < *due) else {
            recent.last = Some(now);
            drop(recent);
            return self.raise();
        };
        if std::mem::replace(&mut recent.is_due, true) {
            return;
        }
        let (this, clock) = (self.clone(), env.clone());
        env.spawn(async move {
            clock.sleep_until(due).await;
            *this.0.recent.lock() = Recent { last: Some(clock.now()), is_due: false };
            this.raise();
        });
    }

    /// Completes when the count is not `seen`, and takes it over.
    ///
    /// # Cancel safety
    /// Cancel safe: what happens between two calls is answered by the next.
    pub async fn after(&self, seen: &mut u64) {
        let mut receiver = self.0.count.subscribe();
        // The sender lives as long as `self`.
        if let Ok(count) = receiver.wait_for(|count| count != seen).await {
            *seen = *count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Virtual;

    #[test]
    fn one_is_answered_once_and_several_at_a_time_are_one_and_one_more_after_a_pause() {
        let world = Virtual::new(1);
        let (revalidations, env) = (Revalidations::default(), world.env());
        world.block_on(async {
            let mut seen = 0;
            revalidations.raise_sparingly(&env);
            revalidations.raise_sparingly(&env);
            revalidations.after(&mut seen).await;
            assert_eq!(seen, 1);
            // The second may have been another restart.
            let begin = env.now();
            revalidations.after(&mut seen).await;
            assert!(seen == 2 && env.now() == begin + PAUSE);
            let soon = env.now() + Duration::from_secs(1);
            assert!(env.until(soon, revalidations.after(&mut seen)).await.is_none());
            revalidations.raise_sparingly(&env);
            revalidations.raise();
            revalidations.after(&mut seen).await;
            assert_eq!(seen, 4);
        });
    }
}
