//! [`SqliteClient`]: the life of one store instance, from its first claim to its end.

use std::{path::Path, sync::Arc};

use leasehold_core::{
    Env, LockName, Result,
    store_kit::{ClientState, Locked, Topic},
};

use crate::{
    SqliteOptions,
    transport::Transport,
    verbs,
    waiters::{WaitSubscription, wake, woken},
    watcher::{Events, Thread, Watcher},
};

/// One store instance: its requests, its session, its watching thread.
pub(crate) struct SqliteClient {
    pub(crate) transport: Arc<Transport>,
    pub(crate) state: ClientState,
    watching: Locked<Option<Thread>>,
}

/// The dead sessions that one new session ends.
const REAPED_MAX: usize = 64;

impl SqliteClient {
    pub(crate) fn open(path: &Path, env: Env, options: SqliteOptions) -> Result<SqliteClient> {
        let transport = Arc::new(Transport::open(path, env, options)?);
        Ok(SqliteClient { transport, state: ClientState::default(), watching: Locked::default() })
    }

    /// Makes the session at its first use, so that read-only use leaves no file; then ends what dead sessions have left.
    pub(crate) fn ensure_session(&self) -> Result<()> {
        let transport = &self.transport;
        if transport.sessions.open(&transport.env)? {
            transport.sessions.dead(REAPED_MAX).into_iter().for_each(|dead| transport.reap_later(dead));
        }
        Ok(())
    }

    /// Subscribes to a topic. The first subscription starts the watching thread.
    pub(crate) async fn subscribe(self: &Arc<Self>, topic: Topic) -> Result<WaitSubscription> {
        self.ensure_session()?;
        self.ensure_watcher()?;
        let client = self.clone();
        let subscription = self.transport.waiters.subscribe(topic.clone()).when_last_ends(move |topic| {
            if let Topic::Changes(name) = topic {
                client.unwatch_later(name);
            }
        });
        if let Topic::Changes(name) = topic {
            self.transport.execute(move |txn| verbs::watch(txn, &name)).await?;
        }
        Ok(subscription)
    }

    /// Ends the subscription of this session to a lock, unless a newer one of this process needs it.
    fn unwatch_later(&self, name: LockName) {
        if !self.state.is_closed() {
            let waiters = self.transport.waiters.clone();
            self.transport.execute_later(move |txn| {
                if waiters.has(&Topic::Changes(name.clone())) { Ok(()) } else { verbs::unwatch(txn, &name) }
            });
        }
    }

    fn ensure_watcher(&self) -> Result<()> {
        let mut watching = self.watching.lock();
        if watching.is_none()
            && let Some(own) = self.transport.sessions.own()
        {
            let watcher = Arc::new(Watcher::new(&self.transport.paths.session(own))?);
            let (transport, running) = (self.transport.clone(), watcher.clone());
            // A thread of its own because it blocks in poll(2), on whatever runtime the callers are.
            let watch = move || running.run(|events| handle(&transport, events));
            *watching = Some(Thread::spawn("leasehold-inotify", watch)?);
            self.transport.sessions.set_watcher(Some(watcher));
        }
        Ok(())
    }

    /// Ends what is held, removes the session, ends the threads and closes the files.
    pub(crate) async fn close(&self) -> Result<()> {
        if !self.shut() {
            return Ok(());
        }
        let sessions = &self.transport.sessions;
        let ended = match sessions.own() {
            Some(_) => self.transport.execute(verbs::end_own_session).await,
            None => Ok(()),
        };
        sessions.close(ended.is_ok());
        self.stop_threads();
        let watching = self.watching.lock().take();
        ended.and(self.transport.close(watching).await)
    }

    /// The same in the background, for a store that was dropped without being closed.
    pub(crate) fn close_later(&self) {
        if !self.shut() {
            return;
        }
        if self.transport.sessions.own().is_some() {
            let transport = Arc::downgrade(&self.transport);
            self.transport.execute_later(move |txn| {
                verbs::end_own_session(txn).inspect(|()| {
                    if let Some(transport) = transport.upgrade() {
                        transport.sessions.close(true);
                    }
                })
            });
        }
        self.stop_threads();
    }

    /// Ends new requests and all subscriptions; `true` for the first call.
    fn shut(&self) -> bool {
        let first = self.state.close();
        self.transport.waiters.close(&ClientState::closed_error());
        first
    }

    fn stop_threads(&self) {
        self.transport.stop();
        if let Some(watcher) = self.transport.sessions.set_watcher(None) {
            watcher.stop();
        }
    }
}

/// Wakes the waiters that other processes have marked, and ends the sessions of dead processes.
fn handle(transport: &Arc<Transport>, events: Events) {
    if events.notified
        && let Some(session) = transport.sessions.own()
    {
        match transport.read(|txn| woken(txn, session)) {
            Ok(woken) => woken.iter().for_each(|(topic, count)| wake(&transport.waiters, topic, *count)),
            Err(error) => {
                tracing::debug!(%error, "all waiters are woken, because the marked ones cannot be read");
                transport.waiters.wake_all();
            }
        }
    }
    for session in events.closed {
        if transport.sessions.has_ended(session) {
            transport.reap_later(session);
        }
    }
}
