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
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot},
};

use super::protocol::{Broken, CommandBatch, Reply, read_reply};

/// The number of requests that wait to be written; more make their callers wait.
const QUEUE: usize = 256;
const WRITE_MAX: usize = 64;

/// One connection. Dropping it closes the TCP connection when all requests are answered.
#[derive(Debug)]
pub(super) struct Connection {
    requests: mpsc::Sender<Request>,
    pub(super) state: Arc<State>,
}

#[derive(Debug)]
pub(super) struct State {
    env: Env,
    /// Whether it takes no more requests. Those under way are still answered.
    pub(super) ended: AtomicBool,
    /// The time of the last reply, in nanoseconds.
    received: AtomicU64,
}

#[derive(Debug)]
struct Request {
    batch: CommandBatch,
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
                Ok(()) => return,
                Err(Broken::Closed) => {}
                Err(Broken::Malformed(why)) => {
                    tracing::warn!("a memcached server sent a malformed reply; connecting again: {why}");
                }
            }
            // It may come back without its data.
            revalidations.raise_sparingly(&two.env);
        });
        Connection { requests, state }
    }

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

async fn send(mut write: OwnedWriteHalf, mut inbox: mpsc::Receiver<Request>, written: mpsc::Sender<Request>) {
    let mut requests = Vec::new();
    while inbox.recv_many(&mut requests, WRITE_MAX).await > 0 {
        let mut bytes = Vec::new();
        for mut request in requests.drain(..) {
            bytes.append(&mut request.batch.bytes);
            // The reader learns of the expected replies before the server can have read the commands.
            if written.send(request).await.is_err() {
                return;
            }
        }
        if write.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// Reads replies until the client has closed the connection.
async fn receive(
    read: OwnedReadHalf,
    mut pending: mpsc::Receiver<Request>,
    state: &State,
) -> Result<(), Broken> {
    let mut read = BufReader::new(read);
    loop {
        let next = tokio::select! {
            biased;
            next = pending.recv() => next,
            // Nothing is pending: the server can only close. A reply that is read before its request was received from the
            // channel is kept.
            bytes = read.fill_buf() => match (bytes?.is_empty(), pending.try_recv()) {
                (true, _) => return Err(Broken::Closed),
                (false, Ok(next)) => Some(next),
                (false, Err(_)) => return Err(Broken::Malformed("a reply without a request")),
            },
        };
        let Some(Request { batch, answer }) = next else { return Ok(()) };
        let mut replies = Vec::with_capacity(batch.wants.len());
        for want in batch.wants {
            replies.push(read_reply(&mut read, want).await?);
            state.received.fetch_max(state.env.now().nanos(), Ordering::Relaxed);
        }
        // The caller may have been dropped.
        let _ = answer.send(replies);
    }
}
