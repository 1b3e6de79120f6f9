//! [`Queue`]: the requests of this process that could not be run at once.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
};

use leasehold_core::{Error, ErrorKind, Moment, Result};
use rusqlite::Connection;

use crate::{
    shared::{Shared, lock},
    transaction::Attempt,
};

/// Runs the request; [`Attempt::Busy`] when it could not begin.
pub(crate) type Run = Box<dyn FnMut(&Shared, &Connection) -> Attempt<()> + Send>;

/// A request.
pub(crate) struct Job {
    /// Whether it may still begin.
    pub(crate) ticket: Arc<Ticket>,
    /// When nobody waits for its answer any more.
    pub(crate) deadline: Moment,
    /// What it does.
    pub(crate) run: Run,
}

/// Whether a request may still begin. Begun and withdrawn exclude each other.
#[derive(Default, Debug)]
pub(crate) struct Ticket(AtomicU8);

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Ticket {
    /// Begins it; `false` when it was withdrawn. Beginning again, after a failure that changed nothing, is allowed.
    pub(crate) fn begin(&self) -> bool {
        self.0.compare_exchange(WAITING, BEGUN, Ordering::AcqRel, Ordering::Acquire) != Err(WITHDRAWN)
    }

    fn withdraw(&self) -> bool {
        self.0.compare_exchange(WAITING, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire) != Err(BEGUN)
    }

    fn is_withdrawn(&self) -> bool {
        self.0.load(Ordering::Acquire) == WITHDRAWN
    }
}

/// The requests of this process that could not be run at once.
#[derive(Default)]
pub(crate) struct Queue {
    inside: Mutex<Inside>,
    news: Condvar,
    length: AtomicUsize,
}

#[derive(Default)]
struct Inside {
    jobs: VecDeque<Job>,
    checkpoint: bool,
    stop: bool,
}

/// What the worker is to do next.
pub(crate) enum Task {
    /// There are requests.
    Jobs,
    /// The log has grown.
    Checkpoint,
    /// Nothing any more.
    Stop,
}

/// More requests than this are refused.
const JOBS_MAX: usize = 10_000;

impl Queue {
    /// Whether nobody waits, so that a newcomer overtakes nobody.
    pub(crate) fn is_empty(&self) -> bool {
        self.length.load(Ordering::Acquire) == 0
    }

    /// Adds a request.
    pub(crate) fn push(&self, job: Job) -> Result<()> {
        let mut inside = lock(&self.inside);
        if inside.jobs.len() >= JOBS_MAX {
            let message = format!("{JOBS_MAX} requests are waiting to be written already");
            return Err(Error::new(ErrorKind::Exhausted, message).hint("use fewer locks at a time"));
        }
        inside.jobs.push_back(job);
        self.changed(&inside);
        Ok(())
    }

    /// Puts a request back that could not begin.
    pub(crate) fn put_back(&self, job: Job) {
        let mut inside = lock(&self.inside);
        inside.jobs.push_front(job);
        self.changed(&inside);
    }

    /// The next request that was not withdrawn.
    pub(crate) fn pop(&self) -> Option<Job> {
        let mut inside = lock(&self.inside);
        let job = loop {
            match inside.jobs.pop_front() {
                Some(job) if job.ticket.is_withdrawn() => {}
                other => break other,
            }
        };
        self.changed(&inside);
        job
    }

    /// Takes a request back; `false` when it has begun.
    pub(crate) fn withdraw(&self, ticket: &Arc<Ticket>) -> bool {
        let withdrawn = ticket.withdraw();
        if withdrawn {
            let mut inside = lock(&self.inside);
            inside.jobs.retain(|job| !Arc::ptr_eq(&job.ticket, ticket));
            self.changed(&inside);
        }
        withdrawn
    }

    /// Asks for a checkpoint.
    pub(crate) fn ask_checkpoint(&self) {
        let mut inside = lock(&self.inside);
        inside.checkpoint = true;
        self.changed(&inside);
    }

    /// Lets the worker end once nothing is left to do.
    pub(crate) fn stop(&self) {
        let mut inside = lock(&self.inside);
        inside.stop = true;
        self.changed(&inside);
    }

    /// Waits for something to do.
    pub(crate) fn next(&self) -> Task {
        let mut inside = lock(&self.inside);
        loop {
            if !inside.jobs.is_empty() {
                return Task::Jobs;
            }
            if std::mem::take(&mut inside.checkpoint) {
                return Task::Checkpoint;
            }
            if inside.stop {
                return Task::Stop;
            }
            inside = self.news.wait(inside).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn changed(&self, inside: &Inside) {
        self.length.store(inside.jobs.len(), Ordering::Release);
        self.news.notify_one();
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Queue({})", self.length.load(Ordering::Acquire))
    }
}
