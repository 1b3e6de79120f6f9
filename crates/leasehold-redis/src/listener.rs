//! [`Listener`]: the one connection to a server on which a client hears its wake-ups.
//!
//! It lives as long as its connection. When that ends, everybody who listens is told, asks the store again and
//! subscribes anew on a new one: a message that was missed costs a question, never a wait.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::{Stream, StreamExt};
use leasehold_core::{Env, Error, ErrorKind, Result};
use redis::{
    Cmd, PushInfo, PushKind, Value,
    aio::{MultiplexedConnection, PubSubSink},
    cmd,
};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

use crate::{
    connection::{Node, quiet},
    wake::{Bells, Topic},
};

/// One subscription connection.
pub(crate) struct Listener {
    node: Arc<Node>,
    env: Env,
    line: Line,
    bells: Bells,
    /// One subscribes or unsubscribes at a time.
    turn: AsyncMutex<()>,
    /// What is subscribed, and whether it is sharded.
    subscribed: Mutex<HashMap<String, bool>>,
    broken: AtomicBool,
    tracks: bool,
}

/// RESP3 carries messages and commands on one connection; RESP2 needs the library's own subscriber.
enum Line {
    Resp3(MultiplexedConnection),
    Resp2(AsyncMutex<PubSubSink>),
}

impl Listener {
    /// Connects, on the background thread, and listens until the connection ends, the node is retired, or nobody has
    /// the listener any more.
    pub(crate) async fn start(node: Arc<Node>, env: Env) -> Result<Arc<Listener>> {
        let (answer, started) = oneshot::channel();
        let (task_node, task_env) = (node.clone(), env.clone());
        env.spawn(async move {
            // Who asked may have gone.
            let _ = answer.send(Listener::connect(task_node, task_env).await);
        });
        let limit = node.how().timeout();
        match env.until(env.now() + limit, started).await {
            Some(Ok(listener)) => listener,
            _ => Err(Error::new(ErrorKind::TimedOut, format!("no subscription within {limit:?}"))),
        }
    }

    async fn connect(node: Arc<Node>, env: Env) -> Result<Arc<Listener>> {
        if node.how().speaks_resp3() {
            let (sender, mut pushes) = mpsc::unbounded_channel();
            let config = |resp3| if resp3 { quiet().set_push_sender(sender.clone()) } else { quiet() };
            let mut connection = node.how().connect(node.endpoint(), config).await?;
            if node.how().speaks_resp3() {
                drop(sender);
                // Without the right to track, or in a server that cannot, waiting for strangers falls back to asking.
                let mut tracking = cmd("CLIENT");
                tracking.arg("TRACKING").arg("ON");
                let tracks = connection.send_packed_command(&tracking).await.is_ok();
                let listener = Listener::new(node, env.clone(), Line::Resp3(connection), tracks);
                let weak = Arc::downgrade(&listener);
                env.spawn(async move {
                    let stream = futures_util::stream::poll_fn(move |context| pushes.poll_recv(context));
                    Listener::listen(weak, stream.map(Heard::from)).await;
                });
                return Ok(listener);
            }
        }
        let messages = node.client()?.get_async_pubsub().await.map_err(|error| node.how().explain(&error))?;
        let (sink, stream) = messages.split();
        let listener = Listener::new(node, env.clone(), Line::Resp2(AsyncMutex::new(sink)), false);
        let weak = Arc::downgrade(&listener);
        let heard = stream.map(|message| Heard::Message {
            channel: message.get_channel_name().to_string(),
            payload: message.get_payload_bytes().to_vec(),
        });
        env.spawn(Listener::listen(weak, heard));
        Ok(listener)
    }

    fn new(node: Arc<Node>, env: Env, line: Line, tracks: bool) -> Arc<Listener> {
        let (bells, turn) = (Bells::default(), AsyncMutex::default());
        Arc::new(Listener {
            node,
            env,
            line,
            bells,
            turn,
            subscribed: Mutex::default(),
            broken: AtomicBool::new(false),
            tracks,
        })
    }

    async fn listen(listener: Weak<Listener>, stream: impl Stream<Item = Heard>) {
        let mut stream = std::pin::pin!(stream);
        let Some(node) = listener.upgrade().map(|listener| listener.node.clone()) else { return };
        loop {
            let heard = tokio::select! {
                heard = stream.next() => heard.unwrap_or(Heard::End),
                () = node.retirement() => Heard::End,
            };
            let Some(listener) = listener.upgrade() else { return };
            match heard {
                Heard::Message { channel, payload } => listener.message(channel, &payload),
                Heard::Changed(key) => listener.bells.ring(&Topic::Key(key)),
                Heard::AllChanged => listener.bells.ring_where(|topic| matches!(topic, Topic::Key(_))),
                // Ours to leave was forgotten before it was sent: what is still known was taken from us, with its slot.
                Heard::Left(channel) if !listener.subscribed().contains_key(&channel) => {}
                Heard::Nothing => {}
                Heard::Left(_) | Heard::End => {
                    listener.broken.store(true, Ordering::Release);
                    listener.bells.break_all();
                    return;
                }
            }
        }
    }

