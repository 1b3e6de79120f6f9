//! [`Cluster`]: the cluster, through one member at a time.
//!
//! A request is sent once: another member is asked only when this one certainly has not carried it out.
//!
//! A runtime that calls has a connection of its own, driven by itself: a caller's requests take no detour over another
//! thread, and the watchdog, which lives on the background thread, goes on renewing while the caller's runtime is blocked.

pub(crate) mod connection;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use leasehold_core::{Env, Error, ErrorKind, Moment, Result, Revalidations, decide::backoff};
use prost::Message;
use tokio::{
    runtime::{Handle, Id},
    sync::Mutex as AsyncMutex,
};
use tonic::{Status, metadata::MetadataValue};

use crate::{
    error::{Failure, explain, failure},
    options::{Endpoint, EtcdOptions},
    proto::{AuthenticateRequest, AuthenticateResponse},
    transport::connection::{Connection, Connector, Procedure, Token},
};

const AUTHENTICATE: Procedure = "/etcdserverpb.Auth/Authenticate";

/// So many runtimes have a connection.
const LANES_MAX: usize = 64;

/// The members of one cluster.
pub(crate) struct Cluster {
    options: Arc<EtcdOptions>,
    connector: Arc<Connector>,
    env: Env,
    revalidations: Revalidations,
    lanes: Mutex<HashMap<Id, Arc<RuntimeConnection>>>,
    token: Mutex<Token>,
}

/// The connection of one runtime.
struct RuntimeConnection {
    handle: Handle,
    live: Mutex<Option<Arc<Connection>>>,
    dialling: AsyncMutex<ReconnectState>,
}

/// Which member is tried next, and how often in a row none could be reached.
#[derive(Default)]
struct ReconnectState {
    next: usize,
    failures: u32,
    until: Option<Moment>,
    last: Option<(ErrorKind, String, Option<String>)>,
    was_live: bool,
}

