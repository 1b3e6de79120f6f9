//! [`Transport`]: carries a request to the database, on the caller's thread or by the worker thread.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use leasehold_core::{
    Env, Error, ErrorKind, Moment, Result,
    store_kit::{ClientState, Locked},
};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use crate::{
    error::from_sqlite,
    keys::DatabasePaths,
    schema,
    session::Sessions,
    txn::{AfterCommit, Txn, ensure_not_moved, has_moved, move_log},
    verbs,
    waiters::Waiters,
    worker::{Job, JobQueue, Task, Thread},
    write_lock::{WriteLock, sleep_1ms, timed_out},
};

/// The longest time that the worker keeps the write lock for this process before it lets others in.
const WRITE_TURN: Duration = Duration::from_millis(2);
/// The commits after which the log is moved into the database.
const COMMITS_PER_CHECKPOINT: u32 = 1000;
/// The pages of a log that is moved under the write lock: only a log that is moved completely starts anew.
const LOG_PAGES_MAX: i64 = 4000;
/// The tries of a read while the log is recovered after a crash.
const READ_TRIES: usize = 100;

/// Carries requests to the database.
///
/// The locks are taken in this order: `write_lock`, `connection`, all others; none of the others while another of them
/// is held.
#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) env: Env,
    pub(crate) paths: DatabasePaths,
    pub(crate) sessions: Sessions,
    pub(crate) waiters: Arc<Waiters>,
    /// The longest wait for the turn to write.
    timeout: Duration,
    write_lock: Locked<WriteLock>,
    connection: Locked<Option<Connection>>,
    queue: JobQueue,
    worker: Locked<Option<Thread>>,
    /// Commits since the log was last moved.
    commits: AtomicU32,
}

impl Transport {
    /// Requests to an open database.
    pub(crate) fn new(
        paths: DatabasePaths,
        sessions: Sessions,
        database: (Connection, WriteLock),
        env: Env,
        timeout: Duration,
    ) -> Transport {
        let (connection, write_lock) = database;
        Transport {
            env,
            paths,
            sessions,
            waiters: Arc::default(),
            timeout,
            write_lock: Locked::new(write_lock),
            connection: Locked::new(Some(connection)),
            queue: JobQueue::default(),
            worker: Locked::default(),
            commits: AtomicU32::new(0),
        }
    }

    /// Runs `work` in a transaction: on this thread if nobody is writing, else on the worker.
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

    /// Runs `work` in a transaction some time, without an answer.
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

    /// Runs `work` on this thread, unless that would mean to wait.
    fn execute_here<T>(
        self: &Arc<Self>,
        work: &mut dyn FnMut(&mut Txn<'_>) -> Result<T>,
    ) -> Option<Result<T>> {
        if !self.queue.is_empty() {
            return None;
        }
        let mut write_lock = self.write_lock.try_lock()?;
        let locked = match write_lock.try_lock() {
            Ok(locked) => locked?,
            Err(error) => return Some(Err(error)),
        };
        let answer = match self.connection.lock().as_ref() {
            Some(connection) => Txn::run(connection, &self.sessions, &self.env, work)?,
            None => Err(ClientState::closed_error()),
        };
        drop(locked);
        drop(write_lock);
        Some(answer.map(|(answer, after)| {
            self.deliver(after);
            answer
        }))
    }

    /// Hands `work` to the worker.
    fn enqueue<T: Send + 'static>(
        self: &Arc<Self>,
        begin: Option<oneshot::Sender<()>>,
        deadline: Moment,
        work: impl FnMut(&mut Txn<'_>) -> Result<T> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T>>> {
        self.ensure_worker()?;
        let (job, answer) = Job::new(begin, deadline, work);
        self.queue.push(job)?;
        Ok(answer)
    }

    /// Reads without the write lock: a stopped writer does not block readers.
    pub(crate) fn read<T>(&self, mut work: impl FnMut(&Connection) -> Result<T>) -> Result<T> {
        let connection = self.connection.lock();
        let connection = connection.as_ref().ok_or_else(ClientState::closed_error)?;
        for _ in 0..READ_TRIES {
            let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Deferred);
            let transaction = transaction.map_err(from_sqlite)?;
            match ensure_not_moved(connection).and_then(|()| work(connection)) {
                // The log is being recovered after a crash; that takes milliseconds.
                Err(error) if error.kind() == ErrorKind::TimedOut => drop(transaction),
                answer => return answer,
            }
            sleep_1ms();
        }
        Err(Error::new(ErrorKind::TimedOut, "the database cannot be read at the moment"))
    }

