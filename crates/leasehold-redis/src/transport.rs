//! [`Node`]: the connections to one server. A request is sent at most once.
//!
//! Each tokio runtime that calls has a connection of its own ([`RuntimeConnections`]): usually two, the caller's and
//! that of the background thread. Wake-ups come on one more ([`Watcher`](crate::watcher::Watcher)).

pub(crate) mod connection;
mod names;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use leasehold_core::{
    Error, ErrorKind, Moment, Result,
    store_kit::{Connection, RuntimeConnections, in_time, timed_out},
};
use redis::{
    Cmd, PushInfo, PushKind, Value,
    aio::{MultiplexedConnection, SendError},
};
use tokio::sync::{Semaphore, watch};

use self::connection::Connector;
use crate::{
    error::ServerError,
    format::{Reply, exchange, next},
    options::Endpoint,
    server_info,
};

/// The most requests under way on one connection.
const UNDER_WAY_MAX: usize = 1024;
/// The least age of a connection that is made anew because the server is no master with its data any more.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// One server.
pub(crate) struct Node {
    pub(crate) endpoint: Endpoint,
    pub(crate) connector: Arc<Connector>,
    connections: RuntimeConnections<LiveConnection>,
    retired: watch::Sender<bool>,
    /// How often the connections of all runtimes were ended: refused as no master with its data, or the name moved.
    refusals: Arc<AtomicU32>,
}

struct LiveConnection {
    connection: MultiplexedConnection,
    under_way: Semaphore,
    opened: Moment,
    /// Those of the node, and what they were before this was made.
    refusals: (Arc<AtomicU32>, u32),
    /// The time of the last reply, in nanoseconds.
    last_reply: AtomicU64,
    /// Whether the server has closed it. RESP2 does not report that: there the next request finds out.
    ended: Arc<AtomicBool>,
}

impl Node {
    pub(crate) fn new(endpoint: Endpoint, connector: Arc<Connector>) -> Arc<Node> {
        let connections = RuntimeConnections::new(connector.env.clone(), connector.revalidations.clone());
        Arc::new(Node {
            endpoint,
            connector,
            connections,
            retired: watch::Sender::new(false),
            refusals: Arc::default(),
        })
    }

    /// Ends its use: nothing is sent to it any more, and replies that are under way do not count.
    pub(crate) fn retire(&self) {
        self.retired.send_replace(true);
        self.connections.close(&self.retired_error());
    }

    pub(crate) fn is_retired(&self) -> bool {
        *self.retired.borrow()
    }

    /// Completes when it is retired, or its connections are to be made anew.
    pub(crate) async fn end_of_connections(&self) {
        let mut retired = self.retired.subscribe();
        if !*retired.borrow_and_update() {
            // The sender lives as long as `self`.
            let _ = retired.changed().await;
        }
    }

    /// Sends commands in one piece and answers one reply for each.
    ///
    /// # Errors
    /// Not applied without a connection; unknown from the first byte on. Nothing is sent twice.
    ///
    /// # Cancel safety
    /// Dropping it leaves the commands sent or not sent.
    pub(crate) async fn call(&self, commands: &[Cmd], limit: Duration) -> Result<Vec<Reply>> {
        let env = &self.connector.env;
        let begin = env.now();
        let result = self.call_now(commands, limit).await;
        result.map_err(|error| {
            error.store(format!("redis://{}", self.endpoint)).elapsed(env.now().since(begin))
        })
    }

    /// The same for one command.
    ///
    /// # Errors
    /// Also the error that the server answers.
    pub(crate) async fn ask(&self, command: Cmd, limit: Duration) -> Result<Value> {
        next(&mut self.call(&[command], limit).await?.into_iter())
    }

    async fn call_now(&self, commands: &[Cmd], limit: Duration) -> Result<Vec<Reply>> {
        self.check_retired()?;
        let env = &self.connector.env;
        let live = match self.connections.current() {
            Some(live) => live,
            None => in_time(env, limit, "connection", self.connections.get(|| self.connect())).await??,
        };
        // The time of a request counts from when it is sent, not from when it queued up.
        let turn = live.under_way.acquire();
        let _turn = in_time(env, limit, "turn among the requests under way", turn).await?;
        let sent = env.now();
        match env.until(sent + limit, exchange(&mut live.connection.clone(), commands)).await {
            Some(Ok(replies)) => {
                live.last_reply.fetch_max(env.now().nanos(), Ordering::Relaxed);
                self.note_refusals(&live, &replies);
                self.check_retired().map(|()| replies).map_err(Error::unknown)
            }
            Some(Err(error)) => {
                self.connections.forget(&live);
                Err(error.unknown())
            }
            None => {
                // No reply since before the request: the connection may be half-open.
                if live.last_reply.load(Ordering::Relaxed) < sent.nanos() {
                    self.connections.forget(&live);
                }
                Err(timed_out("answer", limit).unknown())
            }
        }
    }

    /// Connects anew, by its name, and has all leases renewed there, when the server is no master with its data any
    /// more. A connection that was just made is kept: the name still leads to this server.
    fn note_refusals(&self, live: &LiveConnection, replies: &[Reply]) {
        let env = &self.connector.env;
        let ends = replies.iter().any(|reply| reply.as_ref().is_err_and(ServerError::ends_connection));
        if ends && env.now().since(live.opened) >= RECONNECT_PAUSE && live.is_open() {
            self.refusals.fetch_add(1, Ordering::AcqRel);
            self.retired.send_modify(|_| ());
            self.connector.revalidations.raise_sparingly(env);
        }
    }

    fn check_retired(&self) -> Result<()> {
        if self.is_retired() { Err(self.retired_error()) } else { Ok(()) }
    }

    fn retired_error(&self) -> Error {
        Error::new(ErrorKind::Unreachable, "this server is not the master any more")
            .hint("the new master is being looked for")
            .store(format!("redis://{}", self.endpoint))
    }

    fn connect(&self) -> impl Future<Output = Result<LiveConnection>> + Send + 'static {
        let (connector, endpoint) = (self.connector.clone(), self.endpoint.clone());
        let refusals = self.refusals.clone();
        async move {
            let ended = Arc::new(AtomicBool::new(false));
            let reported = ended.clone();
            let pushes = Arc::new(move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    reported.store(true, Ordering::Release);
                }
                Ok::<(), SendError>(())
            });
            let before = connector.address_of(&endpoint);
            let mut connection = connector.connect(&endpoint, pushes).await?;
            if before.is_some() && before != connector.address_of(&endpoint) {
                // The name has moved: the connections of other runtimes are to the server that had it.
                refusals.fetch_add(1, Ordering::AcqRel);
            }
            let refusals = (refusals.clone(), refusals.load(Ordering::Acquire));
            if let Some(membership) = connector.options.membership {
                // A restart breaks all connections: a server that may have lost its data is noticed here.
                server_info::register(membership, &mut connection).await?;
            }
            let (opened, under_way) = (connector.env.now(), Semaphore::new(UNDER_WAY_MAX));
            let last_reply = AtomicU64::new(opened.nanos());
            Ok(LiveConnection { connection, under_way, opened, refusals, last_reply, ended })
        }
    }
}

impl Connection for LiveConnection {
    fn is_open(&self) -> bool {
        let (refusals, before) = &self.refusals;
        !self.ended.load(Ordering::Acquire) && refusals.load(Ordering::Acquire) == *before
    }

    /// Requests under way keep the socket until they are answered or given up.
    fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Node").field(&self.endpoint.to_string()).finish()
    }
}
