//! [`Transport`]: the way to the server. What is sent is sent once.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use leasehold_core::{Env, Error, ErrorKind, Moment, Result, Revalidations, decide::backoff};
use tokio::{
    net::TcpStream,
    sync::{Mutex as AsyncMutex, Semaphore, oneshot},
};

use crate::{
    batch::CommandBatch, config_check::judge, connection::Connection, options::MemcachedOptions,
    reply::Reply, server_clock::ServerClock, server_info::Server,
};

/// So many requests may be under way.
const UNDER_WAY_MAX: usize = 1024;

/// The way to the server, which is connected to when it is needed.
pub(crate) struct Transport {
    options: Arc<MemcachedOptions>,
    env: Env,
    revalidations: Revalidations,
    live: Mutex<Option<Live>>,
    dialling: AsyncMutex<Failures>,
    was_live: AtomicBool,
    under_way: Semaphore,
    clock: ServerClock,
    /// Somebody was told that the server may lose locks.
    warned: AtomicBool,
}

/// Who answered a packet, and when.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) server: Arc<Server>,
    /// Before it was sent.
    pub(crate) sent: Moment,
    /// After it was answered.
    pub(crate) received: Moment,
}

#[derive(Clone)]
struct Live {
    link: Arc<Connection>,
    server: Arc<Server>,
}

/// How often in a row the server could not be reached, and until when it is not tried again.
#[derive(Default)]
struct Failures {
    count: u32,
    until: Option<Moment>,
    last: Option<(ErrorKind, String, Option<String>)>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Transport {
    pub(crate) fn new(options: Arc<MemcachedOptions>, env: Env, revalidations: Revalidations) -> Transport {
        Transport {
            options,
            env,
            revalidations,
            live: Mutex::default(),
            dialling: AsyncMutex::default(),
            was_live: AtomicBool::new(false),
            under_way: Semaphore::new(UNDER_WAY_MAX),
            clock: ServerClock::default(),
            warned: AtomicBool::new(false),
        }
    }

    /// Sends commands in one piece; answers one reply for each, and which run of the server answered.
    ///
    /// # Errors
    /// Not applied when there was no connection; unknown from then on. Nothing is sent twice.
    ///
    /// # Cancel safety
    /// Dropping it leaves the commands sent or not sent.
    pub(crate) async fn call(&self, packet: CommandBatch, limit: Duration) -> Result<(Vec<Reply>, Received)> {
        let begin = self.env.now();
        let live = self.live(begin + limit, limit).await?;
        // A crowd takes turns: the time of a request counts from when it is sent, not from when it queued up.
        let Some(turn) = self.env.until(self.env.now() + limit, self.under_way.acquire()).await else {
            return Err(timed_out("turn among the requests under way", limit));
        };
        let sent = self.env.now();
        let answer = self.env.until(sent + limit, live.link.call(packet)).await;
        drop(turn);
        let result = match answer {
            Some(Some(replies)) => {
                let received = self.env.now();
                Ok((replies, Received { server: live.server.clone(), sent, received }))
            }
            Some(None) => {
                self.forget(&live);
                Err(broken())
            }
            None => {
                // Silence since before the request: the other end may be gone without a word (half-open).
                if live.link.heard() < sent.nanos() {
                    self.forget(&live);
                }
                Err(timed_out("answer", limit).unknown())
            }
        };
        result.map_err(|error: Error| error.elapsed(self.env.now().since(begin)))
    }

    /// The server as it is known, connected to if need be.
    pub(crate) async fn server(&self, limit: Duration) -> Result<Arc<Server>> {
        Ok(self.live(self.env.now() + limit, limit).await?.server)
    }

    /// Looks at the server again.
    pub(crate) async fn ask(&self, limit: Duration) -> Result<Arc<Server>> {
        let asked = self.env.now();
        let (replies, heard) = self.call(Server::question(&self.env), limit).await?;
        let before = heard.server;
        let server = Arc::new(Server::read(replies, asked, &self.options)?.seen_before(&before));
        if let Some(live) = locked(&self.live).as_mut()
            && Arc::ptr_eq(&live.server, &before)
        {
            live.server = server.clone();
        }
        Ok(server)
    }

    /// What it says of itself, on a connection of its own: also of a server that is refused. Nothing is written.
    pub(crate) async fn probe(&self, limit: Duration) -> Result<Vec<Reply>> {
        let looking = async {
            // What becomes of this connection is no news of locks.
            let link = Connection::over(self.dial().await?, &self.env, &Revalidations::default());
            link.call(CommandBatch::new().stats().settings()).await.ok_or_else(no_identity)
        };
        let looked = self.env.until(self.env.now() + limit, looking).await;
        looked.unwrap_or_else(|| Err(timed_out("answer", limit)))
    }

    /// How much less than it says a hold lasts that the server showed when its time was `second`.
    pub(crate) fn lag(&self, second: u64, heard: &Received) -> Duration {
        self.clock.lag(&heard.server.name, second, heard.sent, heard.received)
    }

    /// The server has forgotten something: it is connected to anew, and whoever holds something renews it.
    pub(crate) fn doubt(&self, server: &Arc<Server>) {
        let mut current = locked(&self.live);
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(&current.server, server)) {
            *current = None;
            self.revalidations.raise_sparingly(&self.env);
        }
    }

