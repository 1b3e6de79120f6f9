//! [`Node`]: the connections to one server. A request is sent at most once.
//!
//! Each tokio runtime that calls has a connection of its own ([`RuntimeConnections`]): usually two, the caller's and
//! that of the background thread. Wake-ups come on one more ([`PubSub`](crate::pubsub::PubSub)).

pub(crate) mod connection;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use leasehold_core::{
    Env, Error, ErrorKind, Result, Revalidations,
    store_kit::{Connection, RuntimeConnections, in_time, timed_out},
};
use redis::{AsyncConnectionConfig, Client, Cmd, PushInfo, PushKind, aio::MultiplexedConnection};
use tokio::sync::{Semaphore, watch};

use self::connection::Connector;
use crate::{
    format::{Reply, exchange},
    options::Endpoint,
};

/// The most requests under way on one connection.
const UNDER_WAY_MAX: usize = 1024;

/// One server.
pub(crate) struct Node {
    endpoint: Endpoint,
    connector: Arc<Connector>,
    env: Env,
    connections: RuntimeConnections<LiveConnection>,
    retired: watch::Sender<bool>,
}

struct LiveConnection {
    connection: MultiplexedConnection,
    under_way: Semaphore,
    /// The time of the last reply, in nanoseconds.
    last_reply: AtomicU64,
    /// Whether the server has closed it. RESP2 does not report that: there the next request finds out.
    ended: Arc<AtomicBool>,
}

impl Node {
    pub(crate) fn new(
        endpoint: Endpoint,
        connector: Arc<Connector>,
        env: Env,
        revalidations: Revalidations,
    ) -> Arc<Node> {
        let connections = RuntimeConnections::new(env.clone(), revalidations);
        Arc::new(Node { endpoint, connector, env, connections, retired: watch::Sender::new(false) })
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn client(&self) -> Result<Client> {
        self.connector.client(&self.endpoint)
    }

    pub(crate) fn connector(&self) -> &Arc<Connector> {
        &self.connector
    }

    /// Ends its use: nothing is sent to it any more, and replies that are under way do not count.
    pub(crate) fn retire(&self) {
        self.retired.send_replace(true);
        self.connections.close(&self.retired_error());
    }

    pub(crate) fn is_retired(&self) -> bool {
        *self.retired.borrow()
    }

    /// Completes when it is retired.
    pub(crate) async fn retirement(&self) {
        // The sender lives as long as `self`.
        let _ = self.retired.subscribe().wait_for(|retired| *retired).await;
    }

    /// Sends commands in one piece and answers one reply for each.
    ///
    /// # Errors
    /// Not applied without a connection; unknown from the first byte on. Nothing is sent twice.
    ///
    /// # Cancel safety
    /// Dropping it leaves the commands sent or not sent.
    pub(crate) async fn call(&self, commands: &[Cmd], limit: Duration) -> Result<Vec<Reply>> {
        let begin = self.env.now();
        let result = self.call_now(commands, limit).await;
        result.map_err(|error| {
            error.store(format!("redis://{}", self.endpoint)).elapsed(self.env.now().since(begin))
        })
    }

    async fn call_now(&self, commands: &[Cmd], limit: Duration) -> Result<Vec<Reply>> {
        self.check_retired()?;
        let live = match self.connections.current() {
            Some(live) => live,
            None => {
                in_time(&self.env, limit, "connection", self.connections.get(|| self.connect())).await??
            }
        };
        // The time of a request counts from when it is sent, not from when it queued up.
        let turn = live.under_way.acquire();
        let _turn = in_time(&self.env, limit, "turn among the requests under way", turn).await?;
        let sent = self.env.now();
        match self.env.until(sent + limit, exchange(&mut live.connection.clone(), commands)).await {
            Some(Ok(replies)) => {
                live.last_reply.fetch_max(self.env.now().nanos(), Ordering::Relaxed);
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

    fn check_retired(&self) -> Result<()> {
        if self.is_retired() { Err(self.retired_error()) } else { Ok(()) }
    }

    fn retired_error(&self) -> Error {
        Error::new(ErrorKind::Unreachable, "this server is not the master any more")
            .hint("the new master is being looked for")
            .store(format!("redis://{}", self.endpoint))
    }

    fn connect(&self) -> impl Future<Output = Result<LiveConnection>> + Send + 'static {
        let (connector, endpoint, env) = (self.connector.clone(), self.endpoint.clone(), self.env.clone());
        async move {
            let ended = Arc::new(AtomicBool::new(false));
            let configured = |resp3| if resp3 { config_reporting_end(&ended) } else { config() };
            let mut connection = connector.connect(&endpoint, configured).await?;
            if let Some(marker) = connector.marker() {
                // A restart breaks all connections: a server that may have lost its data is noticed here.
                marker.register(&mut connection).await?;
            }
            let last_reply = AtomicU64::new(env.now().nanos());
            Ok(LiveConnection { connection, under_way: Semaphore::new(UNDER_WAY_MAX), last_reply, ended })
        }
    }
}

impl Connection for LiveConnection {
    fn is_open(&self) -> bool {
        !self.ended.load(Ordering::Acquire)
    }

    /// Requests under way keep the socket until they are answered or given up.
    fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }
}

/// A configuration without the client library's timeouts, whose clock stands still in suspend.
pub(crate) fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None)
}

/// The same for a connection that reports its end.
fn config_reporting_end(ended: &Arc<AtomicBool>) -> AsyncConnectionConfig {
    let ended = ended.clone();
    config().set_push_sender(move |push: PushInfo| {
        if push.kind == PushKind::Disconnection {
            ended.store(true, Ordering::Release);
        }
        Ok::<(), redis::aio::SendError>(())
    })
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Node").field(&self.endpoint.to_string()).finish()
    }
}