    fn message(&self, channel: String, payload: &[u8]) {
        let tag = std::str::from_utf8(payload).ok().and_then(|text| u32::from_str_radix(text, 16).ok());
        match tag {
            Some(tag) => self.bells.ring(&Topic::Turn(tag)),
            None => self.bells.ring(&Topic::Channel(channel)),
        }
    }

    pub(crate) fn bells(&self) -> &Bells {
        &self.bells
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Whether its connection has ended.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire) || self.node.is_retired()
    }

    /// Whether it hears of changes that strangers make.
    pub(crate) fn tracks(&self) -> bool {
        self.tracks
    }

    fn subscribed(&self) -> MutexGuard<'_, HashMap<String, bool>> {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a channel is subscribed.
    pub(crate) fn hears(&self, channel: &str) -> bool {
        !self.is_broken() && self.subscribed().contains_key(channel)
    }

    /// Subscribes to a channel, and waits until it is.
    pub(crate) async fn join(&self, channel: &str, sharded: bool) -> Result<()> {
        let limit = self.node.how().timeout();
        let joined = self.env.until(self.env.now() + limit, self.join_now(channel, sharded)).await;
        joined.unwrap_or_else(|| {
            self.broken.store(true, Ordering::Release);
            self.bells.break_all();
            Err(Error::new(ErrorKind::TimedOut, format!("no subscription within {limit:?}")))
        })
    }

    async fn join_now(&self, channel: &str, sharded: bool) -> Result<()> {
        let _turn = self.turn.lock().await;
        if self.hears(channel) {
            return Ok(());
        }
        let joined = match &self.line {
            Line::Resp3(connection) => {
                let mut subscribe = cmd(if sharded { "SSUBSCRIBE" } else { "SUBSCRIBE" });
                subscribe.arg(channel);
                self.ask(connection, &subscribe).await.map(drop)
            }
            Line::Resp2(sink) => {
                sink.lock().await.subscribe(channel).await.map_err(|error| self.node.how().explain(&error))
            }
        };
        joined?;
        self.subscribed().insert(channel.to_string(), sharded);
        Ok(())
    }

    async fn ask(&self, connection: &MultiplexedConnection, command: &Cmd) -> Result<Value> {
        let answer = connection.clone().send_packed_command(command).await;
        answer.map_err(|error| self.node.how().explain(&error))
    }

    /// Unsubscribes from a channel that nobody listens to any more.
    pub(crate) fn leave(self: &Arc<Self>, channel: String) {
        let listener = self.clone();
        self.env.spawn(async move {
            let _turn = listener.turn.lock().await;
            // Somebody may have come in the meantime.
            if listener.bells.has(&Topic::Channel(channel.clone())) {
                return;
            }
            let Some(sharded) = listener.subscribed().remove(&channel) else { return };
            let _ = match &listener.line {
                Line::Resp3(connection) => {
                    let mut leave = cmd(if sharded { "SUNSUBSCRIBE" } else { "UNSUBSCRIBE" });
                    leave.arg(&channel);
                    listener.ask(connection, &leave).await.map(drop)
                }
                Line::Resp2(sink) => sink
                    .lock()
                    .await
                    .unsubscribe(&channel)
                    .await
                    .map_err(|error| listener.node.how().explain(&error)),
            };
        });
    }

    /// Asks to be told of the next change of a key, whoever makes it; whether the key is there.
    pub(crate) async fn track(&self, key: &str) -> Result<bool> {
        let Line::Resp3(connection) = &self.line else { return Ok(true) };
        let mut exists = cmd("EXISTS");
        exists.arg(key);
        let limit = self.node.how().timeout();
        let answer = self.env.until(self.env.now() + limit, self.ask(connection, &exists)).await;
        match answer {
            Some(Ok(value)) => Ok(value != Value::Int(0)),
            Some(Err(error)) => Err(error),
            None => Err(Error::new(ErrorKind::TimedOut, format!("no answer within {limit:?}"))),
        }
    }
}

/// What is heard on a subscription connection.
enum Heard {
    Message { channel: String, payload: Vec<u8> },
    Changed(Vec<u8>),
    AllChanged,
    Left(String),
    Nothing,
    End,
}

impl From<PushInfo> for Heard {
    fn from(push: PushInfo) -> Heard {
        let mut data = push.data.into_iter();
        match push.kind {
            PushKind::Message | PushKind::SMessage => match (data.next(), data.next()) {
                (Some(Value::BulkString(channel)), Some(Value::BulkString(payload))) => {
                    Heard::Message { channel: String::from_utf8_lossy(&channel).into_owned(), payload }
                }
                _ => Heard::Nothing,
            },
            PushKind::Invalidate => match data.next() {
                Some(Value::Array(keys)) => match keys.into_iter().next() {
                    Some(Value::BulkString(key)) => Heard::Changed(key),
                    _ => Heard::Nothing,
                },
                _ => Heard::AllChanged,
            },
            PushKind::SUnsubscribe => match data.next() {
                Some(Value::BulkString(channel)) => {
                    Heard::Left(String::from_utf8_lossy(&channel).into_owned())
                }
                _ => Heard::Nothing,
            },
            PushKind::Disconnection => Heard::End,
            _ => Heard::Nothing,
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listener").field(&self.node).finish()
    }
}
