//! [`PubSub`]: the one connection to a server on which a client receives its wake-ups.
//!
//! It lives as long as its connection. When that ends, every subscription is broken; its waiter asks the store again and
//! subscribes on a new connection. A lost message costs a request, never a wait.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::{Stream, StreamExt};
use leasehold_core::{
    Env, Error, ErrorKind, Result,
    store_kit::{Locked, Waiters, in_time},
};
use redis::{
    Cmd, PushInfo, PushKind, Value,
    aio::{MultiplexedConnection, PubSubSink},
    cmd,
};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

use crate::transport::{Node, config};

/// The topic of a subscription.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Topic {
    /// The turn of the waiter with this tag.
    Turn(u32),
    /// A message on this channel.
    Channel(String),
    /// A change of this key, by any client.
    Key(Vec<u8>),
}

/// One subscription connection.
pub(crate) struct PubSub {
    node: Arc<Node>,
    env: Env,
    transport: Transport,
    waiters: Arc<Waiters<Topic>>,
    /// Held while a channel is subscribed or unsubscribed.
    changing: AsyncMutex<()>,
    /// The subscribed channels, and whether each is sharded.
    channels: Locked<HashMap<String, bool>>,
    broken: AtomicBool,
    tracks: bool,
}

/// RESP3 carries messages and commands on one connection; RESP2 needs the library's own subscriber.
enum Transport {
    Resp3(MultiplexedConnection),
    Resp2(AsyncMutex<PubSubSink>),
}

impl PubSub {
    /// Connects, on the background thread, and receives until the connection ends, the node is retired, or nobody has
    /// the value any more.
    pub(crate) async fn start(node: Arc<Node>, env: Env) -> Result<Arc<PubSub>> {
        let (answer, started) = oneshot::channel();
        let (task_node, task_env) = (node.clone(), env.clone());
        env.spawn(async move {
            // The caller may have given up.
            let _ = answer.send(PubSub::connect(task_node, task_env).await);
        });
        let limit = node.connector().timeout();
        match env.until(env.now() + limit, started).await {
            Some(Ok(pubsub)) => pubsub,
            _ => Err(Error::new(ErrorKind::TimedOut, format!("no subscription within {limit:?}"))),
        }
    }

    async fn connect(node: Arc<Node>, env: Env) -> Result<Arc<PubSub>> {
        if node.connector().speaks_resp3() {
            let (sender, mut pushes) = mpsc::unbounded_channel();
            let configured = |resp3| if resp3 { config().set_push_sender(sender.clone()) } else { config() };
            let mut connection = node.connector().connect(node.endpoint(), configured).await?;
            if node.connector().speaks_resp3() {
                drop(sender);
                // Without the right to track, or on a server that cannot, unannounced changes are found by polling.
                let mut tracking = cmd("CLIENT");
                tracking.arg("TRACKING").arg("ON");
                let tracks = connection.send_packed_command(&tracking).await.is_ok();
                let pubsub = PubSub::new(node, env.clone(), Transport::Resp3(connection), tracks);
                let weak = Arc::downgrade(&pubsub);
                env.spawn(async move {
                    let stream = futures_util::stream::poll_fn(move |context| pushes.poll_recv(context));
                    PubSub::receive_all(weak, stream.map(Push::from)).await;
                });
                return Ok(pubsub);
            }
        }
        let explain = |error| node.connector().explain(&error);
        let (sink, stream) = node.client()?.get_async_pubsub().await.map_err(explain)?.split();
        let pubsub = PubSub::new(node, env.clone(), Transport::Resp2(AsyncMutex::new(sink)), false);
        let messages = stream.map(|message| Push::Message {
            channel: message.get_channel_name().to_string(),
            payload: message.get_payload_bytes().to_vec(),
        });
        env.spawn(PubSub::receive_all(Arc::downgrade(&pubsub), messages));
        Ok(pubsub)
    }

    fn new(node: Arc<Node>, env: Env, transport: Transport, tracks: bool) -> Arc<PubSub> {
        let (waiters, changing, channels) = Default::default();
        let broken = AtomicBool::new(false);
        Arc::new(PubSub { node, env, transport, waiters, changing, channels, broken, tracks })
    }

    async fn receive_all(pubsub: Weak<PubSub>, stream: impl Stream<Item = Push>) {
        let mut stream = std::pin::pin!(stream);
        let Some(node) = pubsub.upgrade().map(|pubsub| pubsub.node.clone()) else { return };
        loop {
            let push = tokio::select! {
                push = stream.next() => push.unwrap_or(Push::End),
                () = node.retirement() => Push::End,
            };
            let Some(pubsub) = pubsub.upgrade() else { return };
            match push {
                Push::Message { channel, payload } => pubsub.receive(channel, &payload),
                Push::Changed(key) => pubsub.waiters.wake(&Topic::Key(key)),
                Push::AllChanged => pubsub.waiters.wake_where(|topic| matches!(topic, Topic::Key(_))),
                // This client's own unsubscription removes the channel first: one that is still listed was ended by
                // the server, whose slot has moved.
                Push::Unsubscribed(channel) if !pubsub.channels.lock().contains_key(&channel) => {}
                Push::Other => {}
                Push::Unsubscribed(_) | Push::End => return pubsub.break_off(),
            }
        }
    }

