//! [`Connection`]: one connection and the two tasks that drive it. What is given to it is sent once, in order, or not at all.
//!
//! The tasks live in the background of [`Env`], so the watchdog goes on renewing while the caller's runtime is blocked,
//! and a request whose caller has gone is carried to its end. All requests of a client go over one link: what is asked
//! for first happens first, so no claim comes after the release that undoes it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use leasehold_core::{Env, Revalidations};
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

/// Requests that wait to be written; more make their callers wait.
const QUEUE: usize = 256;
/// As much is written in one go.
const WRITE_MAX: usize = 1 << 16;

/// One connection. Dropping it closes the connection when everything is answered.
#[derive(Debug)]
pub(crate) struct Connection {
    orders: mpsc::Sender<Order>,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    env: Env,
    ended: AtomicBool,
    /// When something was last heard, in nanoseconds.
    heard: AtomicU64,
}

#[derive(Debug)]
struct Order {
    packet: CommandBatch,
    answer: oneshot::Sender<Vec<Reply>>,
}

/// What was written and is to be answered.
struct Pending {
    wants: Vec<Want>,
    answer: oneshot::Sender<Vec<Reply>>,
}

impl Connection {
    /// Drives a connection.
    pub(crate) fn over(stream: TcpStream, env: &Env, revalidations: &Revalidations) -> Connection {
        let (read, write) = stream.into_split();
        let state = Arc::new(State {
            env: env.clone(),
            ended: AtomicBool::new(false),
            heard: AtomicU64::new(env.now().nanos()),
        });
        let (orders, inbox) = mpsc::channel(QUEUE);
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
                Ok(End::OwnDocument) => return,
                Ok(End::Theirs) => {}
                Err(Malformed(what)) => {
                    tracing::warn!(
                        "a memcached server answered out of order, and is connected to anew: {what}"
                    );
                }
            }
            // It may come back without its memory.
            revalidations.raise_sparingly(&two.env);
        });
        Connection { orders, state }
    }

    /// Whether nothing can be sent any more.
    pub(crate) fn is_ended(&self) -> bool {
        self.state.ended.load(Ordering::Acquire)
    }

    /// When something was last heard, in nanoseconds.
    pub(crate) fn heard(&self) -> u64 {
        self.state.heard.load(Ordering::Relaxed)
    }

    /// One reply for each command; `None` when the connection broke first.
    ///
    /// # Cancel safety
    /// Dropping it leaves the commands sent or not sent.
    pub(crate) async fn call(&self, packet: CommandBatch) -> Option<Vec<Reply>> {
        let (answer, replies) = oneshot::channel();
        self.orders.send(Order { packet, answer }).await.ok()?;
        replies.await.ok()
    }
}

/// Who has closed a connection.
enum End {
    OwnDocument,
    Theirs,
}

async fn send(mut write: OwnedWriteHalf, mut inbox: mpsc::Receiver<Order>, written: mpsc::Sender<Pending>) {
    while let Some(first) = inbox.recv().await {
        let mut bytes = Vec::new();
        let mut order = Some(first);
        while let Some(Order { packet, answer }) = order {
            bytes.extend_from_slice(&packet.bytes);
            // The reader knows what to expect before the server can have read it.
            if written.send(Pending { wants: packet.wants, answer }).await.is_err() {
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
) -> Result<End, Malformed> {
    let mut parser = Parser::default();
    loop {
        let next = tokio::select! {
            biased;
            next = pending.recv() => next,
            // Nothing is asked: it can only be closed. An answer that comes so soon that its question was not looked at
            // is kept.
            more = more(&mut read, &mut parser, state) => match (more, pending.try_recv()) {
                (true, Ok(next)) => Some(next),
                (true, Err(_)) => return Err(Malformed("something that nobody asked for")),
                (false, _) => return Ok(End::Theirs),
            },
        };
        let Some(Pending { wants, answer }) = next else { return Ok(End::OwnDocument) };
        let mut replies = Vec::with_capacity(wants.len());
        for want in wants {
            loop {
                if let Some(reply) = parser.next(want)? {
                    replies.push(reply);
                    break;
                }
                if !more(&mut read, &mut parser, state).await {
                    return Ok(End::Theirs);
                }
            }
        }
        // Who asked may have gone.
        let _ = answer.send(replies);
    }
}

/// Reads what there is; whether the connection is still open.
async fn more(read: &mut OwnedReadHalf, parser: &mut Parser, state: &State) -> bool {
    let open = matches!(read.read_buf(parser.buffer()).await, Ok(size) if size > 0);
    if open {
        state.heard.fetch_max(state.env.now().nanos(), Ordering::Relaxed);
    }
    open
}
