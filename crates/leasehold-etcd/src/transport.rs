//! [`Cluster`]: requests to the cluster, through one member at a time.
//!
//! A request is sent once. It goes to another member only when this one has certainly not carried it out.

pub(crate) mod connection;
mod stream;

use std::{
    error::Error as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use leasehold_core::{
    Env, Error, ErrorKind, Moment, Result, Revalidations,
    store_kit::{ClientState, Locked, RuntimeConnections, in_time, timed_out},
};
use prost::Message;
use tonic::{Status, metadata::MetadataValue};

use self::connection::{Connection, Member, Procedure, Token, authorized};
use crate::{
    error::{Failure, explain, failure, innermost},
    options::EtcdOptions,
    protocol::{AuthenticateRequest, AuthenticateResponse, RangeRequest, RangeResponse},
};

pub(crate) const RANGE: Procedure = "/etcdserverpb.KV/Range";
const AUTHENTICATE: Procedure = "/etcdserverpb.Auth/Authenticate";

/// The members of one cluster.
pub(crate) struct Cluster {
    pub(crate) options: Arc<EtcdOptions>,
    pub(crate) env: Env,
    /// The index of the member that is tried next.
    next: AtomicUsize,
    members: Vec<Arc<Member>>,
    connections: RuntimeConnections<Connection>,
    token: Locked<Token>,
}

impl Cluster {
    pub(crate) fn new(options: Arc<EtcdOptions>, env: Env, revalidations: Revalidations) -> Cluster {
        let connections = RuntimeConnections::new(env.clone(), revalidations);
        let members = options.endpoints.iter().cloned().enumerate().map(Member::new).collect();
        let (next, token) = (AtomicUsize::new(0), Locked::default());
        Cluster { options, env, next, members, connections, token }
    }

    /// Sends one request to whichever member is there, and returns its answer, within the time limit.
    ///
    /// # Errors
    /// Not applied until a member has it; unknown from then on. Nothing is sent twice unless it was refused.
    pub(crate) async fn call<Q, R>(self: &Arc<Self>, procedure: Procedure, message: Q) -> Result<R>
    where
        Q: Message + Clone + 'static,
        R: Message + Default + 'static,
    {
        let answer = self.call_on_lease(procedure, message).await?;
        answer.ok_or_else(|| Error::new(ErrorKind::Rejected, "the lease has ended"))
    }

    /// The same; `None` when a lease that the request names does not exist, and nothing was done.
    pub(crate) async fn call_on_lease<Q, R>(
        self: &Arc<Self>,
        procedure: Procedure,
        message: Q,
    ) -> Result<Option<R>>
    where
        Q: Message + Clone + 'static,
        R: Message + Default + 'static,
    {
        let begin = self.env.now();
        let until = begin + self.options.timeout;
        let mut retries = self.options.endpoints.len();
        loop {
            let connection = self.connection(until).await?;
            let token = self.login(&connection, until).await?;
            let sent = self.env.now();
            // Boxed: these futures are large, and part of many.
            let request = authorized(message.clone(), &token);
            let answer = Box::pin(connection.unary::<Q, R>(procedure, request));
            let error = match self.env.until(until, answer).await {
                Some(Ok(answer)) => {
                    connection.note_answer(&self.env);
                    return Ok(Some(answer));
                }
                Some(Err(status)) => match self.note_failure(&connection, &status) {
                    Failure::Elsewhere | Failure::Login if retries > 0 && self.env.now() < until => {
                        retries -= 1;
                        continue;
                    }
                    Failure::LeaseNotFound => return Ok(None),
                    failure => self.explain(&status, failure),
                },
                None => self.unanswered(&connection, sent),
            };
            return Err(error.store(connection.member.url()).elapsed(self.env.now().since(begin)));
        }
    }

    /// Classifies a failure, and drops the connection or the login that it has shown to be of no use.
    pub(crate) fn note_failure(&self, connection: &Arc<Connection>, status: &Status) -> Failure {
        let failure = failure(status);
        match failure {
            Failure::Elsewhere | Failure::Lost => self.forget(connection),
            Failure::Login => *self.token.lock() = None,
            Failure::LeaseNotFound | Failure::Refused => connection.note_answer(&self.env),
        }
        failure
    }

    /// The error of a failed request. A member refuses a certificate after the handshake, and often without a word.
    fn explain(&self, status: &Status, failure: Failure) -> Error {
        let access = &self.options.access;
        let source = status.source().filter(|_| access.tls);
        let Some(source) = source else { return explain(status) };
        match access.explain(&innermost(source)) {
            Some(error) if failure == Failure::Lost => error.unknown(),
            Some(error) => error,
            None => explain(status).hint(
                "is the member running, and does it accept the certificate of this client (cert=PATH&key=PATH)?",
            ),
        }
    }

    /// The error of a request without an answer.
    fn unanswered(&self, connection: &Arc<Connection>, sent: Moment) -> Error {
        self.forget_silent(connection, sent);
        timed_out("answer", self.options.timeout)
            .hint("is the cluster overloaded, paused, or cut off from its majority?")
            .unknown()
    }

    /// Drops a connection on which nothing has arrived since, and all to the same member that are as silent: it may be gone
    /// without notice (half-open), or cut off from the others.
    fn forget_silent(&self, connection: &Arc<Connection>, sent: Moment) {
        if connection.last_answer() < sent {
            connection.member.found_silent(sent);
            self.forget(connection);
        }
    }

    /// Completes when the member of a watched connection hangs: it says nothing, and does not answer a read that needs a
    /// majority.
    pub(crate) async fn hangs(&self, connection: &Arc<Connection>) {
        loop {
            // One watch asks for all on this connection.
            let _turn = connection.probe.lock().await;
            self.env.sleep_until(connection.last_answer() + self.options.timeout / 2).await;
            let (sent, limit) = (self.env.now(), self.options.timeout);
            let any = RangeRequest { key: b"\0".to_vec(), limit: 1, ..RangeRequest::default() };
            let answer = connection.unary::<_, RangeResponse>(RANGE, authorized(any, &None));
            match self.env.until(sent + limit, answer).await {
                Some(Ok(_)) => connection.note_answer(&self.env),
                // A refusal is an answer as well.
                Some(Err(status)) => drop(self.note_failure(connection, &status)),
                None => return self.forget_silent(connection, sent),
            }
        }
    }

    /// The open connection of the calling runtime, or a new one to the next member that can be reached. After an error nothing
    /// was sent.
    pub(crate) async fn connection(self: &Arc<Self>, until: Moment) -> Result<Arc<Connection>> {
        if let Some(connection) = self.connections.current() {
            return Ok(connection);
        }
        let cluster = self.clone();
        let connecting = self.connections.get(move || async move { cluster.connect_any().await });
        self.env.until(until, Box::pin(connecting)).await.unwrap_or_else(|| {
            Err(timed_out("connection", self.options.timeout)
                .store(&*self.options.url)
                .hint("are the members running, and are the addresses right?"))
        })
    }

    async fn connect_any(&self) -> Result<Connection> {
        let end = self.env.now() + self.options.timeout;
        let mut last = Error::new(ErrorKind::Invalid, "no member is named");
        for _ in 0..self.options.endpoints.len() {
            let index = self.next.fetch_add(1, Ordering::Relaxed) % self.options.endpoints.len();
            // A member that swallows every packet does not use up the time of all.
            let left = end.since(self.env.now()).max(Duration::from_millis(1));
            match self.connect(index, left.min(self.options.timeout / 2)).await {
                Ok(connection) => {
                    self.next.store(index, Ordering::Relaxed);
                    return Ok(connection);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Connects to the member at this index, on the current runtime, which drives the connection.
    pub(crate) async fn connect(&self, index: usize, limit: Duration) -> Result<Connection> {
        let member = self.members[index].clone();
        let access = &self.options.access;
        let attempt = |secrets| Connection::open(member.clone(), access, secrets, &self.env);
        let connected = in_time(&self.env, limit, "connection", access.connect(attempt)).await;
        connected.flatten().map_err(|error| error.store(member.url()))
    }

    /// Drops a connection; the next request goes to another member.
    pub(crate) fn forget(&self, connection: &Arc<Connection>) {
        if self.connections.forget(connection) {
            self.next.store(connection.member.index + 1, Ordering::Relaxed);
        }
    }

    /// Ends all connections.
    pub(crate) fn close(&self) {
        self.connections.close(&ClientState::closed_error());
    }

    /// The login, if one is needed. After an error the request that needs it was not sent.
    pub(crate) async fn login(&self, connection: &Arc<Connection>, until: Moment) -> Result<Token> {
        if self.options.access.user.is_empty() {
            return Ok(None);
        }
        if let Some(token) = self.token.lock().clone() {
            return Ok(Some(token));
        }
        let name = self.options.access.user.clone();
        let password = self.options.access.read()?.password.reveal().to_string();
        let request = authorized(AuthenticateRequest { name, password }, &None);
        let answer = Box::pin(connection.unary::<_, AuthenticateResponse>(AUTHENTICATE, request));
        let error = match self.env.until(until, answer).await {
            Some(Ok(answer)) => match MetadataValue::try_from(answer.token) {
                Ok(token) => {
                    *self.token.lock() = Some(token.clone());
                    return Ok(Some(token));
                }
                Err(_) => Error::new(ErrorKind::Corrupt, "the answer to the login has no token"),
            },
            Some(Err(status)) => {
                self.note_failure(connection, &status);
                explain(&status).not_applied()
            }
            None => {
                self.forget(connection);
                Error::new(ErrorKind::TimedOut, "the login was not answered in time")
            }
        };
        Err(error.store(connection.member.url()))
    }
}
