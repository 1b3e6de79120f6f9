//! [`Upsets`]: how often holds may have been lost behind everybody's back.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use leasehold_core::{Env, Moment};
use tokio::sync::watch;

/// A shared count, and those who wait for it to grow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upsets(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    count: watch::Sender<u64>,
    last: Mutex<Option<Moment>>,
}

/// A connection that flaps does not make everybody renew all the time.
const PAUSE: Duration = Duration::from_millis(200);

impl Upsets {
    pub(crate) fn raise(&self, env: &Env) {
        let now = env.now();
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| now.since(last) < PAUSE) {
            return;
        }
        *last = Some(now);
        self.0.count.send_modify(|count| *count += 1);
    }

    /// Completes when the count is not `seen`, and takes it over.
    pub(crate) async fn after(&self, seen: &mut u64) {
        let mut receiver = self.0.count.subscribe();
        // The sender lives as long as `self`.
        if let Ok(count) = receiver.wait_for(|count| count != seen).await {
            *seen = *count;
        }
    }
}
