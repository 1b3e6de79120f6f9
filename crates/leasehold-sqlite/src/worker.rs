//! [`JobQueue`]: the requests that wait for the worker thread, and the threads of a store.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Condvar, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use leasehold_core::{
    Env, Error, ErrorKind, Moment, Result,
    store_kit::{ClientState, Locked},
};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::{
    session::Sessions,
    txn::{AfterCommit, Txn},
};

/// The requests that may wait for the worker.
const JOBS_MAX: usize = 10_000;

/// A thread whose end can be awaited.
#[derive(Debug)]
pub(crate) struct Thread(JoinHandle<()>, oneshot::Receiver<()>);

impl Thread {
    /// Starts a thread.
    pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<Thread> {
        let (running, ended) = oneshot::channel::<()>();
        let spawned = std::thread::Builder::new().name(name.into()).spawn(move || {
            // Dropped at the end, also by a panic.
            let _running = running;
            body();
        });
        spawned.map(|handle| Thread(handle, ended)).map_err(|source| {
            Error::new(ErrorKind::Exhausted, format!("the thread {name} cannot be started: {source}"))
                .hint("raise the limit on threads (ulimit -u)")
        })
    }

    /// Waits for its end; `false` if it has not come by `deadline`.
    pub(crate) async fn join(self, env: &Env, deadline: Moment) -> bool {
        let Thread(handle, ended) = self;
        let is_ended = env.until(deadline, ended).await.is_some();
        if is_ended && handle.join().is_err() {
            tracing::error!("a thread of the store has panicked");
        }
        is_ended
    }
}

/// Runs a job; `None` when it could not begin. The last argument answers whether the caller still waits.
type Run =
    Box<dyn FnMut(&Connection, &Sessions, &Env, &mut dyn FnMut() -> bool) -> Option<AfterCommit> + Send>;

/// A request to the worker.
pub(crate) struct Job {
    /// Tells the caller that the job has begun. `None` after that, and for a job without a caller.
    begin: Option<oneshot::Sender<()>>,
    /// The time at which the caller gives up.
    pub(crate) deadline: Moment,
    run: Run,
}

impl Job {
    /// A job that runs `work` in a transaction, and the channel of its answer.
    pub(crate) fn new<T: Send + 'static>(
        begin: Option<oneshot::Sender<()>>,
        deadline: Moment,
        mut work: impl FnMut(&mut Txn<'_>) -> Result<T> + Send + 'static,
    ) -> (Job, oneshot::Receiver<Result<T>>) {
        let (sender, answer) = oneshot::channel();
        let mut sender = Some(sender);
        let run: Run = Box::new(move |connection, sessions, env, begin| {
            let mut begin_work =
                |txn: &mut Txn<'_>| if begin() { work(txn) } else { Err(ClientState::closed_error()) };
            let (answer, after) = match Txn::run(connection, sessions, env, &mut begin_work)? {
                Ok((answer, after)) => (Ok(answer), after),
                Err(error) => (Err(error), AfterCommit::default()),
            };
            // The caller may have gone.
            let _ = sender.take().map(|sender| sender.send(answer));
            Some(after)
        });
        (Job { begin, deadline, run }, answer)
    }

    /// Runs the job; `None` when another program is writing.
    pub(crate) fn run(
        &mut self,
        connection: &Connection,
        sessions: &Sessions,
        env: &Env,
    ) -> Option<AfterCommit> {
        let Job { begin, run, .. } = self;
        // A second try finds it begun.
        run(connection, sessions, env, &mut || begin.take().is_none_or(|begin| begin.send(()).is_ok()))
    }

    fn is_withdrawn(&self) -> bool {
        self.begin.as_ref().is_some_and(oneshot::Sender::is_closed)
    }
}

/// The requests that wait for the worker.
#[derive(Default)]
pub(crate) struct JobQueue {
    state: Locked<QueueState>,
    changed: Condvar,
    length: AtomicUsize,
}

#[derive(Default)]
struct QueueState {
    jobs: VecDeque<Job>,
    checkpoint: bool,
    stop: bool,
}

/// The next work of the worker.
pub(crate) enum Task {
    /// Requests wait.
    Jobs,
    /// The log has grown.
    Checkpoint,
    /// Nothing is left to do.
    Stop,
}

impl JobQueue {
    /// Whether no request waits, so that a newcomer overtakes none.
    pub(crate) fn is_empty(&self) -> bool {
        self.length.load(Ordering::Acquire) == 0
    }

    /// Adds a job.
    pub(crate) fn push(&self, job: Job) -> Result<()> {
        self.change(|state| {
            if state.jobs.len() >= JOBS_MAX {
                state.jobs.retain(|job| !job.is_withdrawn());
            }
            if state.jobs.len() >= JOBS_MAX {
                let message = format!("{JOBS_MAX} requests are waiting to be written already");
                return Err(Error::new(ErrorKind::Exhausted, message).hint("use fewer locks at a time"));
            }
            state.jobs.push_back(job);
            Ok(())
        })
    }

    /// Returns a job that could not begin.
    pub(crate) fn put_back(&self, job: Job) {
        self.change(|state| state.jobs.push_front(job));
    }

    /// The next job whose caller still waits.
    pub(crate) fn pop(&self) -> Option<Job> {
        self.change(|state| {
            while let Some(job) = state.jobs.pop_front() {
                if !job.is_withdrawn() {
                    return Some(job);
                }
            }
            None
        })
    }

    /// Requests a checkpoint.
    pub(crate) fn request_checkpoint(&self) {
        self.change(|state| state.checkpoint = true);
    }

    /// Lets the worker end when there is nothing left to do.
    pub(crate) fn stop(&self) {
        self.change(|state| state.stop = true);
    }

    /// Waits for work.
    pub(crate) fn next(&self) -> Task {
        let mut state = self.state.lock();
        loop {
            if !state.jobs.is_empty() {
                return Task::Jobs;
            }
            if std::mem::take(&mut state.checkpoint) {
                return Task::Checkpoint;
            }
            if state.stop {
                return Task::Stop;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut QueueState) -> T) -> T {
        let mut state = self.state.lock();
        let answer = change(&mut state);
        self.length.store(state.jobs.len(), Ordering::Release);
        self.changed.notify_one();
        answer
    }
}

impl fmt::Debug for JobQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobQueue({})", self.length.load(Ordering::Acquire))
    }
}
