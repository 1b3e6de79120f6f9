//! [`Connection`]: one TCP connection. Each batch is sent once, in order, or not at all.
//!
//! A lone caller writes its request itself, and looks for the replies for a moment; the requests of a crowd are written
//! together by one of two tasks, and the other one reads. They run in the background of [`Env`], so the watchdog renews while
//! the caller's runtime is blocked, and a request whose caller was dropped is completed. All requests of a client go over one
//! connection, in order, so no claim arrives after the release that undoes it.

mod queue;

use std::{
    future::poll_fn,
    io,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use leasehold_core::{Env, Moment, Revalidations, store_kit::Locked};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{
        Notify,
        oneshot::{self, error::TryRecvError},
        watch,
    },
};

use self::queue::{Request, RequestQueue};
use super::protocol::{Broken, CommandBatch, Reply, read_reply};

/// The time for which a lone caller looks for its replies: to park a thread and to wake it takes longer than a server nearby.
const LOOK: Duration = Duration::from_micros(50);

/// One connection. Dropping it closes the TCP connection when all requests are answered.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) state: Arc<State>,
    /// Tells the tasks of the drop.
    _open: watch::Sender<()>,
}

#[derive(Debug)]
pub(super) struct State {
    env: Env,
    /// Whether it takes no more requests. Those under way are still answered.
    pub(super) ended: AtomicBool,
    /// The time of the last reply, in nanoseconds.
    received: AtomicU64,
    write: OwnedWriteHalf,
    queue: Locked<RequestQueue>,
    /// There is something to write, or nothing will be any more.
    unsent: Notify,
}

impl Connection {
    /// Starts to drive a TCP connection.
    pub(super) fn new(stream: TcpStream, env: &Env, revalidations: &Revalidations) -> Connection {
        let (read, write) = stream.into_split();
        let state = Arc::new(State {
            env: env.clone(),
            ended: AtomicBool::new(false),
            received: AtomicU64::new(env.now().nanos()),
            write,
            queue: Locked::default(),
            unsent: Notify::new(),
        });
        let (_open, one_open) = watch::channel(());
        let two_open = one_open.clone();
        let (one, two, revalidations) = (state.clone(), state.clone(), revalidations.clone());
        env.spawn(async move {
            // A connection that cannot be written has an end to be read, too.
            let _ = send(&one, one_open).await;
            one.ended.store(true, Ordering::Release);
        });
        env.spawn(async move {
            let end = receive(read, &two, two_open).await;
            two.end();
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
        Connection { state, _open }
    }

    pub(super) fn last_received(&self) -> Moment {
        Moment::from_nanos(self.state.received.load(Ordering::Relaxed))
    }

    /// One reply for each command; `None` when the connection broke first.
    ///
    /// # Cancel safety
    /// Dropping it leaves the commands sent or not sent.
    pub(super) async fn call(&self, batch: CommandBatch) -> Option<Vec<Reply>> {
        let (answer, mut replies) = oneshot::channel();
        if self.state.push(batch, answer) {
            // Its caller may have requests to other servers to send before it looks here.
            next_poll().await;
            match self.state.look(&mut replies) {
                Err(TryRecvError::Empty) => {}
                found => return found.ok(),
            }
        }
        replies.await.ok()
    }
}

impl State {
    /// Writes a request, or has it written; whether its caller may look for the replies.
    fn push(&self, batch: CommandBatch, answer: oneshot::Sender<Vec<Reply>>) -> bool {
        let CommandBatch { bytes, wants } = batch;
        let mut queue = self.queue.lock();
        let Some(is_alone) = queue.push(Request { wants, answer }) else { return false };
        // What fails here fails again for the task that writes.
        let written = if is_alone { self.write.try_write(&bytes).unwrap_or(0) } else { 0 };
        if written < bytes.len() {
            queue.unsent.extend_from_slice(&bytes[written..]);
            self.unsent.notify_one();
        }
        is_alone && queue.may_look()
    }

    /// Looks for the replies to the only request under way.
    fn look(&self, replies: &mut oneshot::Receiver<Vec<Reply>>) -> Result<Vec<Reply>, TryRecvError> {
        static THREADS: LazyLock<bool> =
            LazyLock::new(|| std::thread::available_parallelism().is_ok_and(|threads| threads.get() > 1));
        let until = self.env.now() + if *THREADS { LOOK } else { Duration::ZERO };
        let found = loop {
            match replies.try_recv() {
                Err(TryRecvError::Empty) if self.env.now() < until => std::hint::spin_loop(),
                found => break found,
            }
        };
        self.queue.lock().looked(found.is_ok());
        found
    }

    /// Ends all requests without their replies, and takes no more.
    fn end(&self) {
        self.ended.store(true, Ordering::Release);
        let pending = self.queue.lock().close();
        drop(pending);
        self.unsent.notify_one();
    }
}

/// Completes when its task is polled again, which is at once.
async fn next_poll() {
    let mut is_next = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_next, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Writes what its callers leave, until the client has closed the connection.
async fn send(state: &State, mut open: watch::Receiver<()>) -> io::Result<()> {
    loop {
        let Some(bytes) = state.queue.lock().take_unsent() else { return Ok(()) };
        if !bytes.is_empty() {
            write_all(&state.write, &bytes).await?;
            continue;
        }
        tokio::select! {
            biased;
            () = state.unsent.notified() => {}
            _ = open.changed() => return Ok(()),
        }
    }
}

async fn write_all(write: &OwnedWriteHalf, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        write.writable().await?;
        match write.try_write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads replies until the client has closed the connection.
async fn receive(read: OwnedReadHalf, state: &State, mut open: watch::Receiver<()>) -> Result<(), Broken> {
    let (mut read, mut is_open) = (BufReader::new(read), true);
    while is_open || state.queue.lock().is_awaited() {
        tokio::select! {
            biased;
            bytes = read.fill_buf() => if bytes?.is_empty() { return Err(Broken::Closed) },
            _ = open.changed(), if is_open => {
                is_open = false;
                continue;
            }
        }
        let next = state.queue.lock().next();
        let Some(Request { wants, answer }) = next else {
            return Err(Broken::Malformed("a reply without a request"));
        };
        let mut replies = Vec::with_capacity(wants.len());
        for want in wants {
            replies.push(read_reply(&mut read, want).await?);
            state.received.fetch_max(state.env.now().nanos(), Ordering::Relaxed);
        }
        // The caller may have been dropped.
        let _ = answer.send(replies);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
