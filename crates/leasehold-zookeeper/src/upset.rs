//! [`Upsets`]: how often holds were lost behind everybody's back.

use std::sync::Arc;

use tokio::sync::watch;

/// A shared count of sessions that ended, and those who wait for it to grow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upsets(Arc<watch::Sender<u64>>);

impl Upsets {
    pub(crate) fn raise(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    /// Completes when the count is not `seen`, and takes it over.
    pub(crate) async fn after(&self, seen: &mut u64) {
        let mut receiver = self.0.subscribe();
        // The sender lives as long as `self`.
        if let Ok(count) = receiver.wait_for(|count| count != seen).await {
            *seen = *count;
        }
    }
}
