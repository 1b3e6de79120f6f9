//! [`SessionManager`]: the one session of a client, and the next one when it has ended.

use std::{
    collections::BTreeSet,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use leasehold_core::{Env, Error, ErrorKind, Moment, Result, Revalidations};
use tokio::sync::Mutex as AsyncMutex;
use zookeeper_client::{Acl, Acls, Client, SessionState, StateWatcher};

use crate::{
    error::{Effect, ServerError, error},
    nodelay,
    options::ZooKeeperOptions,
    transport,
    waiters::Waiters,
};

/// After how long without an answer a connection is given up for another one, at most.
const SILENCE_MAX: Duration = Duration::from_secs(4);

/// A session that lived when it was asked for.
#[derive(Debug)]
pub(crate) struct LiveSession {
    pub(crate) client: Client,
    /// What the owner of an ephemeral node is called.
    pub(crate) session: i64,
    /// For how long the servers keep it without news.
    pub(crate) lasts: Duration,
}

/// The session of a client.
#[derive(Debug)]
pub(crate) struct SessionManager {
    pub(crate) options: ZooKeeperOptions,
    env: Env,
    pub(crate) revalidations: Revalidations,
    pub(crate) bells: Arc<Waiters>,
    live: Mutex<Option<Arc<LiveSession>>>,
    connecting: AsyncMutex<()>,
    closed: AtomicBool,
}

impl SessionManager {
    pub(crate) fn new(options: ZooKeeperOptions, env: Env) -> SessionManager {
        SessionManager {
            options,
            env,
            revalidations: Revalidations::default(),
            bells: Arc::default(),
            live: Mutex::default(),
            connecting: AsyncMutex::default(),
            closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn refuse_closed(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, "this client is closed"));
        }
        Ok(())
    }

    /// Who may do what with the nodes that we make.
    pub(crate) fn acls(&self) -> Acls<'static> {
        if self.options.user.is_empty() { Acls::anyone_all() } else { Acls::creator_all() }
    }

    /// The same, and everybody may read.
    pub(crate) fn acls_to_read(&self) -> Vec<Acl> {
        let mut acls = self.acls().to_vec();
        acls.extend_from_slice(&Acls::anyone_read());
        acls
    }

    fn current(&self) -> Option<Arc<LiveSession>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, live: Option<Arc<LiveSession>>) -> Option<Arc<LiveSession>> {
        std::mem::replace(&mut *self.live.lock().unwrap_or_else(PoisonError::into_inner), live)
    }

    /// A session that is connected now. Nothing is sent into a connection that is known to be broken.
    ///
    /// # Errors
    /// No member answers in time; nothing was sent then.
    pub(crate) async fn ready(&self) -> Result<Arc<LiveSession>> {
        let until = self.env.now() + self.options.timeout;
        loop {
            self.refuse_closed()?;
            let live = match self.current() {
                Some(live) if !live.client.state().is_terminated() => live,
                _ => self.connect(until).await?,
            };
            if live.client.state() == SessionState::SyncConnected {
                return Ok(live);
            }
            let mut states = live.client.state_watcher();
            let settled = async {
                while states.peek_state() == SessionState::Disconnected {
                    states.changed().await;
                }
            };
            if self.env.until(until, settled).await.is_none() {
                return Err(self.silent());
            }
        }
    }

    fn silent(&self) -> Error {
        let message = format!("no member of the ensemble serves within {:?}", self.options.timeout);
        Error::new(ErrorKind::Unreachable, message)
            .hint("are the addresses right, and is a majority of the members running?")
    }

    async fn connect(&self, until: Moment) -> Result<Arc<LiveSession>> {
        let turn = self.env.until(until, self.connecting.lock()).await;
        let _turn = turn.ok_or_else(|| self.silent())?;
        if let Some(live) = self.current().filter(|live| !live.client.state().is_terminated()) {
            return Ok(live);
        }
        self.replace(None);
        let client = self.env.until(until, self.dial()).await.ok_or_else(|| self.silent())??;
        let live =
            Arc::new(LiveSession { session: client.session_id().0, lasts: client.session_timeout(), client });
        let states = live.client.state_watcher();
        self.replace(Some(live.clone()));
        if self.closed.load(Ordering::Acquire) {
            self.replace(None);
            self.refuse_closed()?;
        }
        let ports = nodelay::ports(&self.options.servers);
        nodelay::set(&ports);
        self.env.spawn(attend(states, ports, self.revalidations.clone(), self.bells.clone()));
        Ok(live)
    }

    /// On a thread of its own: the session outlives the runtime of whoever asked first.
    async fn dial(&self) -> Result<Client> {
        let options = &self.options;
        let mut connector = Client::connector()
            .with_session_timeout(options.session)
            .with_connection_timeout(SILENCE_MAX.min(options.session * 2 / 5))
            .with_server_version(3, 6, 0);
        if !options.user.is_empty() {
            connector =
                connector.with_auth("digest", format!("{}:{}", options.user, options.password).as_bytes());
        }
        let answer = transport::dial(connector, options.servers.join(",")).map_err(|source| {
            Error::new(ErrorKind::Exhausted, format!("no thread can be started for the session: {source}"))
                .hint("raise the limit on threads (ulimit -u)")
        })?;
        let gone = |_| Error::new(ErrorKind::Closed, "the thread of the session has ended");
        answer.await.map_err(gone)?.map_err(|foreign| error(&foreign, Effect::Reads))
    }

    /// Waits for an answer, as long as one is waited for.
    pub(crate) async fn ask<T>(
        &self,
        effect: Effect,
        answer: impl Future<Output = Result<T, zookeeper_client::Error>>,
    ) -> Result<T, ServerError> {
        let answered = self.in_time(effect, answer).await?;
        answered.map_err(|foreign| ServerError::of(foreign, effect))
    }

    /// The same for what is no single answer.
    pub(crate) async fn in_time<T>(&self, effect: Effect, answer: impl Future<Output = T>) -> Result<T> {
        let until = self.env.now() + self.options.timeout;
        self.env.until(until, answer).await.ok_or_else(|| {
            let message = format!("no answer within {:?}", self.options.timeout);
            let error =
                Error::new(ErrorKind::TimedOut, message).hint("is a majority of the members running?");
            effect.in_doubt(error)
        })
    }

    /// Ends the session, and everything that lives by it; returns when the servers have confirmed it, or do not answer.
    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let Some(live) = self.replace(None) else { return };
        let mut states = live.client.state_watcher();
        drop(live);
        let ended = async {
            while !states.peek_state().is_terminated() {
                states.changed().await;
            }
        };
        let until = self.env.now() + self.options.timeout;
        if self.env.until(until, ended).await.is_none() {
            tracing::warn!("ZooKeeper does not confirm the end of a session; it ends by itself");
        }
        self.bells.break_all();
    }
}

/// Has each new connection send at once, and says so when the session ends.
async fn attend(
    mut states: StateWatcher,
    ports: BTreeSet<u16>,
    revalidations: Revalidations,
    bells: Arc<Waiters>,
) {
    while !states.peek_state().is_terminated() {
        if states.changed().await == SessionState::SyncConnected {
            nodelay::set(&ports);
        }
    }
    revalidations.raise();
    bells.break_all();
}
