//! [`SessionManager`]: the one session of a client, and the next one when it has ended.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use leasehold_core::{
    Env, Error, ErrorKind, Result, Revalidations,
    store_kit::{ClientState, Connection, Reconnect, Topic, Waiters},
};
use zookeeper_client::{Acls, Client, SessionState, StateWatcher};

use crate::{
    error::ServerError,
    options::{self, ZooKeeperOptions},
    transport,
    txn::LiveSession,
    waiters::Watch,
};

/// The longest silence after which the client tries another member.
const SILENCE_MAX: Duration = Duration::from_secs(4);

impl Connection for LiveSession {
    fn is_open(&self) -> bool {
        !self.zk.state().is_terminated()
    }

    fn end(&self) {}
}

/// The session of a client.
#[derive(Debug)]
pub(crate) struct SessionManager {
    pub(crate) options: ZooKeeperOptions,
    env: Env,
    pub(crate) revalidations: Revalidations,
    pub(crate) waiters: Arc<Waiters<Topic, Watch>>,
    live: Reconnect<LiveSession>,
    state: ClientState,
}

impl SessionManager {
    pub(crate) fn new(options: ZooKeeperOptions, env: Env) -> SessionManager {
        SessionManager {
            options,
            revalidations: Revalidations::default(),
            waiters: Arc::default(),
            // The end of a session already demands revalidation; a new one need not.
            live: Reconnect::new(env.clone(), Revalidations::default()),
            state: ClientState::default(),
            env,
        }
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        self.state.check_open()
    }

    /// A session that is connected now: nothing is sent over a connection that is known to be broken, nor after an error.
    pub(crate) async fn ready(&self) -> Result<Arc<LiveSession>> {
        let ready = async {
            loop {
                let live = self.live.get(|| self.connect()).await?;
                let mut states = live.zk.state_watcher();
                while states.peek_state() == SessionState::Disconnected {
                    states.changed().await;
                }
                if live.zk.state() == SessionState::SyncConnected {
                    return Ok(live);
                }
            }
        };
        let limit = self.options.timeout;
        self.env.until(self.env.now() + limit, ready).await.unwrap_or_else(|| {
            let message = format!("no member of the ensemble serves within {limit:?}");
            Err(Error::new(ErrorKind::Unreachable, message)
                .hint("are the addresses right, does a majority run, and do the servers allow this address more connections \
                       (maxClientCnxns)?"))
        })
    }

    /// A new session, on a thread of its own: it outlives the runtime of its first user.
    async fn connect(&self) -> Result<LiveSession> {
        transport::check_process()?;
        let options = &self.options;
        let mut connector = Client::connector()
            .with_session_timeout(options.session)
            .with_connection_timeout(SILENCE_MAX.min(options.session * 2 / 5))
            .with_server_version(3, 6, 0);
        if !options.user.is_empty() {
            let login = format!("{}:{}", options.user, options.password.reveal());
            connector = connector.with_auth("digest", login.as_bytes());
        }
        let answer = transport::connect(connector, options::list(&options.servers)).map_err(|source| {
            Error::new(ErrorKind::Exhausted, format!("no thread can be started for the session: {source}"))
                .hint("raise the limit on threads (ulimit -u)")
        })?;
        let ended = |_| Error::new(ErrorKind::Closed, "the thread of the session has ended");
        let zk = answer.await.map_err(ended)?.map_err(ServerError::reading)?;
        self.follow(zk.state_watcher());
        Ok(LiveSession {
            id: zk.session_id().0,
            timeout: zk.session_timeout(),
            acls: if options.user.is_empty() { Acls::anyone_all() } else { Acls::creator_all() },
            limit: options.timeout,
            env: self.env.clone(),
            zk,
        })
    }

    /// Sets TCP_NODELAY on each new connection; demands revalidation and breaks all subscriptions when the session ends.
    fn follow(&self, mut states: StateWatcher) {
        let ports: BTreeSet<u16> = self.options.servers.iter().map(|server| server.port).collect();
        transport::set_nodelay(&ports);
        let (revalidations, waiters) = (self.revalidations.clone(), self.waiters.clone());
        self.env.spawn(async move {
            while !states.peek_state().is_terminated() {
                if states.changed().await == SessionState::SyncConnected {
                    transport::set_nodelay(&ports);
                }
            }
            revalidations.raise();
            waiters.break_all(&session_ended());
        });
    }

    /// Ends the session and all its ephemeral nodes; returns when the servers have confirmed it, or do not answer.
    pub(crate) async fn close(&self) {
        self.state.close();
        let states = self.live.current().map(|live| live.zk.state_watcher());
        self.live.close(&ClientState::closed_error());
        let Some(mut states) = states else { return };
        let ended = async {
            while !states.peek_state().is_terminated() {
                states.changed().await;
            }
        };
        let until = self.env.now() + self.options.timeout;
        if self.env.until(until, ended).await.is_none() {
            tracing::warn!("ZooKeeper does not confirm the end of a session; it ends by itself");
        }
        self.waiters.break_all(&session_ended());
    }
}

/// The error of a subscription after the end of its session.
pub(crate) fn session_ended() -> Error {
    Error::new(ErrorKind::Unreachable, "the subscription ended with its session")
        .hint("ask the store again, and subscribe anew")
}
