//! [`Shared`]: what a store, its subscriptions and its threads share.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use leasehold_core::{Env, LockName, Result};
use rusqlite::Connection;
use tokio::sync::Notify;

use crate::{
    SqliteOptions,
    bells::Bells,
    desk::Calls,
    gate::{Gate, occupied},
    header::Opened,
    listener::Listener,
    place::Place,
    queue::Queue,
    refusal::of_sqlite,
    schema::{self, Database},
    session::{self, Session},
    verb, worker,
};

/// What a store, its subscriptions and its threads share.
///
/// Locks are taken in this order: `gate`, `connection`, all others; none of the others while another of them is held.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) env: Env,
    pub(crate) place: Place,
    /// How long a verb waits for its turn.
    pub(crate) timeout: Duration,
    pub(crate) gate: Mutex<Gate>,
    pub(crate) connection: Mutex<Option<Connection>>,
    opened: Mutex<Option<Opened>>,
    pub(crate) queue: Queue,
    pub(crate) bells: Bells,
    session: OnceLock<Session>,
    session_making: Mutex<()>,
    listener: Mutex<Option<Arc<Listener>>>,
    /// The threads that were started, which ring `ended` as their last act.
    pub(crate) worker: Mutex<Option<JoinHandle<()>>>,
    pub(crate) listening: Mutex<Option<JoinHandle<()>>>,
    pub(crate) ended: [Notify; 2],
    /// Commits since the log was last moved.
    pub(crate) commits: AtomicU32,
    closed: AtomicBool,
}

