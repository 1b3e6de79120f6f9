//! [`Session`]: how a client stands with its store, as one value to watch.

use std::{collections::HashSet, fmt, sync::Arc};

use tokio::sync::watch;

use super::registry::Registry;
use crate::{ClaimId, Env};

/// How a client stands with its store: as the worst of its leases does (Burrows, "The Chubby lock service", 2006,
/// section 2.8).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum SessionState {
    /// All leases are renewed in time. Also that of a client that holds nothing: it has nothing to lose.
    #[default]
    Safe,
    /// Everything held is still valid, but a renewal is overdue: begin nothing new, and be ready to stop. It becomes
    /// [`SessionState::Safe`] again when the store answers, or [`SessionState::Expired`] at a deadline.
    Jeopardy,
    /// A lease was lost, or the client is closed. It is [`SessionState::Safe`] again when the guards of all that was
    /// lost have been dropped, and the store has granted or renewed something since.
    Expired,
}

/// `safe`, `jeopardy` or `expired`.
impl fmt::Display for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SessionState::Safe => "safe",
            SessionState::Jeopardy => "jeopardy",
            SessionState::Expired => "expired",
        })
    }
}

/// How a client stands with its store, as a value to watch: one for all its leases, each of which also has a
/// [`Status`](crate::Status) of its own.
///
/// It asks nobody: the state follows from what the watchdog has heard, and from the clock. Clones watch the same client
/// each at its own pace, and do not keep it alive.
#[derive(Clone)]
pub struct Session {
    registry: Arc<Registry>,
    env: Env,
    news: watch::Receiver<HealthSnapshot>,
    told: HealthSnapshot,
}

impl Session {
    pub(super) fn new(registry: Arc<Registry>, env: Env) -> Self {
        let news = registry.session();
        let told = registry.seen(env.now());
        Session { registry, env, news, told }
    }

    /// The state at this instant. No I/O: it reads the clock, so it is right also in the first instruction after the
    /// process was paused.
    pub fn state(&self) -> SessionState {
        self.registry.seen(self.env.now()).state
    }

    /// Waits until the state is another than this value has answered last, or had when it was made, and answers it. A
    /// loss is never missed: it is answered also when all is well again by then.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn changed(&mut self) -> SessionState {
        loop {
            self.news.mark_unchanged();
            let now = self.registry.seen(self.env.now());
            let was_expired = self.told.state == SessionState::Expired;
            if now.losses != self.told.losses && !was_expired {
                self.told = HealthSnapshot { state: SessionState::Expired, ..now };
                return SessionState::Expired;
            }
            let is_news = now.state != self.told.state;
            self.told = now;
            if is_news {
                return now.state;
            }
            if self.news.changed().await.is_err() {
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

/// What a watcher of the session sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct HealthSnapshot {
    pub(super) state: SessionState,
    /// How many leases were lost so far.
    losses: u64,
}

/// What the leases of a client amount to.
#[derive(Default)]
pub(super) struct LeaseTotals {
    /// How many are in jeopardy.
    pub(super) in_jeopardy: usize,
    /// Those lost whose guards are still there: somebody may still work under them.
    lost: HashSet<ClaimId>,
    losses: u64,
    /// Whether the store has confirmed nothing since the last loss.
    is_unproven: bool,
}

impl LeaseTotals {
    /// A lease is over, and was not given up. Saying it again changes nothing.
    pub(super) fn lose(&mut self, id: ClaimId) {
        if self.lost.insert(id) {
            self.losses += 1;
            self.is_unproven = true;
        }
    }

    /// The guard of a lease is gone.
    pub(super) fn forget(&mut self, id: ClaimId) {
        self.lost.remove(&id);
    }

    /// The store has granted or renewed something.
    pub(super) fn confirm(&mut self) {
        self.is_unproven = false;
    }

    pub(super) fn seen(&self, is_open: bool) -> HealthSnapshot {
        let state = if !is_open || self.is_unproven || !self.lost.is_empty() {
            SessionState::Expired
        } else if self.in_jeopardy > 0 {
            SessionState::Jeopardy
        } else {
            SessionState::Safe
        };
        HealthSnapshot { state, losses: self.losses }
    }
}
