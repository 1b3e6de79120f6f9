//! [`Connection`]: the connection to one member. What is sent is sent once.

use std::{
    fmt,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use http::uri::PathAndQuery;
use leasehold_core::{Env, Error, ErrorKind, Result};
use prost::Message;
use tokio::sync::watch;
use tonic::{
    Request, Status, Streaming,
    client::Grpc,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint as Remote},
};
use tonic_prost::ProstCodec;

use crate::options::{Endpoint, EtcdOptions};

/// Larger answers are refused: a queue of a hundred thousand with short notes fits.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The path of a procedure.
pub(crate) type Procedure = &'static str;

/// One connection.
pub(crate) struct Connection {
    pub(crate) endpoint: Endpoint,
    channel: Channel,
    /// When something was last heard on it, in nanoseconds.
    heard: AtomicU64,
    /// Nothing is sent on it any more, and whoever listens on it readings for another.
    retired: watch::Sender<bool>,
    failed: AtomicBool,
}

/// How members are reached.
pub(crate) struct Connector {
    tls: Option<ClientTlsConfig>,
}

impl Connector {
    /// # Errors
    /// [`ErrorKind::Invalid`] when the authorities cannot be read.
    pub(crate) fn new(options: &EtcdOptions) -> Result<Connector> {
        if !options.tls {
            return Ok(Connector { tls: None });
        }
        let tls = match &options.ca {
            Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        Ok(Connector { tls: Some(tls) })
    }

    /// Connects, on the current runtime, which drives the connection.
    pub(crate) async fn connect(&self, endpoint: &Endpoint, env: &Env) -> Result<Connection> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let named = |error: Error| error.store(format!("etcd://{endpoint}"));
        let invalid = |error: tonic::transport::Error| {
            named(Error::new(ErrorKind::Invalid, format!("no address can be made of `{endpoint}`: {error}")))
        };
        let mut remote =
            Remote::from_shared(format!("{scheme}://{endpoint}")).map_err(invalid)?.tcp_nodelay(true);
        if let Some(tls) = &self.tls {
            let tls = tls.clone().domain_name(endpoint.host.clone());
            remote = remote.tls_config(tls).map_err(invalid)?;
        }
        let channel = remote.connect().await.map_err(|error| named(self.unreachable(&error)))?;
        let heard = AtomicU64::new(env.now().nanos());
        let retired = watch::Sender::new(false);
        Ok(Connection { endpoint: endpoint.clone(), channel, heard, retired, failed: AtomicBool::new(false) })
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> Error {
        let mut last = error;
        while let Some(source) = last.source() {
            last = source;
        }
        let text = last.to_string();
        if self.tls.is_some() && (text.contains("certificate") || text.contains("Cert")) {
            let message = format!("the member's certificate is not accepted: {text}");
            return Error::new(ErrorKind::Rejected, message)
                .hint("is the name in the URL one that it names? name your own authority with ca=PATH");
        }
        Error::new(ErrorKind::Unreachable, text).hint("is the member running, and is the address right?")
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| {
        let message = format!("the authorities in {} cannot be read: {source}", path.display());
        Error::new(ErrorKind::Invalid, message)
    })
}

/// The login that a request carries.
pub(crate) type Token = Option<MetadataValue<Ascii>>;

impl Connection {
    /// One request and its answer, also from a member that knows no leader, and without a login.
    pub(crate) async fn lenient<Q, R>(&self, procedure: Procedure, message: Q) -> Result<R, Status>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let mut grpc = self.grpc().await?;
        let path = PathAndQuery::from_static(procedure);
        Ok(grpc.unary(Request::new(message), path, ProstCodec::default()).await?.into_inner())
    }

    /// One request and its answer.
    pub(crate) async fn unary<Q, R>(
        &self,
        procedure: Procedure,
        message: Q,
        token: &Token,
    ) -> Result<R, Status>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let mut grpc = self.grpc().await?;
        let path = PathAndQuery::from_static(procedure);
        let answer = grpc.unary(dress(Request::new(message), token), path, ProstCodec::default()).await?;
        Ok(answer.into_inner())
    }

    /// A stream of requests and one of answers.
    pub(crate) async fn stream<S, Q, R>(
        &self,
        procedure: Procedure,
        requests: S,
        token: &Token,
    ) -> Result<Streaming<R>, Status>
    where
        S: futures_util::Stream<Item = Q> + Send + 'static,
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let mut grpc = self.grpc().await?;
        let path = PathAndQuery::from_static(procedure);
        let request = dress(Request::new(requests), token);
        Ok(grpc.streaming(request, path, ProstCodec::default()).await?.into_inner())
    }

    async fn grpc(&self) -> Result<Grpc<Channel>, Status> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
        grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
        Ok(grpc)
    }

    pub(crate) fn hear(&self, env: &Env) {
        self.heard.fetch_max(env.now().nanos(), Ordering::Relaxed);
    }

    /// Whether nothing was heard since then.
    pub(crate) fn silent_since(&self, nanos: u64) -> bool {
        self.heard.load(Ordering::Relaxed) < nanos
    }

    /// Nothing is sent on it from now on.
    pub(crate) fn retire(&self) {
        self.failed.store(true, Ordering::Release);
        self.retired.send_replace(true);
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Completes when it is retired.
    pub(crate) async fn retirement(&self) {
        // The sender lives as long as `self`.
        let _ = self.retired.subscribe().wait_for(|retired| *retired).await;
    }
}

/// With the login, and only for members that know a leader: others refuse instead of waiting for one.
fn dress<T>(mut request: Request<T>, token: &Token) -> Request<T> {
    let metadata = request.metadata_mut();
    metadata.insert("hasleader", MetadataValue::from_static("true"));
    if let Some(token) = token {
        metadata.insert("token", token.clone());
    }
    request
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.endpoint.to_string()).finish()
    }
}
