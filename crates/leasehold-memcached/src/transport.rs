//! [`Transport`]: the connection to the server, made when it is needed. Each request is sent at most once.

mod connection;
pub(crate) mod protocol;

use std::{
    collections::BTreeSet,
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
    vec::IntoIter,
};

use leasehold_core::{
    Env, Error, ErrorKind, Moment, Result, Revalidations,
    store_kit::{self, ClientState, Locked, Reconnect},
    url::Address,
};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, oneshot},
};

use self::{
    connection::Connection,
    protocol::{CommandBatch, Reply},
};
use crate::{
    config_check::check_eviction,
    options::MemcachedOptions,
    server_info::{Server, ServerClock},
};

const UNDER_WAY_MAX: usize = 1024;
const NOT_REACHED: &str = "is the server running, and is the address right?";

/// The connection to the server, and the next one when it has ended.
pub(crate) struct Transport {
    options: Arc<MemcachedOptions>,
    env: Env,
    revalidations: Revalidations,
    live: Reconnect<LiveConnection>,
    under_way: Semaphore,
    clock: ServerClock,
    /// Whether the client has logged that the server may evict locks.
    warned: AtomicBool,
    /// The address of the server among those that its name leads to.
    chosen: Locked<Option<SocketAddr>>,
}

/// A connection, and the server at its other end.
struct LiveConnection {
    connection: Connection,
    server: Locked<Arc<Server>>,
}

impl store_kit::Connection for LiveConnection {
    fn is_open(&self) -> bool {
        !self.connection.state.ended.load(Ordering::Acquire)
    }

    fn end(&self) {
        self.connection.state.ended.store(true, Ordering::Release);
    }
}

/// The circumstances of a batch of replies.
#[derive(Clone)]
pub(crate) struct Received {
    live: Arc<LiveConnection>,
    pub(crate) server: Arc<Server>,
    /// Before the batch was sent.
    pub(crate) sent: Moment,
    /// After it was answered.
    pub(crate) received: Moment,
}

impl Transport {
    pub(crate) fn new(options: Arc<MemcachedOptions>, env: Env, revalidations: Revalidations) -> Transport {
        Transport {
            live: Reconnect::new(env.clone(), revalidations.clone()),
            options,
            env,
            revalidations,
            under_way: Semaphore::new(UNDER_WAY_MAX),
            clock: ServerClock::default(),
            warned: AtomicBool::new(false),
            chosen: Locked::default(),
        }
    }

    /// Sends commands in one piece; answers one reply for each, and which run of the server replied.
    ///
    /// # Errors
    /// Not applied without a connection; unknown from then on. Nothing is sent twice.
    ///
    /// # Cancel safety
    /// Dropping it leaves the commands sent or not sent.
    pub(crate) async fn call(&self, batch: CommandBatch) -> Result<(IntoIter<Reply>, Received)> {
        let begin = self.env.now();
        let live = self.live().await?;
        // The time of a request counts from when it is sent, not from when it was queued.
        let permit = self.in_time("turn among the requests under way", self.under_way.acquire()).await?;
        let sent = self.env.now();
        let answer = self.in_time("answer", live.connection.call(batch)).await;
        drop(permit);
        let (received, server) = (self.env.now(), live.server.lock().clone());
        let (error, is_usable) = match answer {
            Ok(Some(replies)) => {
                return Ok((replies.into_iter(), Received { live, server, sent, received }));
            }
            Ok(None) => (broken(), false),
            // Silence since before the request: the connection may be half-open.
            Err(error) => (error, live.connection.last_received() >= sent),
        };
        if !is_usable {
            self.live.forget(&live);
        }
        Err(error.unknown().elapsed(received.since(begin)))
    }

    /// The server as it was last seen; connects if there is no connection.
    pub(crate) async fn server(&self) -> Result<Arc<Server>> {
        Ok(self.live().await?.server.lock().clone())
    }

    /// The server as it is now.
    pub(crate) async fn refreshed_server(&self) -> Result<Arc<Server>> {
        let asked = self.env.now();
        let (replies, received) = self.call(Server::query(&self.env)).await?;
        let server = Arc::new(Server::parse(replies, asked, &self.options)?.seen_before(&received.server));
        *received.live.server.lock() = server.clone();
        Ok(server)
    }

    /// Statistics and settings, on a connection of its own: also those of a server that is refused. Nothing is written.
    pub(crate) async fn probe(&self) -> Result<Vec<Reply>> {
        let probe = async {
            // The end of this connection says nothing about locks.
            let connection = Connection::new(self.dial().await?, &self.env, &Revalidations::default());
            connection.call(CommandBatch::new().stats().settings()).await.ok_or_else(no_identity)
        };
        self.in_time("answer", probe).await?
    }

