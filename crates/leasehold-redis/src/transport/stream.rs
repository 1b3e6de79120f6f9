//! A stream to a server: TCP, TLS with the certificates that the files have now, or a Unix socket.

use std::{io, net::SocketAddr, pin::Pin, sync::Arc};

use leasehold_core::{
    store_kit::{Access, Secrets},
    url::Address,
};
use redis::aio::AsyncStream;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::line::Halves;
use crate::options::Endpoint;

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
    TlsConnector::from(Arc::new(config(secrets)?)).connect(name, stream).await
}

fn config(secrets: &Secrets) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match &secrets.ca {
        Some(pem) => {
            for authority in chain(pem)? {
                roots.add(authority).map_err(io::Error::other)?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(io::Error::other)?.with_root_certificates(roots);
    let Some((cert, key)) = &secrets.identity else { return Ok(config.with_no_client_auth()) };
    let key = PrivateKeyDer::from_pem_slice(key).map_err(unusable)?;
    config.with_client_auth_cert(chain(cert)?, key).map_err(unusable)
}

fn chain(pem: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(io::Error::other)
}

fn unusable(error: impl std::error::Error) -> io::Error {
    io::Error::other(format!("client certificate: {error}"))
}
