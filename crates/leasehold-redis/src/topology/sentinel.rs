//! The master that Sentinels name, through failovers.
//!
//! A client subscribes to every Sentinel and, for messages that were lost, asks each once a second. The reply with the
//! highest configuration epoch counts, never one with a lower epoch than before; the server it names must confirm its
//! role. Once a switch is known, the old master is not asked any more, and its late replies do not count (Redis Sentinel
//! documentation, "Sentinel clients").

use std::{
    sync::{
        Arc, MutexGuard, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, future::join_all};
use leasehold_core::{BoxFuture, Env, Error, ErrorKind, Result, Revalidations, store_kit::Locked};
use redis::{Value, cmd};
use tokio::sync::{Mutex as AsyncMutex, Notify};

use super::Topology;
use crate::{
    format::{bytes, list, number, text, unexpected},
    options::Endpoint,
    transport::{Node, connection::Connector},
};

/// The time that a Sentinel has to answer.
const SENTINEL_TIMEOUT: Duration = Duration::from_millis(400);
/// The interval between two requests to each Sentinel.
const POLL: Duration = Duration::from_secs(1);

/// The master that Sentinels name.
#[derive(Debug)]
pub(crate) struct Sentinel(Arc<Watcher>);

#[derive(Debug)]
struct Watcher {
    name: String,
    sentinels: Vec<Arc<Node>>,
    connector: Arc<Connector>,
    env: Env,
    revalidations: Revalidations,
    state: Locked<State>,
    refreshing: AsyncMutex<()>,
    refresh_now: Notify,
    closed: AtomicBool,
}

#[derive(Default, Debug)]
struct State {
    master: Option<Arc<Node>>,
    epoch: u64,
    had_one: bool,
}

impl Sentinel {
    pub(crate) fn start(
        sentinels: &[Endpoint],
        name: &str,
        connector: Arc<Connector>,
        env: Env,
        revalidations: Revalidations,
    ) -> Self {
        let anonymous = Arc::new(connector.without_login());
        let node = |endpoint: &Endpoint| {
            Node::new(endpoint.clone(), anonymous.clone(), env.clone(), Revalidations::default())
        };
        let watcher = Arc::new(Watcher {
            name: name.to_string(),
            sentinels: sentinels.iter().map(node).collect(),
            connector,
            env: env.clone(),
            revalidations,
            state: Locked::default(),
            refreshing: AsyncMutex::default(),
            refresh_now: Notify::new(),
            closed: AtomicBool::new(false),
        });
        for sentinel in &watcher.sentinels {
            env.spawn(listen(Arc::downgrade(&watcher), sentinel.clone(), env.clone()));
        }
        env.spawn(poll(Arc::downgrade(&watcher), env.clone()));
        Sentinel(watcher)
    }
}

impl Watcher {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn master(&self) -> Option<Arc<Node>> {
        self.state().master.clone().filter(|master| !master.is_retired())
    }

    /// Asks all Sentinels, and adopts the master that the newest reply names. One refresh at a time.
    async fn refresh(&self) -> Result<Arc<Node>> {
        let _refreshing = self.refreshing.lock().await;
        let answers = join_all(self.sentinels.iter().map(|sentinel| self.master_of(sentinel))).await;
        let mut failure = None;
        let mut best: Option<(u64, Endpoint)> = None;
        for answer in answers {
            match answer {
                Ok((epoch, endpoint)) if best.as_ref().is_none_or(|(highest, _)| epoch > *highest) => {
                    best = Some((epoch, endpoint));
                }
                Ok(_) => {}
                Err(error) => failure = Some(error),
            }
        }
        let Some((epoch, endpoint)) = best else {
            return Err(failure.unwrap_or_else(|| Error::new(ErrorKind::Unreachable, "no Sentinel answered")));
        };
        self.adopt(epoch, endpoint).await
    }

    async fn master_of(&self, sentinel: &Arc<Node>) -> Result<(u64, Endpoint)> {
        let mut master = cmd("SENTINEL");
        master.arg("MASTER").arg(&self.name);
        let replies = sentinel.call(&[master], SENTINEL_TIMEOUT).await?;
        let fields = match replies.into_iter().next() {
            Some(Ok(value)) => list(value, "the fields of a master")?,
            Some(Err(error)) => return Err(self.unknown_name(error.into())),
            None => return Err(Error::new(ErrorKind::Corrupt, "a Sentinel answered nothing")),
        };
        let field = |wanted: &str| {
            let mut pairs = fields.chunks_exact(2);
            pairs.find(|pair| bytes(pair.first()) == Some(wanted.as_bytes())).and_then(|pair| pair.get(1))
        };
        let host = text(field("ip"))?.unwrap_or_default();
        let port = number(field("port"))?;
        let epoch = number(field("config-epoch"))?;
        let port = u16::try_from(port).map_err(|_| unexpected("a port", &Value::Int(port)))?;
        Ok((u64::try_from(epoch).unwrap_or_default(), Endpoint::tcp(host, port)))
    }

    fn unknown_name(&self, error: Error) -> Error {
        if error.to_string().contains("No such master") {
            let message = format!("the Sentinels know no master `{}`", self.name.escape_debug());
            return Error::new(ErrorKind::Invalid, message)
                .hint("the name is the last part of redis+sentinel://h1,h2,h3/NAME");
        }
        error
    }

    async fn adopt(&self, epoch: u64, endpoint: Endpoint) -> Result<Arc<Node>> {
        {
            let state = self.state();
            let same =
                state.master.as_ref().filter(|master| *master.endpoint() == endpoint && !master.is_retired());
            if let Some(master) = same {
                return Ok(master.clone());
            }
            if epoch < state.epoch {
                let message = format!("the Sentinels answer with epoch {epoch}, after epoch {}", state.epoch);
                return Err(Error::new(ErrorKind::Unreachable, message).hint("wait for them to agree"));
            }
        }
        self.retire_master();
        let node = Node::new(endpoint, self.connector.clone(), self.env.clone(), self.revalidations.clone());
        if !is_master(&node, self.connector.timeout()).await? {
            let message = format!("{} is named as master and does not confirm that role", node.endpoint());
            return Err(Error::new(ErrorKind::Unreachable, message).hint("wait for the failover to end"));
        }
        let first = {
            let mut state = self.state();
            state.epoch = epoch;
            state.master = Some(node.clone());
            !std::mem::replace(&mut state.had_one, true)
        };
        if !first {
            tracing::warn!(master = %node.endpoint(), epoch, "Sentinel has switched the master: checking all leases");
            self.revalidations.raise_sparingly(&self.env);
        }
        Ok(node)
    }

    fn retire_master(&self) {
        if let Some(master) = self.state().master.take() {
            master.retire();
        }
    }

    /// A message of `+switch-master`: name, old host and port, new host and port.
    fn receive(&self, message: &str) {
        let words: Vec<&str> = message.split(' ').collect();
        let [name, old_host, old_port, ..] = words[..] else { return };
        if name != self.name {
            return;
        }
        let old = old_port.parse().ok().map(|port| Endpoint::tcp(old_host, port));
        let is_ours = self.master().is_some_and(|master| Some(master.endpoint()) == old.as_ref());
        if is_ours {
            self.retire_master();
        }
        self.refresh_now.notify_one();
    }
}

async fn is_master(node: &Arc<Node>, limit: Duration) -> Result<bool> {
    let replies = node.call(&[cmd("ROLE")], limit).await?;
    match replies.into_iter().next() {
        Some(Ok(value)) => {
            let fields = list(value, "a role")?;
            Ok(bytes(fields.first()) == Some(b"master"))
        }
        Some(Err(error)) => Err(error.into()),
        None => Ok(false),
    }
}

/// Receives the messages of one Sentinel as long as the store lives.
async fn listen(watcher: Weak<Watcher>, sentinel: Arc<Node>, env: Env) {
    let mut pause = Duration::from_millis(50);
    while watcher.upgrade().is_some_and(|watcher| !watcher.closed.load(Ordering::Relaxed)) {
        let opened = async {
            let mut messages = sentinel.client().ok()?.get_async_pubsub().await.ok()?;
            messages.subscribe("+switch-master").await.ok()?;
            Some(messages)
        };
        let opened = env.until(env.now() + SENTINEL_TIMEOUT * 2, opened).await.flatten();
        if let Some(mut messages) = opened {
            pause = Duration::from_millis(50);
            // Messages before the subscription were missed.
            if let Some(watcher) = watcher.upgrade() {
                watcher.refresh_now.notify_one();
            }
            let mut stream = messages.on_message();
            loop {
                match env.until(env.now() + POLL, stream.next()).await {
                    Some(Some(message)) => {
                        let text = message.get_payload::<String>().unwrap_or_default();
                        let Some(watcher) = watcher.upgrade() else { return };
                        watcher.receive(&text);
                    }
                    Some(None) => break,
                    None if watcher
                        .upgrade()
                        .is_none_or(|watcher| watcher.closed.load(Ordering::Relaxed)) =>
                    {
                        return;
                    }
                    None => {}
                }
            }
        }
        env.sleep(pause + env.jitter(pause)).await;
        pause = (pause * 2).min(POLL);
    }
}

/// Refreshes the master when that is requested, and once a second.
async fn poll(watcher: Weak<Watcher>, env: Env) {
    loop {
        {
            let Some(watcher) = watcher.upgrade() else { return };
            if watcher.closed.load(Ordering::Relaxed) {
                return;
            }
            let _ = env.until(env.now() + POLL, watcher.refresh_now.notified()).await;
            // Before the first request no master is followed.
            if watcher.state().had_one
                && let Err(error) = watcher.refresh().await
            {
                tracing::debug!(%error, "no master is known");
                env.sleep(Duration::from_millis(50)).await;
                watcher.refresh_now.notify_one();
            }
        }
        tokio::task::yield_now().await;
    }
}

impl Topology for Sentinel {
    fn route(&self, _slot: u16) -> BoxFuture<'_, Result<Arc<Node>>> {
        Box::pin(async {
            match self.0.master() {
                Some(master) => Ok(master),
                None => self.0.refresh().await,
            }
        })
    }

    fn masters(&self) -> BoxFuture<'_, Result<Vec<Arc<Node>>>> {
        Box::pin(async { Ok(vec![self.route(0).await?]) })
    }

    fn redirected(&self, _address: &str, _from: &Arc<Node>) -> Option<Arc<Node>> {
        None
    }

    fn moved(&self, _slot: u16, _owner: Arc<Node>) {}

    fn suspect(&self, _node: &Arc<Node>) {
        self.0.refresh_now.notify_one();
    }

    fn has_sharded_channels(&self) -> bool {
        false
    }

    fn counts_receivers(&self) -> bool {
        true
    }

    fn close(&self) {
        self.0.closed.store(true, Ordering::Relaxed);
        self.0.refresh_now.notify_one();
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        self.close();
    }
}
