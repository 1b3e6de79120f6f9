//! [`Connection`]: the connection to one member.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use http::uri::PathAndQuery;
use leasehold_core::{
    Env, Error, ErrorKind, Moment, Result,
    store_kit::{self, Access, Secrets},
    url::Address,
};
use prost::Message;
use tokio::sync::{Mutex, watch};
use tonic::{
    Request, Status, Streaming,
    client::Grpc,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint as Remote, Identity},
};
use tonic_prost::ProstCodec;

use crate::{
    error::innermost,
    protocol::{WatchRequest, WatchResponse},
};

pub(crate) const WATCH: Procedure = "/etcdserverpb.Watch/Watch";

/// Larger answers are refused: a queue of a hundred thousand with short notes fits.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The path of a procedure.
pub(crate) type Procedure = &'static str;

/// The login that a request carries.
pub(crate) type Token = Option<MetadataValue<Ascii>>;

/// A member, as all connections to it see it.
pub(crate) struct Member {
    /// Its index among the endpoints.
    pub(super) index: usize,
    address: Address,
    /// When it was last asked in vain, in nanoseconds.
    silent_since: AtomicU64,
}

/// One connection.
pub(crate) struct Connection {
    pub(super) member: Arc<Member>,
    /// The right to ask whether the member hangs.
    pub(super) probe: Mutex<()>,
    channel: Channel,
    /// When the last answer arrived, in nanoseconds.
    last_answer: AtomicU64,
    /// Nothing more is sent on it, and its streams end.
    retired: Arc<watch::Sender<bool>>,
}

/// The certificates that the files have now; `None` without TLS.
pub(super) fn tls_config(access: &Access, secrets: Secrets) -> Option<ClientTlsConfig> {
    let mut config = ClientTlsConfig::new();
    config = match secrets.ca {
        Some(pem) => config.ca_certificate(Certificate::from_pem(pem)),
        None => config.with_native_roots(),
    };
    if let Some((cert, key)) = secrets.identity {
        config = config.identity(Identity::from_pem(cert, key));
    }
    access.tls.then_some(config)
}

impl Member {
    pub(super) fn new((index, address): (usize, Address)) -> Arc<Member> {
        Arc::new(Member { index, address, silent_since: AtomicU64::default() })
    }

    pub(super) fn url(&self) -> String {
        format!("etcd://{}", self.address)
    }

    pub(super) fn found_silent(&self, since: Moment) {
        self.silent_since.fetch_max(since.nanos(), Ordering::Relaxed);
    }
}

impl Connection {
    /// Connects on the current runtime, which drives the connection.
    pub(super) async fn open(
        member: Arc<Member>,
        access: &Access,
        tls: Option<ClientTlsConfig>,
        env: &Env,
    ) -> Result<Connection> {
        let endpoint = &member.address;
        let invalid = |error: tonic::transport::Error| {
            Error::new(ErrorKind::Invalid, format!("`{endpoint}` is no valid address: {error}"))
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut remote =
            Remote::from_shared(format!("{scheme}://{endpoint}")).map_err(invalid)?.tcp_nodelay(true);
        if let Some(tls) = tls {
            let name = access.server_name.as_ref().unwrap_or(&endpoint.host);
            let explained = |error| access.explain(&innermost(&error)).unwrap_or_else(|| invalid(error));
            remote = remote.tls_config(tls.domain_name(name)).map_err(explained)?;
        }
        let channel = remote.connect().await.map_err(|error| unreachable(&error, access))?;
        let last_answer = AtomicU64::new(env.now().nanos());
        let retired = Arc::new(watch::Sender::new(false));
        let connection = Connection { member, probe: Mutex::default(), channel, last_answer, retired };
        connection.retire_when_broken(env);
        Ok(connection)
    }

    /// Retires the connection when its transport breaks. The channel would connect anew and hide that the member may have
    /// been restarted without its data; a stream ends with the transport, and so nothing is requested on it.
    fn retire_when_broken(&self, env: &Env) {
        let (mut ended, retired) = (self.retired.subscribe(), Arc::downgrade(&self.retired));
        let mut grpc = Grpc::new(self.channel.clone());
        env.spawn(async move {
            let stream = async {
                let nothing = authorized(futures_util::stream::pending::<WatchRequest>(), &None);
                grpc.ready().await.ok()?;
                let codec = ProstCodec::<_, WatchResponse>::default();
                let answers = grpc.streaming(nothing, PathAndQuery::from_static(WATCH), codec).await;
                answers.ok()?.into_inner().message().await.ok()
            };
            tokio::select! {
                _ = stream => {}
                _ = ended.wait_for(|retired| *retired) => {}
            }
            retired.upgrade().map(|retired| retired.send_replace(true));
        });
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
    pub(crate) async fn stream<Q, R>(
        &self,
        procedure: Procedure,
        requests: Request<impl futures_util::Stream<Item = Q> + Send + 'static>,
    ) -> Result<Streaming<R>, Status>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let mut grpc = self.grpc().await?;
        let path = PathAndQuery::from_static(procedure);
        Ok(grpc.streaming(requests, path, ProstCodec::default()).await?.into_inner())
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

    /// When the member last answered anything.
    pub(super) fn last_answer(&self) -> Moment {
        Moment::from_nanos(self.last_answer.load(Ordering::Relaxed))
    }

    /// Completes when it is retired.
    pub(crate) async fn retirement(&self) {
        // The sender lives as long as `self`.
        let _ = self.retired.subscribe().wait_for(|retired| *retired).await;
    }
}

impl store_kit::Connection for Connection {
    fn is_open(&self) -> bool {
        let is_silent =
            self.last_answer.load(Ordering::Relaxed) < self.member.silent_since.load(Ordering::Relaxed);
        !is_silent && !*self.retired.borrow()
    }

    fn end(&self) {
        self.retired.send_replace(true);
    }
}

fn unreachable(error: &tonic::transport::Error, access: &Access) -> Error {
    let text = innermost(error);
    access.explain(&text).unwrap_or_else(|| {
        Error::new(ErrorKind::Unreachable, text).hint("is the member running, and is the address right?")
    })
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
