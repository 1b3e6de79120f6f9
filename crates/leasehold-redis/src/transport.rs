//! [`Node`]: the connections to one server. A request is sent at most once.
//!
//! Each tokio runtime that calls has a connection of its own ([`RuntimeConnections`]): usually two, the caller's and
//! that of the background thread. Wake-ups come on one more ([`Watcher`](crate::watcher::Watcher)).

pub(crate) mod connection;
mod line;
pub(crate) mod link;
mod names;
mod reserved;
#[cfg(feature = "redis-1")]
pub(crate) mod shared;
mod stream;

use std::{
    fmt,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use leasehold_core::{
    Error, ErrorKind, FencingToken, Moment, Result,
    store_kit::{Connection, Locked, RuntimeConnections, in_time, timed_out},
};
use redis::{Cmd, Value, cmd};
use tokio::sync::{Semaphore, watch};

use self::{connection::Connector, link::Link, reserved::ReservedTokens};
use crate::{
    error::ServerError,
    format::{Replies, Reply, clock_us, next},
    options::Endpoint,
    server_info,
};

/// The most requests under way on one connection.
const UNDER_WAY_MAX: usize = 1024;
/// The least age of a connection that is made anew because the server is no master with its data any more.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);
/// The time without a reply after which a connection is looked at before it is used.
const IDLE: Duration = Duration::from_millis(100);
/// The age of the server's time at which the next request asks for it.
const CLOCK_DUE: Duration = Duration::from_millis(500);
/// The age from which on it is not used: so soon a step of the server's clock is noticed.
const CLOCK_MAX: Duration = Duration::from_secs(1);

/// One server.
pub(crate) struct Node {
    pub(crate) endpoint: Endpoint,
    pub(crate) connector: Arc<Connector>,
    connections: RuntimeConnections<LiveConnection>,
    retired: watch::Sender<bool>,
    /// How often the connections of all runtimes were ended: refused as no master with its data, or the name moved.
    refusals: Arc<AtomicU32>,
}

/// One connection.
pub(crate) struct LiveConnection {
    link: Link,
    under_way: Semaphore,
    opened: Moment,
    /// Those of the node, and what they were before this was made.
    refusals: (Arc<AtomicU32>, u32),
    /// The time of the last reply, in nanoseconds.
    last_reply: AtomicU64,
    ended: AtomicBool,
    clock: Locked<Clock>,
    reserved: Arc<ReservedTokens>,
}

/// The server's clock, as one connection has heard of it.
#[derive(Default)]
struct Clock {
    /// When a request last asked for it.
    asked: Option<Moment>,
    told: Option<Told>,
}

/// A reply to `TIME`.
#[derive(Clone, Copy)]
struct Told {
    us: u64,
    asked: Moment,
    answered: Moment,
}

/// The time of a server in microseconds since 1970: at most a second behind it, and not ahead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerTime(pub(crate) u64);

/// The facts that one connection knows of its server.
#[derive(Clone, Default, Debug)]
pub(crate) struct ServerFacts {
    /// Its time, if it told that a moment ago.
    pub(crate) time: Option<ServerTime>,
    pub(crate) reserved: Arc<ReservedTokens>,
}

impl ServerTime {
    /// The least token of a grant by the short way: in steps, so that most grants of a busy lock add one to its counter and
    /// write nothing else.
    pub(crate) fn least_token(self) -> u64 {
        const STEP_US: u64 = 100_000;
        let least = self.0.saturating_sub(FencingToken::SLACK_US);
        least - least % STEP_US
    }
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
    pub(crate) async fn call(&self, commands: &[Cmd], limit: Duration) -> Result<Replies> {
        let begin = self.connector.env.now();
        self.call_now(commands, begin, limit).await.map_err(|error| self.located(error, begin))
    }

    /// The same at `begin`, which is now, on the given connection alone.
    ///
    /// # Errors
    /// Those of [`Node::call`].
    pub(crate) async fn call_on(
        &self,
        live: &Arc<LiveConnection>,
        commands: &[Cmd],
        begin: Moment,
        limit: Duration,
    ) -> Result<Replies> {
        self.exchange(live, commands, begin, limit).await.map_err(|error| self.located(error, begin))
    }

    fn located(&self, error: Error, begin: Moment) -> Error {
        error.store(format!("redis://{}", self.endpoint)).elapsed(self.connector.env.now().since(begin))
    }

    /// The open connection of the calling runtime, now, and what it knows of its server.
    pub(crate) fn current(&self) -> Option<(Arc<LiveConnection>, Moment, ServerFacts)> {
        let now = self.connector.env.now();
        let live = self.connections.current().filter(|live| self.is_alive(live, now))?;
        let facts = ServerFacts { time: live.clock.lock().time(now), reserved: live.reserved.clone() };
        Some((live, now, facts))
    }

    /// The same for one command.
    ///
    /// # Errors
    /// Also the error that the server answers.
    pub(crate) async fn ask(&self, command: Cmd, limit: Duration) -> Result<Value> {
        next(&mut self.call(&[command], limit).await?.into_iter())
    }

    async fn call_now(&self, commands: &[Cmd], begin: Moment, limit: Duration) -> Result<Replies> {
        let env = &self.connector.env;
        let (live, begin) = match self.connections.current().filter(|live| self.is_alive(live, begin)) {
            Some(live) => (live, begin),
            None => {
                self.check_retired()?;
                let connect = Box::pin(self.connections.get(|| self.connect()));
                (in_time(env, limit, "connection", connect).await??, env.now())
            }
        };
        self.exchange(&live, commands, begin, limit).await
    }

    async fn exchange(
        &self,
        live: &Arc<LiveConnection>,
        commands: &[Cmd],
        begin: Moment,
        limit: Duration,
    ) -> Result<Replies> {
        self.check_retired()?;
        let env = &self.connector.env;
        // The time of a request counts from when it is sent, not from when it queued up.
        let (_turn, sent) = match live.under_way.try_acquire() {
            Ok(turn) => (Ok(turn), begin),
            Err(_) => {
                let turn = Box::pin(live.under_way.acquire());
                (in_time(env, limit, "turn among the requests under way", turn).await?, env.now())
            }
        };
        let with_time = self.connector.keeps_clock() && live.clock.lock().is_due(sent);
        let with_time = with_time.then(|| [commands, &[cmd("TIME")]].concat());
        let commands = with_time.as_deref().unwrap_or(commands);
        let exchange = pin!(live.link.exchange(commands));
        match env.until(sent + limit, exchange).await {
            Some(Ok(mut replies)) => {
                let now = env.now();
                live.last_reply.fetch_max(now.nanos(), Ordering::Relaxed);
                if with_time.is_some() {
                    live.clock.lock().told = told(replies.pop(), sent, now);
                }
                self.note_refusals(live, &replies);
                self.check_retired().map(|()| replies).map_err(Error::unknown)
            }
            Some(Err(error)) => {
                self.connections.forget(live);
                Err(match error.hint_text() {
                    None => error.hint("the claim is asked for again by its id"),
                    Some(_) => error,
                })
            }
            None => {
                // No reply since before the request: the connection may be half-open.
                if live.last_reply.load(Ordering::Relaxed) < sent.nanos() {
                    self.connections.forget(live);
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

    /// Whether a connection is open. One that was idle may have been closed unnoticed: nothing is sent on it then.
    fn is_alive(&self, live: &Arc<LiveConnection>, now: Moment) -> bool {
        let last_reply = Moment::from_nanos(live.last_reply.load(Ordering::Relaxed));
        let is_closed = now.since(last_reply) > IDLE && live.link.is_closed();
        if is_closed {
            self.connections.forget(live);
        }
        !is_closed
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
            let before = connector.address_of(&endpoint);
            let link = connector.link(&endpoint).await?;
            if before.is_some() && before != connector.address_of(&endpoint) {
                // The name has moved: the connections of other runtimes are to the server that had it.
                refusals.fetch_add(1, Ordering::AcqRel);
            }
            let refusals = (refusals.clone(), refusals.load(Ordering::Acquire));
            if let Some(membership) = connector.options.membership {
                // A restart breaks all connections: a server that may have lost its data is noticed here.
                server_info::register(membership, &link).await.map_err(Error::not_applied)?;
            }
            let (opened, under_way) = (connector.env.now(), Semaphore::new(UNDER_WAY_MAX));
            let last_reply = AtomicU64::new(opened.nanos());
            let (ended, clock, reserved) = Default::default();
            Ok(LiveConnection { link, under_way, opened, refusals, last_reply, ended, clock, reserved })
        }
    }
}

impl Clock {
    /// Whether this request is to ask for the time.
    fn is_due(&mut self, now: Moment) -> bool {
        let is_due = self.asked.is_none_or(|asked| now.since(asked) >= CLOCK_DUE);
        if is_due {
            self.asked = Some(now);
        }
        is_due
    }

    /// The server's clock may be slower than ours by a part in 64.
    fn time(&self, now: Moment) -> Option<ServerTime> {
        let told = self.told.filter(|told| now.since(told.asked) < CLOCK_MAX)?;
        let passed = now.since(told.answered).as_micros() as u64;
        Some(ServerTime(told.us.saturating_add(passed - passed / 64)))
    }
}

/// The reply to `TIME`; none from a server that does not tell.
fn told(reply: Option<Reply>, asked: Moment, answered: Moment) -> Option<Told> {
    clock_us(&reply?.ok()?).ok().map(|us| Told { us, asked, answered })
}

impl Connection for LiveConnection {
    fn is_open(&self) -> bool {
        let (refusals, before) = &self.refusals;
        let ended = self.ended.load(Ordering::Acquire) || self.link.has_ended();
        !ended && refusals.load(Ordering::Acquire) == *before
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
