//! [`SessionManager`]: the one session of a client, and the next one when it has ended.

use std::{collections::BTreeSet, io, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use leasehold_core::{
    Env, Error, ErrorKind, Result, Revalidations,
    env::show,
    store_kit::{Access, ClientState, Connection, Reconnect, Secrets, Topic, Waiters, tls_config},
    url::Address,
};
use tokio::sync::oneshot;
use zookeeper_client::{Acls, Client, SessionState, StateWatcher, TlsDynamicCerts, TlsOptions};

use crate::{
    error::ServerError, options::ZooKeeperOptions, platform, transport, txn::LiveSession, waiters::Watch,
};

/// The longest silence after which the client tries another member.
const SILENCE_MAX: Duration = Duration::from_secs(4);
/// The time between two looks at the files of certificates while no server is connected.
const FILES_AGAIN: Duration = Duration::from_secs(1);
/// The time between two rounds of connections that ask the servers whether they accept the certificates.
const SERVERS_AGAIN: Duration = Duration::from_millis(200);

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
    pub(crate) env: Env,
    pub(crate) waiters: Arc<Waiters<Topic, Watch>>,
    live: Reconnect<LiveSession>,
    pub(crate) state: ClientState,
}

impl SessionManager {
    pub(crate) fn new(options: ZooKeeperOptions, env: Env) -> SessionManager {
        let capability = crate::capability::of(options.dialect, options.session);
        SessionManager {
            state: ClientState::new(capability, &options.url, Revalidations::default()),
            options,
            waiters: Arc::default(),
            // The end of a session already demands revalidation; a new one need not.
            live: Reconnect::new(env.clone(), Revalidations::default()),
            env,
        }
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
            let message = format!("no member of the ensemble serves within {}", show(limit));
            Err(Error::new(ErrorKind::Unreachable, message)
                .hint("are the addresses right (secureClientPort is for zookeepers:// alone), does a majority run, and do \
                       the servers allow this address more connections (maxClientCnxns)?"))
        })
    }

    /// A new session, on a thread of its own: it outlives the runtime of its first user.
    async fn connect(&self) -> Result<LiveSession> {
        transport::check_process()?;
        self.options.access.connect(|secrets| self.connect_with(secrets)).await
    }

    async fn connect_with(&self, secrets: Secrets) -> Result<LiveSession> {
        let options = &self.options;
        let certs = if options.access.tls { Some(self.certificates(&secrets).await?) } else { None };
        let mut connector = Client::connector()
            .with_session_timeout(options.session)
            .with_connection_timeout(SILENCE_MAX.min(options.session * 2 / 5))
            .with_server_version(3, 6, 0);
        let user = &options.access.user;
        if !user.is_empty() {
            let login = format!("{user}:{}", secrets.password.reveal());
            connector = connector.with_auth("digest", login.as_bytes());
        }
        if let Some(certs) = &certs {
            connector = connector.with_tls(TlsOptions::new().with_certs(certs.clone()));
        }
        let scheme = if certs.is_some() { "tcp+tls" } else { "tcp" };
        let servers: Vec<_> = options.servers.iter().map(|server| format!("{scheme}://{server}")).collect();
        let answer = transport::connect(connector, servers.join(",")).map_err(|source| {
            Error::new(ErrorKind::Exhausted, format!("no thread can be started for the session: {source}"))
                .hint("raise the limit on threads (ulimit -u)")
        })?;
        let ended = |_| Error::new(ErrorKind::Closed, "the thread of the session has ended");
        let zk = answer.await.map_err(ended)?.map_err(ServerError::reading)?;
        self.follow(zk.state_watcher(), certs);
        Ok(LiveSession {
            id: zk.session_id().0,
            timeout: zk.session_timeout(),
            acls: if user.is_empty() { Acls::anyone_all() } else { Acls::creator_all() },
            limit: options.timeout,
            env: self.env.clone(),
            zk,
        })
    }

    /// The certificates, once a server accepts them. A server that closes the connection first, as one that starts does, is
    /// asked again: the session would not tell why it does not connect.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`] if no server can be reached and one of them refuses, or is refused.
    async fn certificates(&self, secrets: &Secrets) -> Result<TlsDynamicCerts> {
        let access = &self.options.access;
        let certs = transport::certificates(secrets).map_err(|source| explain(access, &source))?;
        while !self.accepts_certificates().await? {
            self.env.sleep(SERVERS_AGAIN).await;
        }
        Ok(TlsDynamicCerts::new(certs))
    }

    /// Whether a server accepts the certificates; `false` if none can be reached.
    async fn accepts_certificates(&self) -> Result<bool> {
        let ask = |server| async move { (server, self.ask(server, "srvr").await) };
        let mut answers: FuturesUnordered<_> = self.options.servers.iter().map(ask).collect();
        let mut refused = None;
        while let Some((server, answer)) = answers.next().await {
            let Err(source) = answer else { return Ok(true) };
            let error = explain(&self.options.access, &source).store(server.to_string());
            refused = refused.or(Some(error).filter(|error| error.kind() == ErrorKind::Rejected));
        }
        refused.map_or(Ok(false), Err)
    }

    /// The answer of a server to a four-letter command, over a connection of its own.
    pub(crate) async fn ask(&self, server: &Address, word: &'static str) -> io::Result<String> {
        let access = &self.options.access;
        let config = if access.tls {
            let secrets = access.read().map_err(io::Error::other)?;
            Some(Arc::new(tls_config(&secrets)?))
        } else {
            None
        };
        let (send, receive) = oneshot::channel();
        let server = server.clone();
        // In the background, whose runtime has I/O.
        self.env.spawn(async move {
            // The caller may have been dropped.
            let _ = send.send(transport::exchange(&server, word, config).await);
        });
        receive.await.map_err(io::Error::other)?
    }

    /// Sets TCP_NODELAY on each new connection, which gets the certificates that the files have by then; demands
    /// revalidation and breaks all subscriptions when the session ends.
    fn follow(&self, mut states: StateWatcher, certs: Option<TlsDynamicCerts>) {
        let ports: BTreeSet<u16> = self.options.servers.iter().map(|server| server.port).collect();
        platform::set_nodelay(&ports);
        let (revalidations, waiters) = (self.state.revalidations.clone(), self.waiters.clone());
        let (env, access) = (self.env.clone(), self.options.access.clone());
        self.env.spawn(async move {
            while !states.peek_state().is_terminated() {
                let state = match &certs {
                    Some(certs) if states.peek_state() == SessionState::Disconnected => {
                        let newer =
                            access.read().ok().and_then(|secrets| transport::certificates(&secrets).ok());
                        newer.into_iter().for_each(|newer| certs.update(newer));
                        env.until(env.now() + FILES_AGAIN, states.changed()).await
                    }
                    _ => Some(states.changed().await),
                };
                if state == Some(SessionState::SyncConnected) {
                    platform::set_nodelay(&ports);
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

/// The error for a connection with TLS that could not be made.
fn explain(access: &Access, source: &io::Error) -> Error {
    let error = access.explain(&source.to_string()).unwrap_or_else(|| {
        Error::new(ErrorKind::Unreachable, source.to_string()).hint("is it the address of secureClientPort?")
    });
    match error.hint_text().is_some_and(|hint| hint.contains("server_name")) {
        true => error.hint("use a name that it contains in the URL"),
        false => error,
    }
}

/// The error of a subscription after the end of its session.
pub(crate) fn session_ended() -> Error {
    Error::new(ErrorKind::Unreachable, "the subscription ended with its session")
        .hint("ask the store again, and subscribe anew")
}