    /// The span by which holds end earlier than shown by a server whose time was `second`.
    pub(crate) fn lag(&self, second: u64, received: &Received) -> Duration {
        self.clock.lag(&received.server.name, second, received.sent, received.received)
    }

    /// The server has lost data: the next request connects again, and all holds are renewed at once.
    pub(crate) fn suspect_data_loss(&self, received: &Received) {
        if self.live.forget(&received.live) {
            self.revalidations.raise_sparingly(&self.env);
        }
    }

    /// Closes the connection, and makes no other.
    pub(crate) fn close(&self) {
        self.live.close(&ClientState::closed_error());
    }

    /// A new TCP connection, driven by the background runtime.
    pub(crate) async fn dial(&self) -> Result<TcpStream> {
        let Address { host, port } = self.options.address.clone();
        let found = self.in_background(async move {
            let found = tokio::net::lookup_host((host, port)).await?;
            Ok(found.collect::<BTreeSet<SocketAddr>>())
        });
        let found = found.await?;
        let before = self.chosen.lock().filter(|before| found.contains(before));
        let chosen = match before {
            Some(before) => before,
            None if found.len() == 1 => found.into_iter().next().ok_or_else(nobody)?,
            None => self.only_server(found).await?,
        };
        *self.chosen.lock() = Some(chosen);
        self.in_background(connect(chosen)).await
    }

    /// The first address at which somebody listens, if all of those lead to the same run of a server: two servers would
    /// both grant a lock.
    async fn only_server(&self, found: BTreeSet<SocketAddr>) -> Result<SocketAddr> {
        let mut first: Option<(SocketAddr, Arc<str>)> = None;
        for at in found {
            let Ok(stream) = self.in_background(connect(at)).await else { continue };
            let connection = Connection::new(stream, &self.env, &Revalidations::default());
            let run = self.identify(&connection).await?.name;
            match &first {
                Some((one, other)) if *other != run => return Err(self.two_servers(*one, at)),
                Some(_) => {}
                None => first = Some((at, run)),
            }
        }
        first.map(|(at, _)| at).ok_or_else(nobody)
    }

    fn two_servers(&self, one: SocketAddr, other: SocketAddr) -> Error {
        let name = &self.options.address;
        let message =
            format!("{name} leads to {one} and {other}, which are two servers: both would grant a lock");
        Error::new(ErrorKind::Unsafe, message).hint("name one of them")
    }

    async fn in_background<T: Send + 'static>(
        &self,
        task: impl Future<Output = io::Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        self.env.spawn(async move {
            // The caller may have been dropped.
            let _ = answer.send(task.await);
        });
        let done = answered.await.map_err(|_| Error::new(ErrorKind::Closed, "the background has ended"))?;
        done.map_err(|source| {
            Error::new(ErrorKind::Unreachable, source.to_string()).hint(NOT_REACHED).source(source)
        })
    }

    /// The output of a future that completes within the time limit of a request.
    pub(crate) async fn in_time<F: Future>(&self, answer: &str, future: F) -> Result<F::Output> {
        store_kit::in_time(&self.env, self.options.timeout, answer, future).await
    }

    async fn live(&self) -> Result<Arc<LiveConnection>> {
        if let Some(live) = self.live.current() {
            return Ok(live);
        }
        self.in_time("connection", self.live.get(|| self.connect())).await?
    }

    async fn connect(&self) -> Result<LiveConnection> {
        let connection = Connection::new(self.dial().await?, &self.env, &self.revalidations);
        let server = self.identify(&connection).await?;
        check_eviction(&server, &self.options, &self.warned)?;
        Ok(LiveConnection { connection, server: Locked::new(Arc::new(server)) })
    }

    /// The server at the other end. Nothing of a lock is written here.
    async fn identify(&self, connection: &Connection) -> Result<Server> {
        let asked = self.env.now();
        let replies = connection.call(Server::query(&self.env)).await.ok_or_else(no_identity)?;
        Server::parse(replies, asked, &self.options)
    }
}

async fn connect(at: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(at).await?;
    stream.set_nodelay(true).map(|()| stream)
}

fn nobody() -> Error {
    Error::new(ErrorKind::Unreachable, "nobody listens at any address of the server").hint(NOT_REACHED)
}

fn no_identity() -> Error {
    Error::new(ErrorKind::Unreachable, "the server does not identify itself")
}

fn broken() -> Error {
    Error::new(ErrorKind::Unreachable, "the connection broke").hint("the claim is asked for again by its id")
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transport").field(&self.options.url).finish()
    }
}
