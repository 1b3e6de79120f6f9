//! [`Listener`]: the connection on which a client hears that it is woken.
//!
//! It is made when the client first waits, and lives as long as its connection. When that ends, every subscription is
//! broken; its waiter asks the store again and subscribes on a new one. A lost message costs a request, never a wait.

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use leasehold_core::{
    Contender, Error, ErrorKind, Interest, LockName, Result, Revalidations, Wake,
    store_kit::{self, ClientState, NeverWakes, Notifier, Reconnect, Topic, Waiters, in_time},
};
use tokio::sync::Mutex as AsyncMutex;
use tokio_postgres::{AsyncMessage, Notification, Row};

use store_kit::Connection as _;

use crate::{
    error::{column, explain},
    sql::{PROBE, WATCH},
    transport::{Link, Transport, Wire},
};

/// How often the watches of locks are renewed, which last a minute.
const RENEWED_EVERY: Duration = Duration::from_secs(20);
/// How often the watchers of locks are woken whose messages a pooler keeps to itself.
const DEAF_WAKES_EVERY: Duration = Duration::from_secs(1);
/// How long the first message may take.
const PROBE_MAX: Duration = Duration::from_millis(500);

pub(crate) struct Listener {
    shared: Arc<Shared>,
    live: Reconnect<Ears>,
}

struct Shared {
    transport: Arc<Transport>,
    channel: String,
    waiters: Arc<Waiters<Topic>>,
    /// The first message has arrived.
    heard: Notifier,
    is_deaf: AtomicBool,
}

/// A connection that listens.
struct Ears {
    link: Link,
    /// The channels of the locks that it watches.
    watched: AsyncMutex<HashMap<LockName, String>>,
    renews: AtomicBool,
}

impl store_kit::Connection for Ears {
    fn is_open(&self) -> bool {
        self.link.is_open()
    }

    fn end(&self) {
        self.link.end();
    }
}

impl Listener {
    /// Without a connection yet.
    pub(crate) fn new(transport: Arc<Transport>, client: i64) -> Listener {
        // Its end is no sign of lost holds.
        let live = Reconnect::new(transport.env.clone(), Revalidations::default());
        let (waiters, heard, is_deaf) = Default::default();
        let channel = format!("leasehold_{client:x}");
        Listener { shared: Arc::new(Shared { transport, channel, waiters, heard, is_deaf }), live }
    }

    /// Whether a pooler keeps notifications from this client, so that waiters have to ask.
    pub(crate) fn is_deaf(&self) -> bool {
        self.shared.transport.options.is_pooled || self.shared.is_deaf.load(Ordering::Acquire)
    }

    pub(crate) async fn watch(&self, name: &LockName, interest: Interest) -> Result<Box<dyn Wake>> {
        let shared = &self.shared;
        if shared.transport.options.is_pooled {
            return Ok(Box::new(NeverWakes));
        }
        let ready = async {
            let ears = self.live.get(|| shared.listen()).await?;
            let subscription = shared.waiters.subscribe(Topic::of(name, interest));
            if interest == Interest::Changes {
                if !self.is_deaf() {
                    ears.watch(name).await.inspect_err(|_| ears.link.end())?;
                }
                if !ears.renews.swap(true, Ordering::AcqRel) {
                    shared.transport.env.spawn(shared.clone().renew(Arc::downgrade(&ears)));
                }
            }
            Ok(Box::new(subscription) as Box<dyn Wake>)
        };
        let limit = shared.transport.options.timeout;
        in_time(&shared.transport.env, limit, "subscription", Box::pin(ready)).await?
    }

    pub(crate) fn close(&self) {
        let closed = ClientState::closed_error();
        self.shared.waiters.close(&closed);
        self.live.close(&closed);
    }
}

