//! The number of writes that requests take.

use std::sync::atomic::AtomicUsize;

use futures_util::future::join_all;
use h2::server::SendResponse;
use http::{Request, Response};
use tokio::io::{DuplexStream, ReadBuf, duplex};

use super::*;

/// Requests of the crowd, beside the first one.
const OTHERS: usize = 16;

/// A stream that counts the writes to it.
struct Counted {
    stream: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

fn answer(mut request: SendResponse<Bytes>) {
    request.send_response(Response::new(()), true).unwrap();
}

/// Answers requests for `/now` at once, and others when the whole crowd has come.
async fn serve(stream: DuplexStream) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    let mut crowd = Vec::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        match request.uri().path() {
            "/now" => answer(respond),
            _ => crowd.push(respond),
        }
        if crowd.len() > OTHERS {
            crowd.drain(..).for_each(answer);
        }
    }
}

async fn ask(channel: &Channel, path: &str) {
    let request = Request::builder().uri(format!("http://member{path}")).body(Body::empty()).unwrap();
    channel.clone().send(request).await.unwrap();
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a server in memory, on the test's own runtime")]
async fn a_lone_request_is_one_write_and_so_is_a_crowd() {
    let (stream, server) = duplex(1 << 20);
    tokio::spawn(serve(server));
    let writes = Arc::<AtomicUsize>::default();
    let (channel, read) = open(Box::new(Counted { stream, writes: writes.clone() })).await.unwrap();
    tokio::spawn(read);
    // The first one meets the settings of both sides.
    ask(&channel, "/now").await;
    writes.store(0, Ordering::SeqCst);
    for count in 1..=3 {
        ask(&channel, "/now").await;
        assert_eq!(writes.load(Ordering::SeqCst), count);
    }
    writes.store(0, Ordering::SeqCst);
    join_all((0..=OTHERS).map(|_| ask(&channel, "/later"))).await;
    assert_eq!(writes.load(Ordering::SeqCst), 2, "the first one's own, and one for all others");
}