    fn receive(&self, channel: String, payload: &[u8]) {
        let tag = std::str::from_utf8(payload).ok().and_then(|text| u32::from_str_radix(text, 16).ok());
        self.waiters.wake(&tag.map_or(Topic::Channel(channel), Topic::Turn));
    }

    fn break_off(&self) {
        self.broken.store(true, Ordering::Release);
        let error = Error::new(ErrorKind::Unreachable, "the subscription broke")
            .hint("ask the store again, and subscribe anew");
        self.waiters.close(&error);
    }

    pub(crate) fn waiters(&self) -> &Arc<Waiters<Topic>> {
        &self.waiters
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Whether the connection has ended.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire) || self.node.is_retired()
    }

    /// Whether it receives unannounced changes of keys.
    pub(crate) fn tracks(&self) -> bool {
        self.tracks
    }

    /// Whether a channel is subscribed.
    pub(crate) fn has_joined(&self, channel: &str) -> bool {
        !self.is_broken() && self.channels.lock().contains_key(channel)
    }

    /// Subscribes to a channel, and waits until it is.
    pub(crate) async fn join(&self, channel: &str, sharded: bool) -> Result<()> {
        let limit = self.node.connector().timeout();
        let joined = self.env.until(self.env.now() + limit, self.join_now(channel, sharded)).await;
        joined.unwrap_or_else(|| {
            self.break_off();
            Err(Error::new(ErrorKind::TimedOut, format!("no subscription within {limit:?}")))
        })
    }

    async fn join_now(&self, channel: &str, sharded: bool) -> Result<()> {
        let _changing = self.changing.lock().await;
        if self.has_joined(channel) {
            return Ok(());
        }
        match &self.transport {
            Transport::Resp3(connection) => {
                let mut subscribe = cmd(if sharded { "SSUBSCRIBE" } else { "SUBSCRIBE" });
                subscribe.arg(channel);
                self.send(connection, &subscribe).await?;
            }
            Transport::Resp2(sink) => {
                let subscribed = sink.lock().await.subscribe(channel).await;
                subscribed.map_err(|error| self.node.connector().explain(&error))?;
            }
        }
        self.channels.lock().insert(channel.to_string(), sharded);
        Ok(())
    }

    async fn send(&self, connection: &MultiplexedConnection, command: &Cmd) -> Result<Value> {
        let answer = connection.clone().send_packed_command(command).await;
        answer.map_err(|error| self.node.connector().explain(&error))
    }

    /// Unsubscribes from a channel that has lost its last waiter.
    pub(crate) fn leave(self: &Arc<Self>, channel: String) {
        let pubsub = self.clone();
        self.env.spawn(async move {
            let _changing = pubsub.changing.lock().await;
            // A new waiter may have come in the meantime.
            if pubsub.waiters.has(&Topic::Channel(channel.clone())) {
                return;
            }
            let Some(sharded) = pubsub.channels.lock().remove(&channel) else { return };
            // A failure means that the connection is broken, which ends the subscription, too.
            match &pubsub.transport {
                Transport::Resp3(connection) => {
                    let mut leave = cmd(if sharded { "SUNSUBSCRIBE" } else { "UNSUBSCRIBE" });
                    leave.arg(&channel);
                    let _ = pubsub.send(connection, &leave).await;
                }
                Transport::Resp2(sink) => {
                    let _ = sink.lock().await.unsubscribe(&channel).await;
                }
            }
        });
    }

    /// Asks for a message about the next change of a key, by any client. Answers whether the key exists.
    pub(crate) async fn track(&self, key: &str) -> Result<bool> {
        let Transport::Resp3(connection) = &self.transport else { return Ok(true) };
        let mut exists = cmd("EXISTS");
        exists.arg(key);
        let limit = self.node.connector().timeout();
        Ok(in_time(&self.env, limit, "answer", self.send(connection, &exists)).await?? != Value::Int(0))
    }
}

/// A message of the server on a subscription connection.
enum Push {
    Message { channel: String, payload: Vec<u8> },
    Changed(Vec<u8>),
    AllChanged,
    Unsubscribed(String),
    Other,
    End,
}

impl From<PushInfo> for Push {
    fn from(push: PushInfo) -> Push {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut data = push.data.into_iter();
        match (push.kind, data.next()) {
            (PushKind::Message | PushKind::SMessage, Some(Value::BulkString(channel))) => match data.next() {
                Some(Value::BulkString(payload)) => Push::Message { channel: text(&channel), payload },
                _ => Push::Other,
            },
            (PushKind::Invalidate, Some(Value::Array(keys))) => match keys.into_iter().next() {
                Some(Value::BulkString(key)) => Push::Changed(key),
                _ => Push::Other,
            },
            (PushKind::Invalidate, _) => Push::AllChanged,
            (PushKind::SUnsubscribe, Some(Value::BulkString(channel))) => Push::Unsubscribed(text(&channel)),
            (PushKind::Disconnection, _) => Push::End,
            _ => Push::Other,
        }
    }
}

impl fmt::Debug for PubSub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PubSub").field(&self.node).finish()
    }
}
