//! [`Candidate`]: a process that leads whenever it can, and knows whether it does.

use std::{
    future::Future,
    ops::ControlFlow,
    sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError},
    time::Duration,
};

use leasehold_core::{ErrorKind, Lease, Result};

use crate::{Election, block_on};

/// The pause before it campaigns again while the store fails.
const PAUSE: Duration = Duration::from_secs(1);

/// A process that leads whenever it can, and knows whether it does: a handle, whose clones are the same candidate. Made by
/// [`Election::candidate`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> leasehold::Result<()> {
/// let locks = leasehold::Client::connect("memory:").await?;
/// let candidate = locks.election("scheduler")?.candidate("10.0.0.7:8000");
/// let health = candidate.clone();                       // for the health check, in another task
/// assert!(!health.is_leader());
/// candidate.lead(|_lease| async { assert!(health.is_leader()) }).await?;
/// assert!(!health.is_leader());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Candidate {
    election: Election,
    value: Arc<str>,
    lease: Arc<StdMutex<Option<Lease>>>,
}

impl Candidate {
    pub(super) fn new(election: Election, value: &str) -> Self {
        Candidate { election, value: value.into(), lease: Arc::default() }
    }

    /// Campaigns, runs `work` under the leadership, and resigns when it is done. When the leadership is lost, `work` is dropped before its
    /// next step, and it campaigns again; so it does for as long as the store fails. `work` is called once each time it leads.
    ///
    /// # Errors
    /// Those of the store that do not pass by themselves.
    ///
    /// # Cancel safety
    /// Dropping the future drops `work` and resigns in the background; [`Client::close`](crate::Client::close) waits for that.
    pub async fn lead<T, F: Future<Output = T>>(&self, mut work: impl FnMut(Lease) -> F) -> Result<T> {
        loop {
            let led = self.election.with(&*self.value, |lease| {
                self.begin(&lease);
                work(lease)
            });
            match self.ended(led.await) {
                ControlFlow::Break(ended) => return ended,
                ControlFlow::Continue(pause) => self.election.env().sleep(pause).await,
            }
        }
    }

    /// [`Candidate::lead`] without async: the thread blocks. Blocking code cannot be stopped from outside: `work` calls
    /// [`Lease::check`] before each side effect, and is called again if the leadership was lost by the time it is done.
    ///
    /// # Errors
    /// As [`Candidate::lead`]; [`ErrorKind::WouldDeadlock`] in an async task.
    pub fn blocking_lead<T>(&self, mut work: impl FnMut(&Lease) -> T) -> Result<T> {
        loop {
            let led = self.election.blocking_with(&*self.value, |lease| {
                self.begin(lease);
                work(lease)
            });
            match self.ended(led) {
                ControlFlow::Break(ended) => return ended,
                ControlFlow::Continue(pause) => block_on(self.election.env().sleep(pause))?,
            }
        }
    }

    /// Whether it leads at this instant. It reads the clock, and so is right in the first instruction after a pause. No I/O.
    pub fn is_leader(&self) -> bool {
        self.lease().is_some()
    }

    /// The lease of the leadership, with its fencing token, while it leads. No I/O.
    pub fn lease(&self) -> Option<Lease> {
        self.current().clone().filter(|lease| lease.check().is_ok())
    }

    /// The outcome of a leadership, or the pause after which it campaigns again.
    fn ended<T>(&self, led: Result<T>) -> ControlFlow<Result<T>, Duration> {
        let (error, pause) = match led {
            Err(error) if error.kind() == ErrorKind::Lost => (error, Duration::ZERO),
            Err(error) if error.is_transient() => (error, PAUSE),
            ended => return ControlFlow::Break(ended),
        };
        tracing::warn!(lock = %self.election.name(), %error, "campaigning again");
        ControlFlow::Continue(pause)
    }

    /// The lease ends before others can lead.
    fn begin(&self, lease: &Lease) {
        *self.current() = Some(lease.clone());
    }

    fn current(&self) -> MutexGuard<'_, Option<Lease>> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
