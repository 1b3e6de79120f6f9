//! [`Named`]: statements that the server has parsed and planned once for a connection.
//!
//! The client library names them `s1`, `s2` and so on. Behind a pooler that name may be another client's statement, so they
//! are used only where the server process is the one that the connection was made with.

use std::{
    future::{Ready, ready},
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    Client, Error, Statement,
    tls::{ChannelBinding, TlsConnect, TlsStream},
};

use crate::sql::{CLAIM, RELEASE, Sql};

pub(crate) struct Named([(&'static Sql, Statement); 2]);

impl Named {
    /// Names the statements that are sent often, if the server process is that with which the connection was made.
    pub(crate) async fn prepare(client: &Client, process: i32) -> Option<Named> {
        if made_with(client).await != Some(process) {
            return None;
        }
        let name = |sql: &'static Sql| async move {
            Ok::<_, Error>((sql, client.prepare_typed(&sql.text, sql.types).await?))
        };
        let named = tokio::try_join!(name(&CLAIM), name(&RELEASE));
        let named = named.inspect_err(|error| tracing::debug!(store = "postgres", %error, "no names"));
        named.ok().map(|(claim, release)| Named([claim, release]))
    }

    pub(crate) fn get(&self, sql: &Sql) -> Option<Statement> {
        self.0.iter().find(|(known, _)| std::ptr::eq(*known, sql)).map(|(_, statement)| statement.clone())
    }
}

/// The server process that the server, or a pooler, named when the connection was made. The library tells it in the request
/// that would cancel a statement, and nowhere else.
async fn made_with(client: &Client) -> Option<i32> {
    let mut written = Request(Vec::new());
    client.cancel_token().cancel_query_raw(&mut written, InMemory).await.ok()?;
    // The secret key comes last.
    written.0.last_chunk::<8>()?.first_chunk().map(|process| i32::from_be_bytes(*process))
}

/// A request that is written to memory. Where TLS is demanded the "server" has it, and nothing is encrypted.
struct Request(Vec<u8>);

struct InMemory;

impl<'r> TlsConnect<&'r mut Request> for InMemory {
    type Stream = &'r mut Request;
    type Error = io::Error;
    type Future = Ready<io::Result<&'r mut Request>>;

    fn connect(self, request: &'r mut Request) -> Self::Future {
        ready(Ok(request))
    }
}

impl TlsStream for &mut Request {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Request {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, read: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        read.put_slice(b"S");
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Request {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
