//! [`Connection`]: the connection to one member.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::uri::PathAndQuery;
use leasehold_core::{
    Env, Error, ErrorKind, Moment, Result,
    store_kit::{self, Access, Secrets, tls_config},
    url::Address,
};
use prost::Message;
use rustls::pki_types::ServerName;
use tokio::{
    net::TcpStream,
    runtime::Handle,
    sync::{Mutex, watch},
};
use tokio_rustls::TlsConnector;
use tonic::{
    Request, Status, Streaming,
    client::Grpc,
    metadata::{Ascii, MetadataValue},
};
use tonic_prost::ProstCodec;

use super::stream::{self, Channel, Stream};
use crate::error::innermost;

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
    grpc: Grpc<Channel>,
    /// When the last answer arrived, in nanoseconds.
    last_answer: AtomicU64,
    /// Nothing more is sent on it, and its streams end.
    retired: Arc<watch::Sender<bool>>,
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
    /// Connects on the current runtime, which drives the connection. It is retired when it ends.
    pub(super) async fn open(
        member: Arc<Member>,
        access: &Access,
        secrets: Secrets,
        env: &Env,
    ) -> Result<Connection> {
        let opened = async {
            let connected = connect(&member.address, access, &secrets).await?;
            stream::open(connected).await.map_err(io::Error::other)
        };
        let (channel, driven) = opened.await.map_err(|error| unreachable(&error, access))?;
        let scheme = if access.tls { "https" } else { "http" };
        let origin = format!("{scheme}://{}", member.address).parse().map_err(|error| {
            Error::new(ErrorKind::Invalid, format!("`{}` is no valid address: {error}", member.address))
        })?;
        let grpc = Grpc::with_origin(channel, origin).max_decoding_message_size(ANSWER_BYTES_MAX);
        let (last_answer, retired) = (AtomicU64::new(env.now().nanos()), Arc::new(watch::Sender::new(false)));
        let ended = Arc::downgrade(&retired);
        Handle::current().spawn(async move {
            driven.await;
            ended.upgrade().map(|retired| retired.send_replace(true));
        });
        Ok(Connection { member, probe: Mutex::default(), grpc, last_answer, retired })
    }

    /// Sends one request and returns its answer.
    pub(crate) async fn unary<Q, R>(&self, procedure: Procedure, request: Request<Q>) -> Result<R, Status>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let path = PathAndQuery::from_static(procedure);
        Ok(self.grpc.clone().unary(request, path, ProstCodec::default()).await?.into_inner())
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
        let path = PathAndQuery::from_static(procedure);
        Ok(self.grpc.clone().streaming(requests, path, ProstCodec::default()).await?.into_inner())
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

async fn connect(address: &Address, access: &Access, secrets: &Secrets) -> io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
    stream.set_nodelay(true)?;
    if !access.tls {
        return Ok(Box::new(stream));
    }
    let mut config = tls_config(secrets)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = access.server_name.as_ref().unwrap_or(&address.host);
    let name = ServerName::try_from(name.as_str()).map_err(io::Error::other)?.to_owned();
    Ok(Box::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
}

fn unreachable(error: &io::Error, access: &Access) -> Error {
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
