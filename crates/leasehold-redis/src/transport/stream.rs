//! A stream to a server: TCP, TLS with the certificates that the files have now, or a Unix socket; and requests by the connections of
//! redis-rs.

use std::{io, net::SocketAddr, pin::Pin, sync::Arc};

use leasehold_core::{
    Result,
    store_kit::{Access, Secrets, tls_config},
    url::Address,
};
use redis::{
    Cmd, Pipeline, RedisResult, Value,
    aio::{AsyncStream, MultiplexedConnection},
};
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::line::{Halves, broke};
use crate::{
    format::{Replies, as_reply},
    options::Endpoint,
};

/// A stream to a server.
pub(super) type Stream = Pin<Box<dyn AsyncStream + Send + Sync>>;

/// Connects to an endpoint, which is at this address unless it is a Unix socket.
///
/// # Errors
/// Those of the files, of the handshake, and of a certificate that is not accepted.
pub(super) async fn open(
    endpoint: &Endpoint,
    address: Option<SocketAddr>,
    access: &Access,
    secrets: &Secrets,
) -> io::Result<Stream> {
    let name = match endpoint {
        Endpoint::Tcp(name) => name,
        Endpoint::Unix(path) => return Ok(Box::pin(UnixStream::connect(path).await?)),
    };
    let stream = tcp(name, address).await?;
    if !access.tls {
        return Ok(Box::pin(stream));
    }
    Ok(Box::pin(secure(stream, access.server_name.as_ref().unwrap_or(&name.host), secrets).await?))
}

/// Connects to an endpoint, without TLS.
pub(super) async fn plain(endpoint: &Endpoint, address: Option<SocketAddr>) -> io::Result<Halves> {
    Ok(match endpoint {
        Endpoint::Tcp(name) => tcp(name, address).await?.into(),
        Endpoint::Unix(path) => UnixStream::connect(path).await?.into(),
    })
}

async fn tcp(name: &Address, address: Option<SocketAddr>) -> io::Result<TcpStream> {
    let stream = match address {
        Some(address) => TcpStream::connect(address).await?,
        None => TcpStream::connect((name.host.as_str(), name.port)).await?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Encrypts a connection to a server whose certificate contains this name.
async fn secure(stream: TcpStream, name: &str, secrets: &Secrets) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name).map_err(io::Error::other)?.to_owned();
    TlsConnector::from(Arc::new(tls_config(secrets)?)).connect(name, stream).await
}

/// Sends commands by a connection of redis-rs, and answers one reply for each.
pub(super) async fn exchange_by_library(
    connection: &MultiplexedConnection,
    commands: &[Cmd],
) -> Result<Replies> {
    library_replies(connection.clone().send_packed_commands(&pipeline(commands), 0, commands.len()).await)
}

pub(super) fn pipeline(commands: &[Cmd]) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(commands.len());
    for command in commands {
        pipeline.add_command(command.clone());
    }
    pipeline
}

/// The replies to commands by redis-rs, of which some were perhaps sent if there are none.
pub(super) fn library_replies(sent: RedisResult<Vec<Value>>) -> Result<Replies> {
    let replies = sent.map(|values| values.into_iter().map(as_reply).collect());
    replies.map_err(|error| broke(&error.category()).unknown())
}
