//! [`Transport`]: carries a request to the database, on the caller's thread or by the worker thread.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Condvar, PoisonError},
    time::Duration,
};

use leasehold_core::{
    Env, Error, ErrorKind, Moment, Result, Revalidations,
    store_kit::{ClientState, Locked},
};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::{
    capability::CAPABILITY,
    connection::{self, Database, connect},
    keys::DatabasePaths,
    options::SqliteOptions,
    platform::Thread,
    server_info::BootId,
    session::{Liveness, Sessions},
    txn::{AfterCommit, CheckedSession, READ, Txn, WRITE, has_moved, move_log},
    verbs,
    waiters::Waiters,
    write_lock::{WriteLock, sleep_1ms, timed_out},
};

const JOBS_MAX: usize = 10_000;
/// The longest time that the worker keeps the write lock for this process before it lets others in.
const WRITE_TURN: Duration = Duration::from_millis(2);
/// The commits after which the log is moved into the database.
const COMMITS_PER_CHECKPOINT: u32 = 1000;
/// The pages of a log that is moved under the write lock: only a log that is moved completely starts anew.
const LOG_PAGES_MAX: i64 = 4000;
/// The tries of a read while the log is recovered after a crash.
const READ_TRIES: usize = 100;
/// The tries of a read while sessions end: the rows of a session whose file was removed by hand stay.
const STALE_READS_MAX: usize = 3;

/// Carries requests to the database.
///
/// The locks are taken in this order: `write_lock`, `database`, all others; none of the others while another of them
/// is held.
pub(crate) struct Transport {
    pub(crate) env: Env,
    pub(crate) paths: DatabasePaths,
    pub(crate) sessions: Sessions,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) state: ClientState,
    /// The longest wait for the turn to write.
    timeout: Duration,
    /// `None` when it is closed, as the database is.
    write_lock: Locked<Option<WriteLock>>,
    database: Locked<Option<Database>>,
    queue: Locked<Queue>,
    queue_changed: Condvar,
    worker: Locked<Option<Thread>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Commits since the log was last moved.
    commits: u32,
    /// The worker ends when there is nothing left to do.
    stop: bool,
}

/// A request to the worker.
struct Job {
    begin: Begin,
    /// The time at which the caller gives up.
    deadline: Moment,
    run: Run,
}

/// Tells the caller that the job has begun. `None` after that, and for a job without a caller.
type Begin = Option<oneshot::Sender<()>>;
/// Runs a job; `None` when another program is writing.
type Run = Box<dyn FnMut(&Transport, &mut Begin) -> Option<AfterCommit> + Send>;

impl Job {
    /// Whether its caller has gone before it began.
    fn is_withdrawn(&self) -> bool {
        self.begin.as_ref().is_some_and(oneshot::Sender::is_closed)
    }
}

impl Transport {
    pub(crate) fn open(path: &Path, url: &str, env: Env, options: SqliteOptions) -> Result<Transport> {
        let paths = DatabasePaths::resolve(path, options.create_directories)?;
        let boot = BootId::current(options.boot_id)?;
        let sessions = Sessions::new(paths.clone());
        let deadline = env.now() + options.timeout;
        let (database, write_lock) = connection::open(&paths, &boot, &env, &sessions, deadline)?;
        Ok(Transport {
            env,
            paths,
            sessions,
            waiters: Arc::default(),
            state: ClientState::new(CAPABILITY, url, Revalidations::default()),
            timeout: options.timeout,
            write_lock: Locked::new(Some(write_lock)),
            database: Locked::new(Some(database)),
            queue: Locked::default(),
            queue_changed: Condvar::new(),
            worker: Locked::default(),
        })
    }

    /// Runs `work` in a write transaction: on this thread if nobody is writing, else on the worker.
    ///
    /// # Cancel safety
    /// Dropped before it has begun, `work` is never run; dropped later, it runs to its end.
    pub(crate) async fn execute<T: Send + 'static>(
        self: &Arc<Self>,
        mut work: impl FnMut(&mut Txn<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if let Some(answer) = self.execute_here(&mut work) {
            return answer;
        }
        let deadline = self.env.now() + self.timeout;
        // A message in `begun` excludes its end: the job sends it when it begins, and does not begin after this end.
        let (begin, mut begun) = oneshot::channel();
        let answer = self.enqueue(Some(begin), deadline, work)?;
        match self.env.until(deadline, answer).await {
            Some(Ok(answer)) => return answer,
            Some(Err(_)) => return Err(ClientState::closed_error().unknown()),
            None => begun.close(),
        }
        Err(match begun.try_recv() {
            Err(_) => timed_out(&self.paths).elapsed(self.timeout),
            Ok(()) => Error::new(ErrorKind::TimedOut, "the transaction has begun and does not end")
                .elapsed(self.timeout)
                .unknown()
                .hint("the disk may be stuck: see the system log"),
        })
    }