    /// Whether the path of the database names another file now. `false` when that cannot be known.
    pub(crate) fn has_moved(&self) -> bool {
        self.connection.lock().as_ref().is_some_and(|connection| has_moved(connection).unwrap_or(false))
    }

    /// Does the work due after a commit, when the write lock is free for those who are woken.
    fn deliver(self: &Arc<Self>, after: AfterCommit) {
        after.to_notify().for_each(|session| self.sessions.notify(session));
        after.topics.iter().for_each(|topic| self.waiters.wake(topic));
        after.reaped.iter().for_each(|&session| self.sessions.remove(session));
        let dead = after.to_reap();
        drop(after);
        dead.into_iter().for_each(|session| self.reap_later(session));
        if self.commits.fetch_add(1, Ordering::Relaxed) == COMMITS_PER_CHECKPOINT
            && self.ensure_worker().is_ok()
        {
            self.queue.request_checkpoint();
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
        loop {
            match self.queue.next() {
                Task::Jobs => self.serve(),
                Task::Checkpoint => self.checkpoint(&mut checkpointer),
                Task::Stop => return,
            }
        }
    }

    /// Waits for the write lock and runs the jobs that have come in the meantime.
    fn serve(self: &Arc<Self>) {
        let mut write_lock = self.write_lock.lock();
        let locked = match write_lock.lock() {
            Ok(locked) => locked,
            Err(error) => {
                tracing::error!(%error, "requests are dropped");
                // Their callers see the end of the channel.
                while self.queue.pop().is_some() {}
                return;
            }
        };
        let turn_ends = self.env.now() + WRITE_TURN;
        let mut done = Vec::new();
        while let Some(job) = self.queue.pop() {
            let Some(after) = self.serve_one(job) else { break };
            done.push(after);
            if self.env.now() >= turn_ends {
                break;
            }
        }
        drop(locked);
        drop(write_lock);
        done.into_iter().for_each(|after| self.deliver(after));
    }

    /// Runs one job; `None` after a pause when another program keeps the database locked.
    fn serve_one(&self, mut job: Job) -> Option<AfterCommit> {
        let connection = self.connection.lock();
        let Some(connection) = connection.as_ref() else { return Some(AfterCommit::default()) };
        let after = job.run(connection, &self.sessions, &self.env);
        if after.is_none() {
            if self.env.now() < job.deadline {
                self.queue.put_back(job);
            }
            sleep_1ms();
        }
        after
    }

    /// Moves the log into the database, on a connection of its own: most of it while others write, the rest under the
    /// write lock if the log grows faster than it is moved.
    fn checkpoint(&self, checkpointer: &mut Option<Connection>) {
        self.commits.store(0, Ordering::Relaxed);
        let moved = (|| {
            let connection = match checkpointer {
                Some(connection) => connection,
                None => checkpointer.insert(schema::connect(&self.paths)?),
            };
            if move_log(connection)? > LOG_PAGES_MAX {
                let mut write_lock = self.write_lock.lock();
                let _locked = write_lock.lock()?;
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
        self.queue.stop();
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
        self.write_lock.lock().close();
        let Some(connection) = self.connection.lock().take() else { return Ok(()) };
        schema::trim_log(&self.paths, &connection);
        connection.close().map_err(|(_, source)| from_sqlite(source))
    }
}
