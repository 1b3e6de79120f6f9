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
    last: Locked<Option<Moment>>,
}

/// The shortest time between two, so that a connection that flaps does not cause constant renewals.
const PAUSE: Duration = Duration::from_millis(200);

impl Revalidations {
    /// Counts one.
    pub fn raise(&self) {
        self.0.count.send_modify(|count| *count += 1);
    }

    /// Counts one, unless one was counted just now.
    pub fn raise_sparingly(&self, env: &Env) {
        let now = env.now();
        let mut last = self.0.last.lock();
        if last.is_some_and(|last| now.since(last) < PAUSE) {
            return;
        }
        *last = Some(now);
        self.raise();
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
    fn one_is_answered_once_and_several_at_a_time_are_one() {
        let world = Virtual::new(1);
        let (revalidations, env) = (Revalidations::default(), world.env());
        world.block_on(async {
            let mut seen = 0;
            revalidations.raise_sparingly(&env);
            revalidations.raise_sparingly(&env);
            revalidations.after(&mut seen).await;
            assert_eq!(seen, 1);
            let soon = env.now() + Duration::from_secs(1);
            assert!(env.until(soon, revalidations.after(&mut seen)).await.is_none());
            revalidations.raise_sparingly(&env);
            revalidations.raise();
            revalidations.after(&mut seen).await;
            assert_eq!(seen, 3);
        });
    }
}
