//! TLS: the certificates for the client library, and connections of our own with the same.
//!
//! The library repeats a handshake that fails, and does not tell why. So one connection is made before each session, whose
//! failure is shown.

use std::{fs, io, sync::Arc};

use leasehold_core::{store_kit::Secrets, url::Address};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use zookeeper_client::{TlsCa, TlsCerts, TlsIdentity};

/// An upper bound of the answer to a four-letter command.
const ANSWER_BYTES_MAX: u64 = 1 << 16;

/// The certificates that the library uses.
pub(crate) fn certificates(secrets: &Secrets) -> io::Result<TlsCerts> {
    // The library takes the provider of the process, and there is none where several are compiled in. One that the
    // application has chosen stays.
    let _ = ring::default_provider().install_default();
    let certs = TlsCerts::builder().with_ca(TlsCa::from_pem(text(&authorities(secrets)?)?).map_err(other)?);
    let Some((cert, key)) = &secrets.identity else { return certs.build().map_err(other) };
    let identity = TlsIdentity::from_pem(text(cert)?, text(key)?).map_err(unusable)?;
    certs.with_identity(identity).build().map_err(other)
}

/// The same for connections of our own.
pub(crate) fn config(secrets: &Secrets) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(chain(&authorities(secrets)?)?);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(other)?.with_root_certificates(roots);
    let Some((cert, key)) = &secrets.identity else { return Ok(config.with_no_client_auth().into()) };
    let key = PrivateKeyDer::from_pem_slice(key).map_err(unusable)?;
    Ok(config.with_client_auth_cert(chain(cert)?, key).map_err(unusable)?.into())
}

/// The name that the certificate of a server has to contain; `None` if no certificate can contain it.
pub(crate) fn server_name(server: &Address) -> Option<ServerName<'static>> {
    ServerName::try_from(server.host.clone()).ok()
}

/// The answer of a server to a four-letter command.
pub(crate) async fn exchange(
    server: &Address,
    word: &str,
    tls: Option<Arc<ClientConfig>>,
) -> io::Result<String> {
    let stream = TcpStream::connect((server.host.as_str(), server.port)).await?;
    let Some(config) = tls else { return answer(stream, word).await };
    let name = server_name(server).ok_or(io::ErrorKind::InvalidInput)?;
    answer(TlsConnector::from(config).connect(name, stream).await?, word).await
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, word: &str) -> io::Result<String> {
    stream.write_all(word.as_bytes()).await?;
    let mut bytes = Vec::new();
    match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).await {
        // A server ends the connection without the farewell of TLS.
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// The authorities to trust, in PEM: those of the system where none are named.
fn authorities(secrets: &Secrets) -> io::Result<Vec<u8>> {
    if let Some(pem) = &secrets.ca {
        return Ok(pem.clone());
    }
    let file = openssl_probe::probe().cert_file;
    fs::read(file.ok_or_else(|| other("this system has no file of certificate authorities"))?)
}

fn chain(pem: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(other)
}

fn text(pem: &[u8]) -> io::Result<&str> {
    std::str::from_utf8(pem).map_err(|_| other("certificate: a file is not PEM"))
}

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}

fn unusable(error: impl std::fmt::Display) -> io::Error {
    other(format!("client certificate: {error}"))
}