/// After so many commits the log is moved into the database.
const COMMITS_PER_CHECKPOINT: u32 = 1000;
/// How many dead sessions are swept up by one newcomer.
const SWEPT_MAX: usize = 64;
impl Shared {
    /// Around an open database.
    pub(crate) fn new(place: Place, database: Database, env: Env, options: &SqliteOptions) -> Self {
        Shared {
            env,
            place,
            timeout: options.timeout,
            gate: Mutex::new(database.gate),
            connection: Mutex::new(Some(database.connection)),
            opened: Mutex::new(Some(database.opened)),
            queue: Queue::default(),
            bells: Bells::default(),
            session: OnceLock::new(),
            session_making: Mutex::new(()),
            listener: Mutex::new(None),
            worker: Mutex::new(None),
            listening: Mutex::new(None),
            ended: Default::default(),
            commits: AtomicU32::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// Whether the store takes no verbs any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The session of this store, once it has one and until it leaves.
    pub(crate) fn session(&self) -> Option<u64> {
        self.session.get().filter(|session| session.is_open()).map(|session| session.number)
    }

    /// Lets no further claim be made; see [`Session::leave`].
    pub(crate) fn leave(&self) {
        if let Some(session) = self.session.get() {
            session.leave();
        }
    }

    /// Makes the session at its first use, so that those who only look leave no trace. Sweeps up after the dead.
    pub(crate) fn ensure_session(self: &Arc<Self>) -> Result<&Session> {
        if let Some(session) = self.session.get() {
            return Ok(session);
        }
        let making = lock(&self.session_making);
        if self.session.get().is_none() {
            let begun = Session::begin(&self.place, &self.env)?;
            self.session.get_or_init(|| begun);
            drop(making);
            for dead in session::dead(&self.place, SWEPT_MAX) {
                self.bury_later(dead);
            }
        }
        Ok(self.session.get().expect("it was made above, by us or by another thread"))
    }

    /// Starts to listen at the first subscription.
    pub(crate) fn ensure_listener(self: &Arc<Self>) -> Result<()> {
        let session = self.ensure_session()?;
        let mut listener = lock(&self.listener);
        if listener.is_none() {
            *listener = Some(Listener::start(self, session.path())?);
        }
        Ok(())
    }

    /// Hears of the end of another session from now on, if anybody here waits at all.
    pub(crate) fn listen(&self, session: u64) {
        let listener = lock(&self.listener).clone();
        if let Some(listener) = listener {
            listener.watch(session, &session::path_of(&self.place, session));
        }
    }

    /// The same for a lock that is watched for changes: whoever watches looks again after each change, and so hears
    /// of the end of every holder.
    pub(crate) fn listen_if_watched(&self, name: &LockName, session: u64) {
        if Some(session) != self.session() && self.bells.watches(name) {
            self.listen(session);
        }
    }

    /// Does what follows from a transaction that was committed, after the gate was opened for those who are called.
    pub(crate) fn deliver(self: &Arc<Self>, calls: Calls) {
        calls.touched().for_each(|session| session::touch(&self.place, session));
        calls.turns.iter().for_each(|&id| self.bells.ring_turn(id));
        calls.changes.iter().for_each(|name| self.bells.ring_changes(name));
        for &session in &calls.buried {
            session::remove(&session::path_of(&self.place, session));
        }
        let dead: Vec<_> = calls.dead().filter(|session| !calls.buried.contains(session)).collect();
        drop(calls);
        dead.into_iter().for_each(|session| self.bury_later(session));
        if self.commits.fetch_add(1, Ordering::Relaxed) == COMMITS_PER_CHECKPOINT
            && worker::ensure(self).is_ok()
        {
            self.queue.ask_checkpoint();
        }
    }

    /// Ends everything that lives by the session of a dead process, and removes its file.
    pub(crate) fn bury_later(self: &Arc<Self>, session: u64) {
        self.perform_later(move |desk| verb::bury(desk, session));
    }

    /// Stops watching a lock for changes, unless somebody here watches it again.
    pub(crate) fn unwatch_later(self: &Arc<Self>, name: LockName) {
        if !self.is_closed() {
            let shared = Arc::downgrade(self);
            self.perform_later(move |desk| {
                let watched = shared.upgrade().is_some_and(|shared| shared.bells.watches(&name));
                if watched { Ok(()) } else { verb::unwatch(desk, &name) }
            });
        }
    }

    /// Takes no verbs any more; answers whether this was the first to say so.
    pub(crate) fn shut(&self) -> bool {
        let first = !self.closed.swap(true, Ordering::AcqRel);
        self.bells.ring_all();
        first
    }

    /// Gives back the session: ends what lives by it, then removes it. Answers once that was tried.
    pub(crate) async fn end_session(self: &Arc<Self>) -> Result<()> {
        let Some(session) = self.session.get() else { return Ok(()) };
        let number = session.number;
        let ended = self.perform_always(move |desk| verb::leave(desk, number)).await;
        match ended {
            Ok(()) => session.end(),
            Err(_) => session.abandon(),
        }
        ended
    }

    /// Gives back the session in the background, for a store that was dropped without being closed.
    pub(crate) fn end_session_later(self: &Arc<Self>) {
        if let Some(session) = self.session.get() {
            let (number, shared) = (session.number, Arc::downgrade(self));
            self.perform_later(move |desk| {
                verb::leave(desk, number).inspect(|()| {
                    if let Some(session) = shared.upgrade().as_ref().and_then(|shared| shared.session.get()) {
                        session.end();
                    }
                })
            });
        }
        self.stop_threads();
    }

    fn stop_threads(&self) {
        self.queue.stop();
        if let Some(listener) = lock(&self.listener).take() {
            listener.stop();
        }
    }

    /// Ends the threads and closes the files.
    pub(crate) async fn end(&self) -> Result<()> {
        self.stop_threads();
        let deadline = self.env.now() + self.timeout;
        for (thread, ended) in [&self.listening, &self.worker].into_iter().zip(&self.ended) {
            let Some(thread) = lock(thread).take() else { continue };
            if self.env.until(deadline, ended.notified()).await.is_none() {
                return Err(occupied(&self.place).elapsed(self.timeout));
            }
            // It has nothing left to do but to end.
            if thread.join().is_err() {
                tracing::error!("a thread of the store has panicked");
            }
        }
        lock(&self.gate).close();
        let closed = match lock(&self.connection).take() {
            Some(connection) => {
                schema::trim_log(&self.place, &connection);
                connection.close().map_err(|(_, source)| of_sqlite(source))
            }
            None => Ok(()),
        };
        *lock(&self.opened) = None;
        closed
    }
}

/// Locks a mutex; a panic of another thread while it held it has left nothing half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
