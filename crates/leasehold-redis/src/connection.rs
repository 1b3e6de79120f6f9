//! [`Node`]: the connections to one server. What is sent is sent once.
//!
//! A runtime that calls has a connection of its own, driven by itself: a caller's requests take no detour over another
//! thread, and the watchdog, which lives on the background thread, goes on renewing while the caller's runtime is
//! blocked. So there are two connections a server, and one more for wake-ups.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use leasehold_core::{Env, Error, ErrorKind, Moment, Result, Revalidations, decide::backoff};
use redis::{AsyncConnectionConfig, Client, Cmd, PushInfo, PushKind, Value, aio::MultiplexedConnection};
use tokio::{
    runtime::{Handle, Id},
    sync::{Mutex as AsyncMutex, Semaphore, SemaphorePermit, watch},
};

use crate::{dial::Dial, options::Endpoint, refusal::Refusal};

/// What a server answered to one command.
pub(crate) type Reply = std::result::Result<Value, Refusal>;

/// One server.
pub(crate) struct Node {
    endpoint: Endpoint,
    dial: Arc<Dial>,
    env: Env,
    revalidations: Revalidations,
    lanes: Mutex<HashMap<Id, Arc<Lane>>>,
    retired: watch::Sender<bool>,
}

/// The connection of one runtime.
struct Lane {
    handle: Handle,
    live: Mutex<Option<Live>>,
    dialling: AsyncMutex<Failures>,
    was_live: AtomicBool,
    under_way: Semaphore,
}

/// So many requests may be under way on one connection.
const UNDER_WAY_MAX: usize = 1024;

#[derive(Clone)]
struct Live {
    connection: MultiplexedConnection,
    number: u64,
    /// When something was last heard on it, in nanoseconds.
    heard: Arc<AtomicU64>,
    /// The other end has closed it. RESP2 does not tell: there the next request finds out.
    ended: Arc<AtomicBool>,
}

/// How often in a row a server could not be reached, and until when it is not tried again.
#[derive(Default)]
struct Failures {
    count: u32,
    until: Option<Moment>,
    last: Option<(ErrorKind, String, Option<String>)>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    pub(crate) fn new(
        endpoint: Endpoint,
        dial: Arc<Dial>,
        env: Env,
        revalidations: Revalidations,
    ) -> Arc<Node> {
        let (lanes, retired) = (Mutex::default(), watch::Sender::new(false));
        Arc::new(Node { endpoint, dial, env, revalidations, lanes, retired })
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn client(&self) -> Result<Client> {
        self.dial.client(&self.endpoint)
    }

    pub(crate) fn how(&self) -> &Arc<Dial> {
        &self.dial
    }

    /// Nothing is sent to it from now on, and what it still answers does not count.
    pub(crate) fn retire(&self) {
        self.retired.send_replace(true);
        locked(&self.lanes).clear();
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
    /// Not applied when there was no connection; unknown from the first byte on. Nothing is sent twice.
    ///
    /// # Cancel safety
    /// Dropping it leaves the commands sent or not sent.
    pub(crate) async fn call(&self, commands: &[Cmd], limit: Duration) -> Result<Vec<Reply>> {
        let begin = self.env.now();
        let until = begin + limit;
        self.refuse_retired()?;
        let lane = self.lane()?;
        let live = match lane.current() {
            Some(live) => live,
            None => match self.env.until(until, self.connect(&lane)).await {
                Some(live) => live?,
                None => return Err(self.name(timed_out("connection", limit))),
            },
        };
        // A crowd takes turns: the time of a request counts from when it is sent, not from when it queued up.
        let Some(_turn) = self.env.until(self.env.now() + limit, lane.turn()).await else {
            return Err(self.name(timed_out("turn among the requests under way", limit)));
        };
        let sent = self.env.now();
        let answer = self.env.until(sent + limit, live.send(commands)).await;
        let result = match answer {
            Some(Ok(replies)) => {
                live.heard.fetch_max(self.env.now().nanos(), Ordering::Relaxed);
                self.refuse_retired().map(|()| replies).map_err(Error::unknown)
            }
            Some(Err(error)) => {
                lane.forget(live.number);
                Err(self.name(broken(&error)).unknown())
            }
            None => {
                // Silence since before the request: the other end may be gone without a word (half-open).
                if live.heard.load(Ordering::Relaxed) < sent.nanos() {
                    lane.forget(live.number);
                }
                Err(self.name(timed_out("answer", limit)).unknown())
            }
        };
        result.map_err(|error| error.elapsed(self.env.now().since(begin)))
    }

    fn refuse_retired(&self) -> Result<()> {
        if !self.is_retired() {
            return Ok(());
        }
        let message = "this server is not the master any more";
        Err(self.name(Error::new(ErrorKind::Unreachable, message).hint("the new master is looked for")))
    }

    fn name(&self, error: Error) -> Error {
        error.store(format!("redis://{}", self.endpoint))
    }

    fn lane(&self) -> Result<Arc<Lane>> {
        let handle = Handle::try_current().map_err(|_| {
            Error::new(ErrorKind::Invalid, "the Redis store is called outside of a tokio runtime")
                .hint("use leasehold::blocking, or call it from a task")
        })?;
        let mut lanes = locked(&self.lanes);
        let lane = lanes.entry(handle.id()).or_insert_with(|| {
            Arc::new(Lane {
                handle,
                live: Mutex::default(),
                dialling: AsyncMutex::default(),
                was_live: AtomicBool::new(false),
                under_way: Semaphore::new(UNDER_WAY_MAX),
            })
        });
        Ok(lane.clone())
    }

    /// One caller dials, the others wait for it; a server that was just found dead is not tried at once again.
    async fn connect(&self, lane: &Lane) -> Result<Live> {
        let mut failures = lane.dialling.lock().await;
        if let Some(live) = lane.current() {
            return Ok(live);
        }
        if let (Some(until), Some((kind, message, hint))) = (failures.until, &failures.last)
            && self.env.now() < until
        {
            let error = Error::new(*kind, message.clone());
            return Err(self.name(match hint {
                Some(hint) => error.hint(hint.clone()),
                None => error,
            }));
        }
        match self.reach(lane).await {
            Ok(live) => {
                *failures = Failures::default();
                *locked(&lane.live) = Some(live.clone());
                if lane.was_live.swap(true, Ordering::Relaxed) {
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
                Err(self.name(error))
            }
        }
    }

    async fn reach(&self, lane: &Lane) -> Result<Live> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let (dial, endpoint) = (self.dial.clone(), self.endpoint.clone());
        // On the runtime that will drive it.
        let ended = Arc::new(AtomicBool::new(false));
        let told = ended.clone();
        let task = lane.handle.spawn(async move {
            dial.connect(&endpoint, |resp3| if resp3 { telling(&told) } else { quiet() }).await
        });
        let connection = task.await.map_err(|source| {
            Error::new(ErrorKind::Unreachable, "the runtime cannot connect: is its I/O enabled?")
                .source(source)
        })??;
        if let Some(enrolment) = self.dial.enrolment() {
            // A restart breaks connections: here is where it is noticed that a server may have forgotten.
            enrolment.introduce(&mut connection.clone()).await?;
        }
        let heard = Arc::new(AtomicU64::new(self.env.now().nanos()));
        Ok(Live { connection, number: NUMBERS.fetch_add(1, Ordering::Relaxed), heard, ended })
    }
}

/// No timeouts of the client library: they would need a clock that stands still in suspend.
pub(crate) fn quiet() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None)
}

