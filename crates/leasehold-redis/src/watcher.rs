//! [`Watcher`]: the one connection to a server on which a client receives its wake-ups.
//!
//! It lives as long as its connection. When that ends, every subscription is broken; its waiter asks the store again and
//! subscribes on a new connection. A lost message costs a request, never a wait.

use std::{
    collections::HashMap,
    fmt,
    pin::pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::{Stream, StreamExt, stream::poll_fn};
use leasehold_core::{
    Error, ErrorKind, Result,
    env::show,
    store_kit::{Locked, Waiters, in_time},
};
use redis::{
    Msg, PushInfo, PushKind, RedisResult, Value,
    aio::{MultiplexedConnection, PubSubSink},
    cmd,
};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

use crate::transport::Node;

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
pub(crate) struct Watcher {
    pub(crate) node: Arc<Node>,
    pub(crate) waiters: Arc<Waiters<Topic>>,
    transport: Transport,
    /// Held while a channel is subscribed or unsubscribed.
    changing: AsyncMutex<()>,
    /// The subscribed channels, and whether each is sharded.
    channels: Locked<HashMap<String, bool>>,
    broken: AtomicBool,
    /// Whether it receives unannounced changes of keys.
    pub(crate) tracks: bool,
}

/// RESP3 carries messages and commands on one connection; RESP2 needs the library's own subscriber.
enum Transport {
    Resp3(MultiplexedConnection),
    Resp2(PubSubSink),
}

impl Watcher {
    /// Connects, on the background thread, and receives until the connection ends, the node ends its connections, or nobody
    /// has the value any more.
    pub(crate) async fn start(node: Arc<Node>) -> Result<Arc<Watcher>> {
        let (answer, started) = oneshot::channel();
        let (env, limit) = (node.connector.env.clone(), node.connector.options.timeout);
        env.spawn(async move {
            // The caller may have given up.
            let _ = answer.send(Watcher::connect(node).await);
        });
        match env.until(env.now() + limit, started).await {
            Some(Ok(watcher)) => watcher,
            _ => Err(Error::new(ErrorKind::TimedOut, format!("no subscription within {}", show(limit)))),
        }
    }

    async fn connect(node: Arc<Node>) -> Result<Arc<Watcher>> {
        let connector = node.connector.clone();
        if connector.speaks_resp3() {
            let (sender, mut pushes) = mpsc::unbounded_channel();
            let mut connection = connector.connect(&node.endpoint, sender).await?;
            if connector.speaks_resp3() {
                // Without the right to track, or on a server that cannot, unannounced changes are found by polling.
                let tracking = connection.send_packed_command(cmd("CLIENT").arg("TRACKING").arg("ON")).await;
                let pushes = poll_fn(move |context| pushes.poll_recv(context));
                return Ok(Watcher::receiving(node, Transport::Resp3(connection), tracking.is_ok(), pushes));
            }
        }
        let (sink, messages) = connector.connect_pubsub(&node.endpoint).await?.split();
        let as_push = |message: Msg| {
            let bytes = [message.get_channel_name().as_bytes(), message.get_payload_bytes()];
            let data = bytes.map(|bytes| Value::BulkString(bytes.to_vec())).to_vec();
            PushInfo { kind: PushKind::Message, data }
        };
        Ok(Watcher::receiving(node, Transport::Resp2(sink), false, messages.map(as_push)))
    }

    fn receiving(
        node: Arc<Node>,
        transport: Transport,
        tracks: bool,
        pushes: impl Stream<Item = PushInfo> + Send + 'static,
    ) -> Arc<Watcher> {
        let (waiters, changing, channels, broken) = Default::default();
        let watcher =
            Arc::new(Watcher { node: node.clone(), waiters, transport, changing, channels, broken, tracks });
        let (weak, env) = (Arc::downgrade(&watcher), node.connector.env.clone());
        env.spawn(async move {
            let mut pushes = pin!(pushes.take_until(node.end_of_connections()));
            while let Some(push) = pushes.next().await {
                let Some(watcher) = Weak::upgrade(&weak) else { return };
                if !watcher.receive(&push) {
                    break;
                }
            }
            if let Some(watcher) = weak.upgrade() {
                watcher.break_off();
            }
        });
        watcher
    }

    /// Wakes the waiters that a message of the server is for; false when it ends the subscriptions.
    fn receive(&self, push: &PushInfo) -> bool {
        match (&push.kind, &push.data[..]) {
            (
                PushKind::Message | PushKind::SMessage,
                [Value::BulkString(channel), Value::BulkString(payload), ..],
            ) => {
                // Other libraries publish short numbers.
                let tag = std::str::from_utf8(payload).ok().filter(|text| text.len() == 8);
                let turn = tag.and_then(|tag| u32::from_str_radix(tag, 16).ok()).map(Topic::Turn);
                self.waiters.wake(&turn.unwrap_or_else(|| Topic::Channel(lossy(channel))));
            }
            (PushKind::Invalidate, [Value::Array(keys)]) => {
                for key in keys {
                    if let Value::BulkString(key) = key {
                        self.waiters.wake(&Topic::Key(key.clone()));
                    }
                }
            }
            (PushKind::Invalidate, _) => self.waiters.wake_where(|topic| matches!(topic, Topic::Key(_))),
            // This client's own unsubscription removes the channel first: one that is still listed was ended by the
            // server, whose slot has moved.
            (PushKind::SUnsubscribe, [Value::BulkString(channel), ..]) => {
                return !self.channels.lock().contains_key(&lossy(channel));
            }
            (PushKind::Disconnection, _) => return false,
            _ => {}
        }
        true
    }

    fn break_off(&self) {
        self.broken.store(true, Ordering::Release);
        let error = Error::new(ErrorKind::Unreachable, "the subscription broke")
            .hint("ask the store again, and subscribe anew");
        self.waiters.close(&error);
    }

    /// Whether the connection has ended.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire) || self.node.is_retired()
    }

    /// Whether a channel is subscribed.
    pub(crate) fn has_joined(&self, channel: &str) -> bool {
        !self.is_broken() && self.channels.lock().contains_key(channel)
    }

    /// Subscribes to a channel, and waits until it is.
    pub(crate) async fn join(&self, channel: &str, sharded: bool) -> Result<()> {
        let limit = self.node.connector.options.timeout;
        let joined = in_time(&self.node.connector.env, limit, "subscription", async {
            let _changing = self.changing.lock().await;
            if !self.has_joined(channel) {
                let subscribed = self.switch(channel, sharded, true).await;
                subscribed.map_err(|error| self.node.connector.explain(&error))?;
                self.channels.lock().insert(channel.to_string(), sharded);
            }
            Ok(())
        });
        joined.await.inspect_err(|_| self.break_off())?
    }

    /// Subscribes to a channel, or unsubscribes from it.
    async fn switch(&self, channel: &str, sharded: bool, on: bool) -> RedisResult<()> {
        match &self.transport {
            Transport::Resp3(connection) => {
                let verb = match (sharded, on) {
                    (false, true) => "SUBSCRIBE",
                    (false, false) => "UNSUBSCRIBE",
                    (true, true) => "SSUBSCRIBE",
                    (true, false) => "SUNSUBSCRIBE",
                };
                connection.clone().send_packed_command(cmd(verb).arg(channel)).await.map(drop)
            }
            Transport::Resp2(sink) if on => sink.clone().subscribe(channel).await,
            Transport::Resp2(sink) => sink.clone().unsubscribe(channel).await,
        }
    }

    /// Unsubscribes from a channel that has lost its last waiter.
    pub(crate) fn leave(self: &Arc<Self>, channel: String) {
        let watcher = self.clone();
        self.node.connector.env.spawn(async move {
            let _changing = watcher.changing.lock().await;
            // A new waiter may have come in the meantime.
            if watcher.waiters.has(&Topic::Channel(channel.clone())) {
                return;
            }
            let Some(sharded) = watcher.channels.lock().remove(&channel) else { return };
            // A failure means that the connection is broken, which ends the subscription, too.
            let _ = watcher.switch(&channel, sharded, false).await;
        });
    }

    /// Asks for a message about the next change of a key, by any client. Answers whether the key exists.
    pub(crate) async fn track(&self, key: &str) -> Result<bool> {
        let Transport::Resp3(connection) = &self.transport else { return Ok(true) };
        let connector = &self.node.connector;
        let answer = async { connection.clone().send_packed_command(cmd("EXISTS").arg(key)).await };
        let answer = in_time(&connector.env, connector.options.timeout, "answer", answer).await?;
        Ok(answer.map_err(|error| connector.explain(&error))? != Value::Int(0))
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watcher").field(&self.node).finish()
    }
}
