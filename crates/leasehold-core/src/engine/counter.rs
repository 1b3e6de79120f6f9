//! [`Counter`]: how many of something exist.

use std::sync::Arc;

use tokio::sync::watch;

/// A shared count that can be awaited to reach zero.
#[derive(Default, Clone)]
pub(super) struct Counter(Arc<watch::Sender<usize>>);

/// Decrements its counter on drop.
pub(super) struct CountGuard(Counter);

impl Counter {
    pub(super) fn count(&self) -> usize {
        *self.0.borrow()
    }

    pub(super) fn increment(&self) -> CountGuard {
        self.0.send_modify(|count| *count += 1);
        CountGuard(self.clone())
    }

    /// Completes when the count is zero.
    pub(super) async fn zero(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for CountGuard {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}
