//! [`Session`]: the health of a client as a value to watch.

use std::{fmt, sync::Arc};

use tokio::sync::watch;

use super::{
    health::{HealthSnapshot, SessionState},
    registry::Registry,
};
use crate::Env;

/// How a client stands with its store, as a value to watch: one for all its leases, each of which also has a
/// [`Status`](crate::Status) of its own.
///
/// No I/O: the state follows from the answers to the watchdog, and from the clock. Clones watch the same client
/// each at its own pace, and do not keep it alive.
#[derive(Clone)]
pub struct Session {
    registry: Arc<Registry>,
    env: Env,
    changes: watch::Receiver<HealthSnapshot>,
    answered: HealthSnapshot,
}

impl Session {
    pub(super) fn new(registry: Arc<Registry>, env: Env) -> Self {
        let changes = registry.watch_health();
        let answered = registry.health_at(env.now());
        Session { registry, env, changes, answered }
    }

    /// The state at this instant. No I/O: it reads the clock, so it is right also in the first instruction after the
    /// process was paused.
    pub fn state(&self) -> SessionState {
        self.registry.health_at(self.env.now()).state
    }

    /// Waits until the state is another than this value has answered last, or had when it was made, and answers it. A
    /// loss is never missed: it is answered also when all is well again by then.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn changed(&mut self) -> SessionState {
        if self.env.check_process().is_err() {
            return SessionState::Expired;
        }
        loop {
            self.changes.mark_unchanged();
            let now = self.registry.health_at(self.env.now());
            let was_expired = self.answered.state == SessionState::Expired;
            if now.losses != self.answered.losses && !was_expired {
                self.answered = HealthSnapshot { state: SessionState::Expired, ..now };
                return SessionState::Expired;
            }
            let is_change = now.state != self.answered.state;
            self.answered = now;
            if is_change {
                return now.state;
            }
            if self.changes.changed().await.is_err() {
                // The sender lives as long as `self`.
                return std::future::pending().await;
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("state", &self.state()).finish_non_exhaustive()
    }
}