    /// Closes the connection.
    pub(crate) fn close(&self) {
        locked(&self.live).take();
    }

    /// A stream to the server, for what takes long.
    pub(crate) async fn dial(&self) -> Result<TcpStream> {
        let (host, port) = (self.options.host.clone(), self.options.port);
        let (answer, dialled) = oneshot::channel();
        // In the background, which will drive it.
        self.env.spawn(async move {
            let stream = TcpStream::connect((host, port)).await;
            let stream = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
            // Who asked may have gone.
            let _ = answer.send(stream);
        });
        let stream = dialled.await.map_err(|_| Error::new(ErrorKind::Closed, "the background is gone"))?;
        stream.map_err(|source| {
            Error::new(ErrorKind::Unreachable, source.to_string())
                .hint("is the server running, and is the address right?")
                .source(source)
        })
    }

    async fn live(&self, until: Moment, limit: Duration) -> Result<Live> {
        if let Some(live) = self.current() {
            return Ok(live);
        }
        let connected = self.env.until(until, self.connect()).await;
        connected.unwrap_or_else(|| Err(timed_out("connection", limit)))
    }

    fn current(&self) -> Option<Live> {
        locked(&self.live).clone().filter(|live| !live.link.is_ended())
    }

    fn forget(&self, live: &Live) {
        let mut current = locked(&self.live);
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(&current.link, &live.link)) {
            *current = None;
        }
    }

    /// One caller dials, the others wait for it; a server that was just found dead is not tried at once again.
    async fn connect(&self) -> Result<Live> {
        let mut failures = self.dialling.lock().await;
        if let Some(live) = self.current() {
            return Ok(live);
        }
        if let (Some(until), Some((kind, message, hint))) = (failures.until, &failures.last)
            && self.env.now() < until
        {
            let error = Error::new(*kind, message.clone());
            return Err(match hint {
                Some(hint) => error.hint(hint.clone()),
                None => error,
            });
        }
        match self.reach().await {
            Ok(live) => {
                *failures = Failures::default();
                *locked(&self.live) = Some(live.clone());
                if self.was_live.swap(true, Ordering::Relaxed) {
                    // It may have come back without its memory.
                    self.revalidations.raise_sparingly(&self.env);
                }
                Ok(live)
            }
            Err(error) => {
                let dice = self.env.jitter(Duration::from_secs(1)).as_secs_f64();
                let pause =
                    backoff::delay(failures.count, Duration::from_millis(10), Duration::from_secs(1), dice);
                failures.count = failures.count.saturating_add(1);
                failures.until = Some(self.env.now() + pause);
                failures.last =
                    Some((error.kind(), error.to_string(), error.hint_text().map(ToString::to_string)));
                Err(error)
            }
        }
    }

    async fn reach(&self) -> Result<Live> {
        let link = Connection::over(self.dial().await?, &self.env, &self.revalidations);
        let asked = self.env.now();
        // A mark may have been written, and nothing of a lock.
        let replies = link.call(Server::question(&self.env)).await.ok_or_else(no_identity)?;
        let server = Server::read(replies, asked, &self.options)?;
        judge(&server, &self.options, &self.warned)?;
        Ok(Live { link: Arc::new(link), server: Arc::new(server) })
    }
}

fn timed_out(what: &str, limit: Duration) -> Error {
    Error::new(ErrorKind::TimedOut, format!("no {what} within {limit:?}"))
        .hint("is the server overloaded, paused, or cut off?")
}

fn no_identity() -> Error {
    Error::new(ErrorKind::Unreachable, "the server does not say what it is")
}

fn broken() -> Error {
    Error::new(ErrorKind::Unreachable, "the connection broke")
        .hint("the claim is asked for again by its id")
        .unknown()
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transport").field(&self.options.url).finish()
    }
}
