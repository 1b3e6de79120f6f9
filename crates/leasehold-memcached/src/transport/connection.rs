//! [`Connection`]: one TCP connection and the two tasks that drive it. Each batch is sent once, in order, or not at all.
//!
//! The tasks run in the background of [`Env`], so the watchdog renews while the caller's runtime is blocked, and a request
//! whose caller was dropped is completed. All requests of a client go over one connection, in order, so no claim arrives
//! after the release that undoes it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use leasehold_core::{Env, Moment, Revalidations};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot},
};

use crate::{
    batch::CommandBatch,
    reply::{Malformed, Parser, Reply, Want},
};

/// The number of requests that wait to be written; more make their callers wait.
const QUEUE: usize = 256;
/// The number of bytes that are written at once.
const WRITE_MAX: usize = 1 << 16;

/// One connection. Dropping it closes the TCP connection when all requests are answered.
#[derive(Debug)]
pub(super) struct Connection {
    requests: mpsc::Sender<Request>,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    env: Env,
    ended: AtomicBool,
    /// The time of the last bytes from the server, in nanoseconds.
    received: AtomicU64,
}

#[derive(Debug)]
struct Request {
    batch: CommandBatch,
    answer: oneshot::Sender<Vec<Reply>>,
}

/// A batch that was written and not yet answered.
struct Pending {
    wants: Vec<Want>,
    answer: oneshot::Sender<Vec<Reply>>,
}

impl Connection {
    /// Starts to drive a TCP connection.
    pub(super) fn new(stream: TcpStream, env: &Env, revalidations: &Revalidations) -> Connection {
        let (read, write) = stream.into_split();
        let state = Arc::new(State {
            env: env.clone(),
            ended: AtomicBool::new(false),
            received: AtomicU64::new(env.now().nanos()),
        });
        let (requests, inbox) = mpsc::channel(QUEUE);
        let (written, pending) = mpsc::channel(4 * QUEUE);
        let (one, two, revalidations) = (state.clone(), state.clone(), revalidations.clone());
        env.spawn(async move {
            send(write, inbox, written).await;
            one.ended.store(true, Ordering::Release);
        });
        env.spawn(async move {
            let end = receive(read, pending, &two).await;
            two.ended.store(true, Ordering::Release);
            match end {
                Ok(ClosedBy::Client) => return,
                Ok(ClosedBy::Server) => {}
                Err(Malformed(why)) => {
                    tracing::warn!("a memcached server sent a malformed reply; connecting again: {why}");
                }
            }
            // It may come back without its data.
            revalidations.raise_sparingly(&two.env);
        });
        Connection { requests, state }
    }

    /// Whether requests can be sent.
    pub(super) fn is_open(&self) -> bool {
        !self.state.ended.load(Ordering::Acquire)
    }

    /// Takes no more requests. Those under way are still answered.
    pub(super) fn end(&self) {
        self.state.ended.store(true, Ordering::Release);
    }

    /// The time of the last bytes from the server.
    pub(super) fn last_received(&self) -> Moment {
        Moment::from_nanos(self.state.received.load(Ordering::Relaxed))
    }

    /// One reply for each command; `None` when the connection broke first.
    ///
    /// # Cancel safety
    /// Dropping it leaves the commands sent or not sent.
    pub(super) async fn call(&self, batch: CommandBatch) -> Option<Vec<Reply>> {
        let (answer, replies) = oneshot::channel();
        self.requests.send(Request { batch, answer }).await.ok()?;
        replies.await.ok()
    }
}

/// The side that has closed a connection.
enum ClosedBy {
    Client,
    Server,
}

async fn send(mut write: OwnedWriteHalf, mut inbox: mpsc::Receiver<Request>, written: mpsc::Sender<Pending>) {
    while let Some(first) = inbox.recv().await {
        let mut bytes = Vec::new();
        let mut order = Some(first);
        while let Some(Request { batch, answer }) = order {
            bytes.extend_from_slice(&batch.bytes);
            // The reader learns of the expected replies before the server can have read the commands.
            if written.send(Pending { wants: batch.wants, answer }).await.is_err() {
                return;
            }
            order = if bytes.len() < WRITE_MAX { inbox.try_recv().ok() } else { None };
        }
        if write.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn receive(
    mut read: OwnedReadHalf,
    mut pending: mpsc::Receiver<Pending>,
    state: &State,
) -> Result<ClosedBy, Malformed> {
    let mut parser = Parser::default();
    loop {
        let next = tokio::select! {
            biased;
            next = pending.recv() => next,
            // Nothing is pending: the server can only close. A reply that is read before its request was received from the
            // channel is kept.
            more = more(&mut read, &mut parser, state) => match (more, pending.try_recv()) {
                (true, Ok(next)) => Some(next),
                (true, Err(_)) => return Err(Malformed("a reply without a request")),
                (false, _) => return Ok(ClosedBy::Server),
            },
        };
        let Some(Pending { wants, answer }) = next else { return Ok(ClosedBy::Client) };
        let mut replies = Vec::with_capacity(wants.len());
        for want in wants {
            loop {
                if let Some(reply) = parser.next(want)? {
                    replies.push(reply);
                    break;
                }
                if !more(&mut read, &mut parser, state).await {
                    return Ok(ClosedBy::Server);
                }
            }
        }
        // The caller may have been dropped.
        let _ = answer.send(replies);
    }
}

/// Reads the next bytes; whether the connection is still open.
async fn more(read: &mut OwnedReadHalf, parser: &mut Parser, state: &State) -> bool {
    let open = matches!(read.read_buf(parser.buffer()).await, Ok(size) if size > 0);
    if open {
        state.received.fetch_max(state.env.now().nanos(), Ordering::Relaxed);
    }
    open
}