impl Shared {
    /// Connects, listens to the channel of this client, and finds out whether messages arrive.
    async fn listen(self: &Arc<Self>) -> Result<Ears> {
        let shared = self.clone();
        let link =
            Link::open(&self.transport.options, &self.transport.env, |wire| shared.receive(wire)).await?;
        self.heard.take_woken();
        listen(&link, &self.channel).await?;
        self.transport.query(&PROBE, &[&self.channel]).await?;
        let is_deaf = self.transport.env.within(PROBE_MAX, self.heard.notified()).await.is_none();
        if is_deaf {
            tracing::warn!(store = "postgres", "a pooler swallows notifications: this client asks instead");
        }
        self.is_deaf.store(is_deaf, Ordering::Release);
        Ok(Ears { link, watched: AsyncMutex::default(), renews: AtomicBool::new(false) })
    }

    /// Wakes subscriptions until the connection ends.
    async fn receive(self: Arc<Self>, wire: Wire) {
        let mut wire = pin!(wire);
        let end = loop {
            match poll_fn(|context| wire.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notification(news))) => self.wake(&news),
                Some(Ok(_)) => {}
                Some(Err(error)) => break explain(&error),
                None => break Error::new(ErrorKind::Unreachable, "the connection has ended"),
            }
        };
        self.waiters.break_all(&end.hint("ask the store again, and subscribe anew"));
    }

    /// Asks for news of the watched locks again and again, until the connection ends. Where none can be heard, it wakes the
    /// watchers instead.
    async fn renew(self: Arc<Self>, ears: Weak<Ears>) {
        loop {
            let is_deaf = self.is_deaf.load(Ordering::Acquire);
            self.transport.env.sleep(if is_deaf { DEAF_WAKES_EVERY } else { RENEWED_EVERY }).await;
            let Some(ears) = ears.upgrade().filter(|ears| ears.link.is_open()) else { return };
            if is_deaf {
                self.waiters.wake_where(|topic| matches!(topic, Topic::Changes(_)));
            } else if let Err(error) = ears.renew(&self.waiters).await {
                tracing::debug!(store = "postgres", %error, "the watches of locks are not renewed");
                return ears.link.end();
            }
        }
    }

    fn wake(&self, news: &Notification) {
        self.heard.wake();
        let tag = u32::from_str_radix(news.payload(), 16).ok();
        self.waiters.wake_where(|topic| match topic {
            Topic::Claim(id) => tag == Some(Contender::tag_of(*id)),
            // A lock is changed: which one, only its channel says.
            Topic::Changes(_) => tag.is_none() && news.channel() != self.channel,
        });
    }
}

impl Ears {
    /// Listens to the changes of a lock, and asks for news of them.
    async fn watch(&self, name: &LockName) -> Result<()> {
        let mut watched = self.watched.lock().await;
        if watched.contains_key(name) {
            return Ok(());
        }
        let rows = self.ask_for_news(&[name.as_bytes()]).await?;
        let channel: String = column(&rows[0], 0)?;
        listen(&self.link, &channel).await?;
        watched.insert(name.clone(), channel);
        Ok(())
    }

    /// Asks for news of the locks that somebody still watches, and ends listening to the others.
    async fn renew(&self, waiters: &Waiters<Topic>) -> Result<()> {
        let mut watched = self.watched.lock().await;
        let ended = watched.extract_if(|name, _| !waiters.has(&Topic::Changes(name.clone())));
        let ended: Vec<String> = ended.map(|(_, channel)| format!("UNLISTEN {channel};")).collect();
        self.link.client.batch_execute(&ended.concat()).await.map_err(|error| explain(&error))?;
        self.ask_for_news(&watched.keys().map(|name| name.as_bytes()).collect::<Vec<_>>()).await.map(drop)
    }

    async fn ask_for_news(&self, names: &[&[u8]]) -> Result<Vec<Row>> {
        self.link.query(&WATCH, &[&names]).await.map_err(|error| explain(&error))
    }
}

async fn listen(link: &Link, channel: &str) -> Result<()> {
    let listening = link.client.batch_execute(&format!("LISTEN {channel}")).await;
    listening.map_err(|error| explain(&error).not_applied())
}
