//! The thread that drives a session, TCP_NODELAY on its connections, and TLS.
//!
//! The client library waits for its socket with a thread of its own (`async-io`), which would wake the background thread,
//! which would wake the caller. A session that is driven by the thread that waits for its socket saves one of the three.
//!
//! A request of ours is often two small messages. The library leaves Nagle's algorithm on and does not expose its socket, so
//! the second message would wait for the confirmation of the first: one round trip more. The option belongs to the socket
//! and not to a descriptor, so it is set through a copy of the descriptor, where that is possible.
//!
//! The library repeats a handshake that fails, and does not tell why. So one connection of our own is made before each session,
//! whose failure is shown.

use std::{
    fs,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
};

use futures_util::future::join_all;
use leasehold_core::{
    store_kit::{Locked, Secrets},
    url::Address,
};
use rustls::{ClientConfig, crypto::ring, pki_types::ServerName};
use spawns_core::{Spawn, Task};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
};
use tokio_rustls::TlsConnector;
use zookeeper_client::{Client, Connector, Error, TlsCa, TlsCerts, TlsIdentity};

/// An upper bound of the answer to a four-letter command.
const ANSWER_BYTES_MAX: u64 = 1 << 16;

/// The tasks that the library spawns.
#[derive(Default)]
struct SpawnQueue(Locked<Vec<Pin<Box<dyn Future<Output = ()> + Send>>>>);

impl Spawn for SpawnQueue {
    fn spawn(&self, task: Task) {
        self.0.lock().push(Box::into_pin(task.future));
    }
}

/// Fails in a child that was forked after a session: the thread of the client library stayed in its parent.
///
/// # Errors
/// [`ErrorKind::Unsafe`](leasehold_core::ErrorKind).
pub(crate) fn check_process() -> leasehold_core::Result<()> {
    static PROCESS: OnceLock<u32> = OnceLock::new();
    if *PROCESS.get_or_init(std::process::id) == std::process::id() {
        return Ok(());
    }
    let message = "ZooKeeper was in use before this process was forked";
    Err(leasehold_core::Error::new(leasehold_core::ErrorKind::Unsafe, message)
        .hint("connect after the fork alone, or let the child exec"))
}

/// Connects to one of the servers, on a new thread. The answer is lost when the thread ends. When the receiver is dropped, the
/// session is closed as soon as it is there.
pub(crate) fn connect(
    connector: Connector,
    servers: String,
) -> io::Result<oneshot::Receiver<Result<Client, Error>>> {
    let (send, receive) = oneshot::channel();
    let drive = move || {
        let spawned = SpawnQueue::default();
        let _scope = spawns_core::enter(&spawned);
        async_io::block_on(async {
            // A caller that has given up drops the session, which closes it.
            let _ = send.send(connector.connect(&servers).await);
            // The spawned task is the session itself, which ends when the last client is dropped.
            loop {
                let works = std::mem::take(&mut *spawned.0.lock());
                if works.is_empty() {
                    return;
                }
                join_all(works).await;
            }
        });
    };
    std::thread::Builder::new().name("leasehold-zk".into()).spawn(drive)?;
    Ok(receive)
}

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

fn text(pem: &[u8]) -> io::Result<&str> {
    std::str::from_utf8(pem).map_err(|_| other("certificate: a file is not PEM"))
}

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}

fn unusable(error: impl std::fmt::Display) -> io::Error {
    other(format!("client certificate: {error}"))
}
