//! [`Connection`]: the connection to one member, and the [`Connector`] that makes it.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::uri::PathAndQuery;
use leasehold_core::{
    Env, Error, ErrorKind, Moment, Result,
    store_kit::{self, timed_out},
    url::Address,
};
use prost::Message;
use tokio::sync::watch;
use tonic::{
    Request, Status, Streaming,
    client::Grpc,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint as Remote},
};
use tonic_prost::ProstCodec;

use crate::{error::innermost, options::EtcdOptions};

/// Larger answers are refused: a queue of a hundred thousand with short notes fits.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The path of a procedure.
pub(crate) type Procedure = &'static str;

/// The login that a request carries.
pub(crate) type Token = Option<MetadataValue<Ascii>>;

/// One connection.
pub(crate) struct Connection {
    /// The index of the member among the endpoints.
    index: usize,
    endpoint: Address,
    channel: Channel,
    /// When the last answer arrived, in nanoseconds.
    last_answer: AtomicU64,
    /// Nothing more is sent on it, and its streams end.
    retired: watch::Sender<bool>,
}

/// Makes connections to the members.
pub(crate) struct Connector {
    options: Arc<EtcdOptions>,
    env: Env,
    tls: Option<ClientTlsConfig>,
    /// The index of the member that is tried next.
    next: AtomicUsize,
}

impl Connector {
    /// # Errors
    /// [`ErrorKind::Invalid`] when the certificate file cannot be read.
    pub(crate) fn new(options: Arc<EtcdOptions>, env: Env) -> Result<Connector> {
        let tls = match &options.ca {
            _ if !options.tls => None,
            Some(path) => Some(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?))),
            None => Some(ClientTlsConfig::new().with_native_roots()),
        };
        Ok(Connector { options, env, tls, next: AtomicUsize::new(0) })
    }

    /// Connects to the next member that can be reached, on the current runtime, which drives the connection.
    pub(crate) async fn connect_any(&self) -> Result<Connection> {
        let end = self.env.now() + self.options.timeout;
        let mut last = Error::new(ErrorKind::Invalid, "no member is named");
        for _ in 0..self.options.endpoints.len() {
            let index = self.next.fetch_add(1, Ordering::Relaxed) % self.options.endpoints.len();
            let now = self.env.now();
            // A member that swallows every packet does not use up the time of all.
            let share = (self.options.timeout / 2).min(end.since(now).max(Duration::from_millis(1)));
            match self.env.until(now + share, self.connect(index)).await {
                Some(Ok(connection)) => {
                    self.next.store(index, Ordering::Relaxed);
                    return Ok(connection);
                }
                Some(Err(error)) => last = error,
                None => {
                    last = timed_out("connection", share).store(url(&self.options.endpoints[index]));
                }
            }
        }
        Err(last)
    }

    /// Has the next attempt begin with the member after that of a broken connection.
    pub(crate) fn pass_over(&self, connection: &Connection) {
        self.next.store(connection.index + 1, Ordering::Relaxed);
    }

    /// Connects to the member at this index, on the current runtime, which drives the connection.
    pub(crate) async fn connect(&self, index: usize) -> Result<Connection> {
        let endpoint = self.options.endpoints[index].clone();
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let named = |error: Error| error.store(url(&endpoint));
        let invalid = |error: tonic::transport::Error| {
            named(Error::new(ErrorKind::Invalid, format!("`{endpoint}` is no valid address: {error}")))
        };
        let mut remote =
            Remote::from_shared(format!("{scheme}://{endpoint}")).map_err(invalid)?.tcp_nodelay(true);
        if let Some(tls) = &self.tls {
            let tls = tls.clone().domain_name(endpoint.host.clone());
            remote = remote.tls_config(tls).map_err(invalid)?;
        }
        let channel = remote.connect().await.map_err(|error| named(self.unreachable(&error)))?;
        let last_answer = AtomicU64::new(self.env.now().nanos());
        Ok(Connection { index, endpoint, channel, last_answer, retired: watch::Sender::new(false) })
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> Error {
        let text = innermost(error);
        if self.tls.is_some() && (text.contains("certificate") || text.contains("Cert")) {
            let message = format!("the member's certificate is not accepted: {text}");
            return Error::new(ErrorKind::Rejected, message)
                .hint("does it contain the name in the URL? name your own authority with ca=PATH");
        }
        Error::new(ErrorKind::Unreachable, text).hint("is the member running, and is the address right?")
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| {
        let message = format!("the certificates in {} cannot be read: {source}", path.display());
        Error::new(ErrorKind::Invalid, message)
    })
}

fn url(endpoint: &Address) -> String {
    format!("etcd://{endpoint}")
}

impl Connection {
    /// The URL of its member.
    pub(crate) fn url(&self) -> String {
        url(&self.endpoint)
    }

    /// Sends one request and returns its answer.
    pub(crate) async fn unary<Q, R>(&self, procedure: Procedure, request: Request<Q>) -> Result<R, Status>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let mut grpc = self.grpc().await?;
        let path = PathAndQuery::from_static(procedure);
        Ok(grpc.unary(request, path, ProstCodec::default()).await?.into_inner())
    }

    /// Opens a stream of requests and one of answers.
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
        Ok(grpc.streaming(authorized(requests, token), path, ProstCodec::default()).await?.into_inner())
    }

    async fn grpc(&self) -> Result<Grpc<Channel>, Status> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
        grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
        Ok(grpc)
    }

    /// Records that the member has just answered something.
    pub(crate) fn note_answer(&self, env: &Env) {
        self.last_answer.fetch_max(env.now().nanos(), Ordering::Relaxed);
    }

    /// Whether nothing has arrived since then.
    pub(crate) fn is_silent_since(&self, moment: Moment) -> bool {
        self.last_answer.load(Ordering::Relaxed) < moment.nanos()
    }

    /// Completes when it is retired.
    pub(crate) async fn retirement(&self) {
        // The sender lives as long as `self`.
        let _ = self.retired.subscribe().wait_for(|retired| *retired).await;
    }
}

impl store_kit::Connection for Connection {
    fn is_open(&self) -> bool {
        !*self.retired.borrow()
    }

    fn end(&self) {
        self.retired.send_replace(true);
    }
}

/// A request with the login, for members that know a leader: the others refuse it instead of waiting for one.
pub(crate) fn authorized<T>(message: T, token: &Token) -> Request<T> {
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    metadata.insert("hasleader", MetadataValue::from_static("true"));
    if let Some(token) = token {
        metadata.insert("token", token.clone());
    }
    request
}
