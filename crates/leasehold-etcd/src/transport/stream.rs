//! [`Channel`]: gRPC's requests over one connection of HTTP/2.
//!
//! A task of the runtime reads, and the caller writes: a request leaves in one piece, header and message, and wakes no other
//! thread on its way. In a crowd the reader writes as well, once the callers that it has woken have queued their requests:
//! these leave in one piece.

use std::{
    error::Error,
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker, ready},
};

use bytes::Bytes;
use h2::{
    RecvStream,
    client::{Builder, Connection, ResponseFuture, SendRequest},
};
use http_body::{Body as _, Frame};
use leasehold_core::{BoxFuture, store_kit::Locked};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::yield_now,
};
use tonic::{body::Body, client::GrpcService};

/// The bytes that may be on their way to this client, of one answer and of all.
const ANSWER_WINDOW_BYTES: u32 = 2 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 5 << 20;

/// The number of requests without an answer, a new one with them, from which it is left to the reader.
const CROWD: usize = 2;

type Failed = Box<dyn Error + Send + Sync>;

/// A byte stream.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Sends requests on one connection.
#[derive(Clone)]
pub(super) struct Channel {
    requests: SendRequest<Bytes>,
    line: Arc<Line>,
}

/// The connection, and who is woken when there is something to read.
struct Line {
    /// `None` once it has ended.
    connection: Locked<Option<Connection<Box<dyn Stream>>>>,
    bell: Arc<Bell>,
    /// Requests have been queued, and the reader writes them.
    is_left: AtomicBool,
    /// Each request without an answer has a copy.
    unanswered: Arc<()>,
}

/// Wakes the task that reads.
#[derive(Default)]
struct Bell {
    reader: Locked<Option<Waker>>,
    /// Set by a writer, which polls the connection next: nobody has to be woken for it.
    is_muted: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if !self.is_muted.load(Ordering::SeqCst) {
            self.ring();
        }
    }
}

impl Bell {
    fn ring(&self) {
        let reader = self.reader.lock().clone();
        reader.iter().for_each(Waker::wake_by_ref);
    }
}

/// The error of a request that certainly was not sent.
fn not_sent(error: h2::Error) -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, error)
}

/// Opens a connection on a stream; the future drives it, and completes when it has ended.
pub(super) async fn open(
    stream: Box<dyn Stream>,
) -> Result<(Channel, impl Future<Output = ()> + Send), h2::Error> {
    let mut builder = Builder::new();
    builder.initial_window_size(ANSWER_WINDOW_BYTES).initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    let (requests, connection) = builder.enable_push(false).handshake(stream).await?;
    let line = Arc::new(Line {
        connection: Locked::new(Some(connection)),
        bell: Arc::default(),
        is_left: AtomicBool::default(),
        unanswered: Arc::default(),
    });
    let read = line.clone().read();
    Ok((Channel { requests, line }, read))
}

impl Line {
    /// Reads, and writes what was left to it, until the connection has ended.
    async fn read(self: Arc<Self>) {
        loop {
            let ended = poll_fn(|context| {
                *self.bell.reader.lock() = Some(context.waker().clone());
                if self.is_left.load(Ordering::SeqCst) {
                    return Poll::Ready(false);
                }
                self.poll(&mut self.connection.lock()).map(|()| true)
            });
            if ended.await {
                return;
            }
            // Behind everybody else who can run now, and may have a request as well.
            yield_now().await;
            self.is_left.store(false, Ordering::SeqCst);
        }
    }

    /// Writes what is queued and reads what is there; ready when the connection has ended.
    fn poll(&self, connection: &mut Option<Connection<Box<dyn Stream>>>) -> Poll<()> {
        let waker = Waker::from(self.bell.clone());
        if let Some(open) = connection {
            // Each request gets its error.
            let _ = ready!(Pin::new(open).poll(&mut Context::from_waker(&waker)));
            *connection = None;
        }
        Poll::Ready(())
    }

    /// Queues a request and writes it, unless another thread is about to poll the connection, or the reader does it.
    fn write<T>(&self, queue: impl FnOnce() -> T) -> T {
        if Arc::strong_count(&self.unanswered) > CROWD {
            self.is_left.store(true, Ordering::SeqCst);
            return queue();
        }
        let Some(mut connection) = self.connection.try_lock() else { return queue() };
        self.bell.is_muted.store(true, Ordering::SeqCst);
        let queued = queue();
        self.bell.is_muted.store(false, Ordering::SeqCst);
        if self.poll(&mut connection).is_ready() {
            self.bell.ring();
        }
        queued
    }
}

impl Channel {
    /// Sends the header and the first message of a request. It stays open for as long as its answer is read, unless there is no
    /// more to come.
    async fn send(self, request: http::Request<Body>) -> Result<http::Response<Answer>, Failed> {
        let (head, mut body) = request.into_parts();
        let first = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await.transpose()?;
        let message = first.and_then(|frame| frame.into_data().ok()).unwrap_or_default();
        let next = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()));
        let is_end = matches!(next, Poll::Ready(None));
        let _unanswered = self.line.unanswered.clone();
        let mut requests = self.requests.ready().await.map_err(not_sent)?;
        let queued = self.line.write(|| -> Result<ResponseFuture, h2::Error> {
            let (answer, mut stream) = requests.send_request(http::Request::from_parts(head, ()), false)?;
            stream.send_data(message, is_end)?;
            Ok(answer)
        });
        Ok(queued.map_err(not_sent)?.await?.map(Answer))
    }
}

impl GrpcService<Body> for Channel {
    type ResponseBody = Answer;
    type Error = Failed;
    type Future = BoxFuture<'static, Result<http::Response<Answer>, Failed>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}

/// The body of an answer.
pub(super) struct Answer(RecvStream);

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let stream = &mut self.0;
        match ready!(stream.poll_data(context)) {
            Some(Ok(data)) => {
                stream.flow_control().release_capacity(data.len())?;
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => Poll::Ready(ready!(stream.poll_trailers(context))?.map(|map| Ok(Frame::trailers(map)))),
        }
    }
}

#[cfg(test)]
mod tests;