/// Why a request was not answered.
#[derive(Debug)]
pub(crate) enum Refused {
    /// A lease that it names is not there. Nothing was done.
    NoLease,
    /// Anything else.
    Error(Error),
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Error {
        match refused {
            Refused::Error(error) => error,
            Refused::NoLease => Error::new(ErrorKind::Rejected, "the lease has ended"),
        }
    }
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cluster {
    /// # Errors
    /// Those of [`Connector::new`].
    pub(crate) fn new(options: Arc<EtcdOptions>, env: Env, revalidations: Revalidations) -> Result<Cluster> {
        let connector = Arc::new(Connector::new(&options)?);
        Ok(Cluster {
            options,
            connector,
            env,
            revalidations,
            lanes: Mutex::default(),
            token: Mutex::default(),
        })
    }

    /// One request and its answer, from whichever member is there, within the time limit.
    ///
    /// # Errors
    /// Not applied until a member has it; unknown from then on. Nothing is sent twice unless it was refused.
    pub(crate) async fn call<Q, R>(&self, procedure: Procedure, message: Q) -> Result<R, Refused>
    where
        Q: Message + Clone + 'static,
        R: Message + Default + 'static,
    {
        let begin = self.env.now();
        let until = begin + self.options.timeout;
        let mut tries = self.options.endpoints.len();
        let mut logins = 1;
        loop {
            let connection = self.connection(until).await.map_err(Refused::Error)?;
            let token = self.login(&connection, until).await.map_err(Refused::Error)?;
            let sent = self.env.now();
            // In a box: these futures are large, and part of many.
            let asked = Box::pin(connection.unary::<Q, R>(procedure, message.clone(), &token));
            let answer = self.env.until(until, asked).await;
            let status = match answer {
                Some(Ok(answer)) => {
                    connection.hear(&self.env);
                    return Ok(answer);
                }
                Some(Err(status)) => status,
                None => return Err(Refused::Error(self.silence(&connection, sent, begin))),
            };
            let error = || self.name(&connection, explain(&status), begin);
            match self.judge(&connection, &status) {
                Failure::Elsewhere if tries > 1 && self.env.now() < until => tries -= 1,
                Failure::Login if logins > 0 => logins -= 1,
                Failure::NoLease => return Err(Refused::NoLease),
                _ => return Err(Refused::Error(error())),
            }
        }
    }

    /// Takes notice of a failure.
    pub(crate) fn judge(&self, connection: &Arc<Connection>, status: &Status) -> Failure {
        let failure = failure(status);
        match failure {
            Failure::Elsewhere | Failure::Lost => self.forget(connection),
            Failure::Login => *locked(&self.token) = None,
            Failure::NoLease | Failure::Refused => connection.hear(&self.env),
        }
        failure
    }

    fn silence(&self, connection: &Arc<Connection>, sent: Moment, begin: Moment) -> Error {
        // Silence since before the request: the other end may be gone without a word (half-open), or cut off from the
        // others. Another member may know more.
        if connection.silent_since(sent.nanos()) {
            self.forget(connection);
        }
        let limit = self.options.timeout;
        let error = Error::new(ErrorKind::TimedOut, format!("no answer within {limit:?}"))
            .hint("is the cluster overloaded, paused, or cut off from its majority?");
        self.name(connection, error, begin).unknown()
    }

    fn name(&self, connection: &Connection, error: Error, begin: Moment) -> Error {
        let elapsed = self.env.now().since(begin);
        error.store(format!("etcd://{}", connection.endpoint)).elapsed(elapsed)
    }

    /// The connection of now, or a new one.
    ///
    /// # Errors
    /// No member can be reached in time. Nothing was sent.
    pub(crate) async fn connection(&self, until: Moment) -> Result<Arc<Connection>> {
        let lane = self.lane()?;
        if let Some(connection) = lane.current() {
            return Ok(connection);
        }
        match self.env.until(until, Box::pin(self.connect(&lane, until))).await {
            Some(connection) => connection,
            None => {
                let message = format!("no connection within {:?}", self.options.timeout);
                Err(Error::new(ErrorKind::TimedOut, message)
                    .store(&*self.options.url)
                    .hint("are the members running, and are the addresses right?"))
            }
        }
    }

    fn lane(&self) -> Result<Arc<RuntimeConnection>> {
        let handle = Handle::try_current().map_err(|_| {
            Error::new(ErrorKind::Invalid, "the etcd store is called outside of a tokio runtime")
                .hint("use leasehold::blocking, or call it from a task")
        })?;
        let mut lanes = locked(&self.lanes);
        if lanes.len() >= LANES_MAX && !lanes.contains_key(&handle.id()) {
            // Most of their runtimes have ended; the others connect again.
            lanes.drain().filter_map(|(_, lane)| lane.current()).for_each(|connection| connection.retire());
        }
        let new = || {
            Arc::new(RuntimeConnection {
                handle: handle.clone(),
                live: Mutex::default(),
                dialling: AsyncMutex::default(),
            })
        };
        Ok(lanes.entry(handle.id()).or_insert_with(new).clone())
    }

    /// Looks for another member before the next request.
    pub(crate) fn forget(&self, connection: &Arc<Connection>) {
        connection.retire();
        for lane in locked(&self.lanes).values() {
            let mut live = locked(&lane.live);
            if live.as_ref().is_some_and(|live| Arc::ptr_eq(live, connection)) {
                *live = None;
            }
        }
    }

    /// Ends the connections.
    pub(crate) fn close(&self) {
        for (_, lane) in locked(&self.lanes).drain() {
            if let Some(connection) = locked(&lane.live).take() {
                connection.retire();
            }
        }
    }

    /// One caller dials, the others wait for it; members that were just found dead are not tried at once again.
    async fn connect(&self, lane: &RuntimeConnection, until: Moment) -> Result<Arc<Connection>> {
        let mut dialling = lane.dialling.lock().await;
        if let Some(connection) = lane.current() {
            return Ok(connection);
        }
        if let (Some(pause), Some((kind, message, hint))) = (dialling.until, &dialling.last)
            && self.env.now() < pause
        {
            let error = Error::new(*kind, message.clone());
            return Err(hint.iter().fold(error, |error, hint| error.hint(hint.clone())));
        }
        let mut last = None;
        for _ in 0..self.options.endpoints.len() {
            let endpoint = &self.options.endpoints[dialling.next % self.options.endpoints.len()];
            dialling.next = dialling.next.wrapping_add(1);
            let now = self.env.now();
            // One that swallows everything does not use up the time of all.
            let share = (self.options.timeout / 2).min(until.since(now).max(Duration::from_millis(1)));
            match self.env.until(now + share, self.reach(lane, endpoint)).await {
                Some(Ok(connection)) => return Ok(self.connected(lane, &mut dialling, connection)),
                Some(Err(error)) => last = Some(error),
                None => {
                    let message = format!("no connection within {share:?}");
                    last = Some(Error::new(ErrorKind::TimedOut, message).store(format!("etcd://{endpoint}")));
                }
            }
        }
        let error = last.unwrap_or_else(|| Error::new(ErrorKind::Invalid, "no member is named"));
        let dice = self.env.jitter(Duration::from_secs(1)).as_secs_f64();
        let pause =
            backoff::delay(dialling.failures, Duration::from_millis(10), Duration::from_secs(1), dice);
        dialling.failures = dialling.failures.saturating_add(1);
        dialling.until = Some(self.env.now() + pause);
        let hint = error.hint_text().map(ToString::to_string);
        dialling.last = Some((error.kind(), error.to_string(), hint));
        Err(error)
    }

    /// Connects on the runtime that will drive the connection.
    async fn reach(&self, lane: &RuntimeConnection, endpoint: &Endpoint) -> Result<Connection> {
        let (connector, endpoint, env) = (self.connector.clone(), endpoint.clone(), self.env.clone());
        let task = lane.handle.spawn(async move { connector.connect(&endpoint, &env).await });
        task.await.map_err(|source| {
            Error::new(ErrorKind::Unreachable, "the runtime cannot connect: is its I/O enabled?")
                .source(source)
        })?
    }

    fn connected(
        &self,
        lane: &RuntimeConnection,
        dialling: &mut ReconnectState,
        connection: Connection,
    ) -> Arc<Connection> {
        let connection = Arc::new(connection);
        *locked(&lane.live) = Some(connection.clone());
        let was_live = std::mem::replace(&mut dialling.was_live, true);
        (dialling.failures, dialling.until, dialling.last) = (0, None, None);
        if was_live {
            // Leases may have ended while nobody was there, and a cluster may have been restored from a snapshot.
            self.revalidations.raise_sparingly(&self.env);
        }
        connection
    }

    /// The login, if one is needed.
    ///
    /// # Errors
    /// It was refused, or not answered. What it was for was not sent.
    pub(crate) async fn login(&self, connection: &Arc<Connection>, until: Moment) -> Result<Token> {
        if self.options.user.is_empty() {
            return Ok(None);
        }
        if let Some(token) = locked(&self.token).clone() {
            return Ok(Some(token));
        }
        let (name, password) = (self.options.user.clone(), self.options.password.clone());
        let request = AuthenticateRequest { name, password };
        let asked = Box::pin(connection.unary::<_, AuthenticateResponse>(AUTHENTICATE, request, &None));
        let named = |error: Error| error.store(format!("etcd://{}", connection.endpoint));
        let answer = match self.env.until(until, asked).await {
            Some(Ok(answer)) => answer,
            Some(Err(status)) => {
                self.judge(connection, &status);
                let error = explain(&status);
                let plain = Error::new(error.kind(), error.to_string());
                return Err(named(error.hint_text().iter().fold(plain, |plain, hint| plain.hint(*hint))));
            }
            None => {
                self.forget(connection);
                return Err(named(Error::new(ErrorKind::TimedOut, "the login was not answered in time")));
            }
        };
        let token = MetadataValue::try_from(answer.token)
            .map_err(|_| named(Error::new(ErrorKind::Corrupt, "the login was answered with no token")))?;
        *locked(&self.token) = Some(token.clone());
        Ok(Some(token))
    }
}

impl RuntimeConnection {
    fn current(&self) -> Option<Arc<Connection>> {
        locked(&self.live).clone().filter(|connection| !connection.is_retired())
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cluster").field(&self.options.url).finish()
    }
}
