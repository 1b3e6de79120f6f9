//! [`Cluster`]: requests to the cluster, through one member at a time.
//!
//! A request is sent once. It goes to another member only when this one has certainly not carried it out.

pub(crate) mod connection;

use std::sync::Arc;

use leasehold_core::{
    Env, Error, ErrorKind, Moment, Result, Revalidations,
    store_kit::{ClientState, Locked, RuntimeConnections, timed_out},
};
use prost::Message;
use tonic::{Status, metadata::MetadataValue};

use self::connection::{Connection, Connector, Procedure, Token, authorized};
use crate::{
    error::{CallError, Failure, explain, failure},
    options::EtcdOptions,
    proto::{AuthenticateRequest, AuthenticateResponse},
};

const AUTHENTICATE: Procedure = "/etcdserverpb.Auth/Authenticate";

/// The members of one cluster.
pub(crate) struct Cluster {
    options: Arc<EtcdOptions>,
    env: Env,
    connector: Arc<Connector>,
    connections: RuntimeConnections<Connection>,
    token: Locked<Token>,
}

impl Cluster {
    /// # Errors
    /// Those of [`Connector::new`].
    pub(crate) fn new(options: Arc<EtcdOptions>, env: Env, revalidations: Revalidations) -> Result<Cluster> {
        let connector = Arc::new(Connector::new(options.clone(), env.clone())?);
        let connections = RuntimeConnections::new(env.clone(), revalidations);
        Ok(Cluster { options, env, connector, connections, token: Locked::default() })
    }

    pub(crate) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Sends one request to whichever member is there, and returns its answer, within the time limit.
    ///
    /// # Errors
    /// Not applied until a member has it; unknown from then on. Nothing is sent twice unless it was refused.
    pub(crate) async fn call<Q, R>(&self, procedure: Procedure, message: Q) -> Result<R, CallError>
    where
        Q: Message + Clone + 'static,
        R: Message + Default + 'static,
    {
        let begin = self.env.now();
        let until = begin + self.options.timeout;
        let mut tries = self.options.endpoints.len();
        let mut logins = 1;
        loop {
            let connection = self.connection(until).await?;
            let token = self.login(&connection, until).await?;
            let sent = self.env.now();
            // Boxed: these futures are large, and part of many.
            let request = authorized(message.clone(), &token);
            let answer = Box::pin(connection.unary::<Q, R>(procedure, request));
            let status = match self.env.until(until, answer).await {
                Some(Ok(answer)) => {
                    connection.note_answer(&self.env);
                    return Ok(answer);
                }
                Some(Err(status)) => status,
                None => {
                    let error = self.unanswered(&connection, sent, "answer");
                    return Err(self.named(&connection, error, begin).into());
                }
            };
            match self.note_failure(&connection, &status) {
                Failure::Elsewhere if tries > 1 && self.env.now() < until => tries -= 1,
                Failure::Login if logins > 0 => logins -= 1,
                Failure::LeaseNotFound => return Err(CallError::LeaseNotFound),
                _ => return Err(self.named(&connection, explain(&status), begin).into()),
            }
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

    /// The error of a request without an answer. Its connection is dropped when nothing has arrived on it since: the
    /// member may be gone without notice (half-open), or cut off from the others.
    pub(crate) fn unanswered(&self, connection: &Arc<Connection>, sent: Moment, answer: &str) -> Error {
        if connection.is_silent_since(sent) {
            self.forget(connection);
        }
        timed_out(answer, self.options.timeout)
            .hint("is the cluster overloaded, paused, or cut off from its majority?")
            .unknown()
    }

    fn named(&self, connection: &Connection, error: Error, begin: Moment) -> Error {
        error.store(connection.url()).elapsed(self.env.now().since(begin))
    }

    /// The open connection of the calling runtime, or a new one to the next member that can be reached.
    ///
    /// # Errors
    /// No member can be reached in time. Nothing was sent.
    pub(crate) async fn connection(&self, until: Moment) -> Result<Arc<Connection>> {
        if let Some(connection) = self.connections.current() {
            return Ok(connection);
        }
        let connector = self.connector.clone();
        let connecting = self.connections.get(move || async move { connector.connect_any().await });
        self.env.until(until, Box::pin(connecting)).await.unwrap_or_else(|| {
            Err(timed_out("connection", self.options.timeout)
                .store(&*self.options.url)
                .hint("are the members running, and are the addresses right?"))
        })
    }

    /// Drops a connection; the next request goes to another member.
    pub(crate) fn forget(&self, connection: &Arc<Connection>) {
        if self.connections.forget(connection) {
            self.connector.pass_over(connection);
        }
    }

    /// Ends all connections.
    pub(crate) fn close(&self) {
        self.connections.close(&ClientState::closed_error());
    }

    /// The login, if one is needed.
    ///
    /// # Errors
    /// It was refused, or not answered. The request that needs it was not sent.
    pub(crate) async fn login(&self, connection: &Arc<Connection>, until: Moment) -> Result<Token> {
        if self.options.user.is_empty() {
            return Ok(None);
        }
        if let Some(token) = self.token.lock().clone() {
            return Ok(Some(token));
        }
        let (name, password) = (self.options.user.clone(), self.options.password.reveal().to_string());
        let request = authorized(AuthenticateRequest { name, password }, &None);
        let answer = Box::pin(connection.unary::<_, AuthenticateResponse>(AUTHENTICATE, request));
        let named = |error: Error| error.store(connection.url());
        let answer = match self.env.until(until, answer).await {
            Some(Ok(answer)) => answer,
            Some(Err(status)) => {
                self.note_failure(connection, &status);
                return Err(named(explain(&status).not_applied()));
            }
            None => {
                self.forget(connection);
                return Err(named(Error::new(ErrorKind::TimedOut, "the login was not answered in time")));
            }
        };
        let token = MetadataValue::try_from(answer.token)
            .map_err(|_| named(Error::new(ErrorKind::Corrupt, "the answer to the login has no token")))?;
        *self.token.lock() = Some(token.clone());
        Ok(Some(token))
    }
}