    /// Runs `work` in a write transaction some time, without an answer.
    pub(crate) fn execute_later(
        self: &Arc<Self>,
        mut work: impl FnMut(&mut Txn<'_>) -> Result<()> + Send + 'static,
    ) {
        let done = match self.execute_here(&mut work) {
            Some(answer) => answer,
            None => self.enqueue(None, self.env.now() + self.timeout, work).map(drop),
        };
        if let Err(error) = done {
            tracing::debug!(%error, "the cleanup is left to others");
        }
    }

    /// Ends everything bound to the session of a dead process some time, and removes its file.
    pub(crate) fn reap_later(self: &Arc<Self>, session: u64) {
        self.execute_later(move |txn| verbs::reap(txn, session));
    }

    /// Runs `work` on this thread, unless that would mean to wait or to overtake another request.
    fn execute_here<T>(
        self: &Arc<Self>,
        work: &mut dyn FnMut(&mut Txn<'_>) -> Result<T>,
    ) -> Option<Result<T>> {
        if !self.queue.lock().jobs.is_empty() {
            return None;
        }
        let write_lock = self.write_lock.try_lock()?;
        let locked = match write_lock.as_ref().map(WriteLock::try_lock) {
            Some(Ok(locked)) => locked?,
            Some(Err(error)) => return Some(Err(error)),
            None => return Some(Err(ClientState::closed_error())),
        };
        let answer = self.run(WRITE, work);
        drop(locked);
        drop(write_lock);
        match answer {
            // Another program, which does not use the write lock, is writing.
            Err(error) if error.kind() == ErrorKind::TimedOut => None,
            Err(error) => Some(Err(error)),
            Ok((answer, after)) => {
                self.deliver(after);
                Some(Ok(answer))
            }
        }
    }

    /// Runs `work` in a transaction on this thread. The caller of one that writes has the write lock.
    fn run<T>(
        &self,
        begin: &str,
        work: &mut dyn FnMut(&mut Txn<'_>) -> Result<T>,
    ) -> Result<(T, AfterCommit)> {
        let database = self.database.lock();
        let connection = &database.as_ref().ok_or_else(ClientState::closed_error)?.connection;
        Txn::run(begin, connection, &self.sessions, &self.env, work)
    }

    fn enqueue<T: Send + 'static>(
        self: &Arc<Self>,
        begin: Begin,
        deadline: Moment,
        work: impl FnMut(&mut Txn<'_>) -> Result<T> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T>>> {
        self.ensure_worker()?;
        let (sender, answer) = oneshot::channel();
        let run = run(work, sender);
        let mut queue = self.queue.lock();
        if queue.jobs.len() >= JOBS_MAX {
            queue.jobs.retain(|job| !job.is_withdrawn());
        }
        if queue.jobs.len() >= JOBS_MAX {
            let message = format!("{JOBS_MAX} requests are waiting to be written already");
            return Err(Error::new(ErrorKind::Exhausted, message).hint("use fewer locks at a time"));
        }
        queue.jobs.push_back(Job { begin, deadline, run });
        self.queue_changed.notify_one();
        Ok(answer)
    }

    /// Reads in a transaction without the write lock: a stopped writer does not block readers. It is read again when
    /// sessions have ended in the meantime.
    pub(crate) fn read<T>(&self, mut work: impl FnMut(&mut Txn<'_>) -> Result<T>) -> Result<T> {
        // Mostly because its rows were deleted since the transaction began, so that a new one will not see them.
        let is_missing = |session: &CheckedSession| session.liveness == Liveness::Missing;
        for attempt in 1..=READ_TRIES {
            match self.run(READ, &mut work) {
                // The log is being recovered after a crash; that takes milliseconds.
                Err(error) if error.kind() == ErrorKind::TimedOut => sleep_1ms(),
                Ok((_, after)) if attempt < STALE_READS_MAX && after.checked.iter().any(is_missing) => {}
                answer => return answer.map(|(answer, _)| answer),
            }
        }
        Err(Error::new(ErrorKind::TimedOut, "the database cannot be read at the moment"))
    }

    /// Whether the path of the database names another file now. `false` when that cannot be known.
    pub(crate) fn has_moved(&self) -> bool {
        let database = self.database.lock();
        database.as_ref().is_some_and(|database| has_moved(&database.connection).unwrap_or(false))
    }

    /// Does the work due after a commit, when the write lock is free for those who are woken.
    fn deliver(self: &Arc<Self>, after: AfterCommit) {
        let AfterCommit { topics, reaped, checked } = after;
        let to_notify = checked.iter().filter(|session| session.notify);
        to_notify.for_each(|session| self.sessions.notify(session.number));
        topics.iter().for_each(|topic| self.waiters.wake(topic));
        reaped.iter().for_each(|&session| self.sessions.remove(session));
        // Dead sessions whose rows are still there. Their files must be unlocked first.
        let mut dead: Vec<_> =
            checked.into_iter().filter(|it| it.liveness == Liveness::Dead).map(|it| it.number).collect();
        dead.retain(|session| !reaped.contains(session));
        dead.into_iter().for_each(|session| self.reap_later(session));
        let mut queue = self.queue.lock();
        queue.commits += 1;
        if queue.commits >= COMMITS_PER_CHECKPOINT {
            drop(queue);
            // Without a thread for it, the log goes on growing.
            let _ = self.ensure_worker();
            self.queue_changed.notify_one();
        }
    }

    fn ensure_worker(self: &Arc<Self>) -> Result<()> {
        let mut worker = self.worker.lock();
        if worker.is_none() {
            let transport = self.clone();
            // A thread of its own because it blocks in flock(2), which would stop all tasks of a runtime.
            *worker = Some(Thread::spawn("leasehold-sqlite", move || transport.work())?);
        }
        Ok(())
    }

    fn work(self: &Arc<Self>) {
        let mut checkpointer = None;
        let mut queue = self.queue.lock();
        loop {
            if !queue.jobs.is_empty() {
                drop(queue);
                self.serve();
            } else if queue.commits >= COMMITS_PER_CHECKPOINT {
                queue.commits = 0;
                drop(queue);
                self.checkpoint(&mut checkpointer);
            } else if queue.stop {
                return;
            } else {
                queue = self.queue_changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            queue = self.queue.lock();
        }
    }

    /// Waits for the write lock and runs the jobs that have come in the meantime.
    fn serve(self: &Arc<Self>) {
        let write_lock = self.write_lock.lock();
        let locked = match write_lock.as_ref().ok_or_else(ClientState::closed_error).and_then(WriteLock::lock)
        {
            Ok(locked) => locked,
            Err(error) => {
                tracing::error!(%error, "requests are dropped");
                // Their callers see the end of the channel.
                self.queue.lock().jobs.clear();
                return;
            }
        };
        let turn_ends = self.env.now() + WRITE_TURN;
        let mut done = Vec::new();
        while self.serve_one(&mut done) && self.env.now() < turn_ends {}
        drop(locked);
        drop(write_lock);
        done.into_iter().for_each(|after| self.deliver(after));
    }

    /// Runs the next job whose caller still waits. `false` when there is none, and after a pause when another program
    /// keeps the database locked.
    fn serve_one(&self, done: &mut Vec<AfterCommit>) -> bool {
        let Some(mut job) = self.queue.lock().jobs.pop_front() else { return false };
        if job.is_withdrawn() {
            return true;
        }
        let Some(after) = (job.run)(self, &mut job.begin) else {
            if self.env.now() < job.deadline {
                self.queue.lock().jobs.push_front(job);
            }
            sleep_1ms();
            return false;
        };
        done.push(after);
        true
    }

    /// Moves the log into the database, on a connection of its own: most of it while others write, the rest under the
    /// write lock if the log grows faster than it is moved.
    fn checkpoint(&self, checkpointer: &mut Option<Connection>) {
        let moved = (|| {
            let connection = match checkpointer {
                Some(connection) => connection,
                None => checkpointer.insert(connect(&self.paths)?),
            };
            if move_log(connection)? > LOG_PAGES_MAX {
                let write_lock = self.write_lock.lock();
                let _locked = write_lock.as_ref().map(WriteLock::lock).transpose()?;
                move_log(connection)?;
            }
            Ok::<_, Error>(())
        })();
        if let Err(error) = moved {
            tracing::warn!(%error, "the log of the database could not be moved; it goes on growing");
            *checkpointer = None;
        }
    }

    /// Lets the worker end once its queue is empty.
    pub(crate) fn stop(&self) {
        self.queue.lock().stop = true;
        self.queue_changed.notify_one();
    }

    /// Waits for the worker, and for another thread if there is one, then closes the files.
    pub(crate) async fn close(&self, other: Option<Thread>) -> Result<()> {
        let deadline = self.env.now() + self.timeout;
        let worker = self.worker.lock().take();
        for thread in [other, worker].into_iter().flatten() {
            if !thread.join(&self.env, deadline).await {
                return Err(timed_out(&self.paths).elapsed(self.timeout));
            }
        }
        *self.write_lock.lock() = None;
        let database = self.database.lock().take();
        database.map_or(Ok(()), |database| database.close(&self.paths))
    }
}

/// Runs `work` in a transaction and sends its answer.
fn run<T: Send + 'static>(
    mut work: impl FnMut(&mut Txn<'_>) -> Result<T> + Send + 'static,
    answer: oneshot::Sender<Result<T>>,
) -> Run {
    let mut answer = Some(answer);
    Box::new(move |transport, begin| {
        let mut work = |txn: &mut Txn<'_>| {
            let is_awaited = begin.take().is_none_or(|begin| begin.send(()).is_ok());
            if is_awaited { work(txn) } else { Err(ClientState::closed_error()) }
        };
        let (done, after) = match transport.run(WRITE, &mut work) {
            Err(error) if error.kind() == ErrorKind::TimedOut => return None,
            Err(error) => (Err(error), AfterCommit::default()),
            Ok((done, after)) => (Ok(done), after),
        };
        // The caller may have gone.
        let _ = answer.take().map(|answer| answer.send(done));
        Some(after)
    })
}
