//! [`LockLayer`]: which request runs under which lock.

use std::{fmt, sync::Arc, time::Duration};

use http::{StatusCode, request::Parts};
use leasehold::{Client, LockName};
use tower_layer::Layer;

use crate::LockService;

/// The rule that names the lock of a request.
type Naming = dyn Fn(&Parts) -> Option<LockName> + Send + Sync;
/// The rule that says which requests share their lock.
type Sharing = dyn Fn(&Parts) -> bool + Send + Sync;

/// A layer that runs each request under a lock that is named from it.
///
/// The [`Lease`](leasehold::Lease) is among the extensions of the request, so a handler can check it and present its fencing
/// token; with axum it is extracted by `RequestLease`.
#[derive(Clone)]
pub struct LockLayer {
    pub(crate) client: Client,
    pub(crate) naming: Arc<Naming>,
    pub(crate) sharing: Arc<Sharing>,
    pub(crate) wait: Duration,
    pub(crate) busy_status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
}

impl LockLayer {
    /// A layer with the locks of `client`, whose options (ttl, `fair`, `max_hold`, …) are those of the locks. `naming` names the lock
    /// of a request; one without a name runs without a lock.
    pub fn new(client: Client, naming: impl Fn(&Parts) -> Option<LockName> + Send + Sync + 'static) -> Self {
        let (wait, busy_status) = (Duration::ZERO, StatusCode::CONFLICT);
        let (naming, sharing) = (Arc::new(naming), Arc::new(|_: &Parts| false));
        LockLayer { client, naming, sharing, wait, busy_status, retry_after: None }
    }

    /// Lets the requests that `sharing` chooses hold their lock together, as the readers of a
    /// [`RwLock`](leasehold::RwLock) do, and the others alone. None does unless set; for the usual rule, see
    /// [the example](crate).
    ///
    /// On a store without shared locks ([`Capability::shared`](leasehold::store::Capability)) the chosen ones are refused.
    #[must_use]
    pub fn shared(mut self, sharing: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.sharing = Arc::new(sharing);
        self
    }

    /// Sets how long a request waits for its lock at most; not at all unless set. One whose client goes away meanwhile
    /// leaves the queue.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Sets the status of the answer when the lock is taken: 409 (conflict) unless set, often 423 (locked) or 429.
    #[must_use]
    pub fn busy_status(mut self, status: StatusCode) -> Self {
        self.busy_status = status;
        self
    }

    /// Sets the `Retry-After` of that answer, in whole seconds. Unless set, it is the time by which the present hold has ended if it
    /// is not renewed: up to the ttl, and often more than is needed.
    #[must_use]
    pub fn retry_after(mut self, time: Duration) -> Self {
        self.retry_after = Some(time);
        self
    }
}

impl<S> Layer<S> for LockLayer {
    type Service = LockService<S>;

    fn layer(&self, inner: S) -> LockService<S> {
        LockService { inner, layer: self.clone() }
    }
}

impl fmt::Debug for LockLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockLayer")
            .field("store", &self.client.url())
            .field("wait", &self.wait)
            .field("busy_status", &self.busy_status)
            .finish_non_exhaustive()
    }
}
