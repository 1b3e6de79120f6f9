//! [`Request`]: a transaction that is asked for, and who runs it.

use std::sync::{Arc, TryLockError};

use leasehold_core::{Error, ErrorKind, Moment, Result};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::{
    desk::{Calls, Desk},
    gate::occupied,
    queue::{Job, Ticket},
    refusal,
    shared::{Shared, lock},
    transaction::Attempt,
    worker,
};

impl Shared {
    /// Runs a request in a transaction: on this thread if nobody is writing, else by the worker.
    ///
    /// # Cancel safety
    /// Dropped before it has begun, the request is never run; dropped later, it runs to its end.
    pub(crate) async fn perform<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnMut(&mut Desk<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.is_closed() { Err(refusal::closed()) } else { self.perform_always(work).await }
    }

    /// The same, also for a store that is closing.
    pub(crate) async fn perform_always<T: Send + 'static>(
        self: &Arc<Self>,
        mut work: impl FnMut(&mut Desk<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if let Some(answer) = self.perform_here(&mut work) {
            return answer;
        }
        let deadline = self.env.now() + self.timeout;
        let (request, answer) = Request::send(self, deadline, work)?;
        match self.env.until(deadline, answer).await {
            Some(Ok(answer)) => answer,
            Some(Err(_)) => Err(refusal::closed().unknown()),
            None if request.withdraw() => Err(occupied(&self.place).elapsed(self.timeout)),
            None => Err(Error::new(ErrorKind::TimedOut, "the transaction has begun and does not end")
                .elapsed(self.timeout)
                .unknown()
                .hint("the disk may be stuck: see the system log")),
        }
    }

    /// Runs a request on this thread, unless that would mean to wait.
    fn perform_here<T>(
        self: &Arc<Self>,
        work: &mut dyn FnMut(&mut Desk<'_>) -> Result<T>,
    ) -> Option<Result<T>> {
        if !self.queue.is_empty() {
            return None;
        }
        let mut gate = match self.gate.try_lock() {
            Ok(gate) => gate,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let pass = match gate.try_enter() {
            Ok(pass) => pass?,
            Err(error) => return Some(Err(error)),
        };
        let attempt = match lock(&self.connection).as_ref() {
            Some(connection) => self.transact(connection, work),
            None => Attempt::Done(Err(refusal::closed()), Calls::default()),
        };
        drop(pass);
        drop(gate);
        match attempt {
            Attempt::Busy => None,
            Attempt::Done(answer, calls) => {
                self.deliver(calls);
                Some(answer)
            }
        }
    }

    /// Runs a request at some time, whoever can.
    pub(crate) fn perform_later(
        self: &Arc<Self>,
        mut work: impl FnMut(&mut Desk<'_>) -> Result<()> + Send + 'static,
    ) {
        let told = |error: &Error| tracing::debug!(%error, "left to others to clean up");
        if let Some(answer) = self.perform_here(&mut work) {
            return answer.unwrap_or_else(|error| told(&error));
        }
        // Nobody waits for the answer.
        match Request::send(self, self.env.now() + self.timeout, work) {
            Ok((request, _)) => request.detach(),
            Err(error) => told(&error),
        }
    }
}

/// A request that is on its way to the worker; taken back when this is dropped.
struct Request {
    shared: Arc<Shared>,
    ticket: Option<Arc<Ticket>>,
}

impl Request {
    /// Hands a request to the worker.
    fn send<T: Send + 'static>(
        shared: &Arc<Shared>,
        deadline: Moment,
        mut work: impl FnMut(&mut Desk<'_>) -> Result<T> + Send + 'static,
    ) -> Result<(Request, oneshot::Receiver<Result<T>>)> {
        let (sender, answer) = oneshot::channel();
        let ticket = Arc::<Ticket>::default();
        let (mine, mut sender) = (ticket.clone(), Some(sender));
        let run = move |shared: &Shared, connection: &Connection| {
            let mut begin =
                |desk: &mut Desk<'_>| if mine.begin() { work(desk) } else { Err(refusal::closed()) };
            match shared.transact(connection, &mut begin) {
                Attempt::Busy => Attempt::Busy,
                Attempt::Done(answer, calls) => {
                    // Nobody may be there to hear it: a fire-and-forget request, or a caller that gave up.
                    let _ = sender.take().map(|sender| sender.send(answer));
                    Attempt::Done((), calls)
                }
            }
        };
        worker::ensure(shared)?;
        shared.queue.push(Job { ticket: ticket.clone(), deadline, run: Box::new(run) })?;
        Ok((Request { shared: shared.clone(), ticket: Some(ticket) }, answer))
    }

    /// Takes it back; `false` when it has begun.
    fn withdraw(&self) -> bool {
        self.ticket.as_ref().is_none_or(|ticket| self.shared.queue.withdraw(ticket))
    }

    /// Lets it run even though nobody waits for it.
    fn detach(mut self) {
        self.ticket = None;
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.withdraw();
    }
}