/// The same, for a connection that says when it has ended.
fn telling(ended: &Arc<AtomicBool>) -> AsyncConnectionConfig {
    let ended = ended.clone();
    quiet().set_push_sender(move |push: PushInfo| {
        if push.kind == PushKind::Disconnection {
            ended.store(true, Ordering::Release);
        }
        Ok::<(), redis::aio::SendError>(())
    })
}

impl Lane {
    fn current(&self) -> Option<Live> {
        locked(&self.live).clone().filter(|live| !live.ended.load(Ordering::Acquire))
    }

    /// The right to have a request under way; never refused, for the semaphore is never closed.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.under_way.acquire().await.ok()
    }

    fn forget(&self, number: u64) {
        let mut live = locked(&self.live);
        if live.as_ref().is_some_and(|live| live.number == number) {
            *live = None;
        }
    }
}

impl Live {
    async fn send(&self, commands: &[Cmd]) -> redis::RedisResult<Vec<Reply>> {
        let mut connection = self.connection.clone();
        if let [command] = commands {
            return match connection.send_packed_command(command).await {
                Ok(value) => Ok(vec![as_reply(value)]),
                Err(error) => Refusal::of(&error).map(|refusal| vec![Err(refusal)]).ok_or(error),
            };
        }
        let mut pipeline = redis::Pipeline::with_capacity(commands.len());
        for command in commands {
            pipeline.add_command(command.clone());
        }
        let values = connection.send_packed_commands(&pipeline, 0, commands.len()).await?;
        Ok(values.into_iter().map(as_reply).collect())
    }
}

pub(crate) fn as_reply(value: Value) -> Reply {
    match value {
        Value::ServerError(error) => Err(Refusal::of_server(&error)),
        value => Ok(value),
    }
}

fn timed_out(what: &str, limit: Duration) -> Error {
    Error::new(ErrorKind::TimedOut, format!("no {what} within {limit:?}"))
        .hint("is the server overloaded, paused, or cut off?")
}

fn broken(error: &redis::RedisError) -> Error {
    Error::new(ErrorKind::Unreachable, format!("the connection broke: {}", error.category()))
        .hint("the claim is asked for again by its id")
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Node").field(&self.endpoint.to_string()).finish()
    }
}
