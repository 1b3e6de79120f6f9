//! The master that Sentinels name, through failovers.
//!
//! A client subscribes to every Sentinel and, for messages that were lost, asks each once a second. The reply with the
//! highest configuration epoch counts, never one with a lower epoch than before; the server it names must confirm its
//! role. Once a switch is known, the old master is not asked any more, and its late replies do not count (Redis Sentinel
//! documentation, "Sentinel clients").

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, future::join_all};
use leasehold_core::{
    BoxFuture, Error, ErrorKind, Result,
    store_kit::{Locked, in_time},
};
use redis::{Value, aio::PubSub, cmd};
use tokio::sync::{Mutex as AsyncMutex, Notify};

use super::{Tasks, Topology};
use crate::{
    format::{read, unexpected},
    options::Endpoint,
    transport::{
        Node,
        connection::{Connector, SENTINEL_LOGIN},
    },
};

/// The time that a Sentinel has to answer.
const SENTINEL_TIMEOUT: Duration = Duration::from_millis(400);
/// The interval between two requests to each Sentinel.
const POLL: Duration = Duration::from_secs(1);
/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(50);

/// The master that Sentinels name.
#[derive(Debug)]
pub(crate) struct Sentinel {
    group: Arc<Group>,
    tasks: Tasks,
}

/// The Sentinels of one master.
#[derive(Debug)]
struct Group {
    name: String,
    sentinels: Vec<Arc<Node>>,
    connector: Arc<Connector>,
    state: Locked<State>,
    refreshing: AsyncMutex<()>,
    refresh_now: Notify,
}

#[derive(Default, Debug)]
struct State {
    master: Option<Arc<Node>>,
    /// The epoch of the newest master; `None` before the first one.
    epoch: Option<u64>,
    /// Whether a Sentinel has named a master.
    is_named: bool,
}

impl Sentinel {
    pub(crate) fn start(sentinels: Vec<Endpoint>, name: String, connector: Arc<Connector>) -> Self {
        let of_sentinels = Arc::new(connector.for_sentinels());
        let node = |endpoint| Node::new(endpoint, of_sentinels.clone());
        let group = Arc::new(Group {
            name,
            sentinels: sentinels.into_iter().map(node).collect(),
            connector,
            state: Locked::default(),
            refreshing: AsyncMutex::default(),
            refresh_now: Notify::new(),
        });
        let (tasks, env) = (Tasks::default(), &group.connector.env);
        for sentinel in &group.sentinels {
            tasks.spawn(env, group.clone().listen(sentinel.clone()));
        }
        tasks.spawn(env, group.clone().poll());
        Sentinel { group, tasks }
    }
}

impl Group {
    fn master(&self) -> Option<Arc<Node>> {
        self.state.lock().master.clone()
    }

    /// Asks all Sentinels, and adopts the master that the newest reply names. One refresh at a time.
    async fn refresh(&self) -> Result<Arc<Node>> {
        let _refreshing = self.refreshing.lock().await;
        let mut answers = join_all(self.sentinels.iter().map(|sentinel| self.master_of(sentinel))).await;
        match answers.iter().rev().flatten().max_by_key(|(epoch, _)| *epoch).cloned() {
            Some((epoch, endpoint)) => {
                self.state.lock().is_named = true;
                self.adopt(epoch, endpoint).await
            }
            None => Err(answers
                .pop()
                .and_then(Result::err)
                .unwrap_or_else(|| Error::new(ErrorKind::Unreachable, "no Sentinel answered"))),
        }
    }

    async fn master_of(&self, sentinel: &Node) -> Result<(u64, Endpoint)> {
        let mut master = cmd("SENTINEL");
        master.arg("MASTER").arg(&self.name);
        let answer = sentinel.ask(master, SENTINEL_TIMEOUT).await.map_err(|error| {
            if error.to_string().contains("NOAUTH") {
                return error.hint(SENTINEL_LOGIN);
            }
            if !error.to_string().contains("No such master") {
                return error;
            }
            let message = format!("the Sentinels know no master `{}`", self.name.escape_debug());
            Error::new(ErrorKind::Invalid, message)
                .hint("the name is the last part of redis+sentinel://h1,h2,h3/NAME")
        })?;
        let fields: HashMap<String, String> = read(&answer, "the fields of a master")?;
        let number = |name: &str| fields.get(name)?.parse::<u64>().ok();
        match (fields.get("ip"), number("port").map(u16::try_from), number("config-epoch")) {
            (Some(host), Some(Ok(port)), Some(epoch)) => Ok((epoch, Endpoint::tcp(host, port))),
            _ => Err(unexpected("the address of a master and its epoch", &answer)),
        }
    }

    async fn adopt(&self, epoch: u64, endpoint: Endpoint) -> Result<Arc<Node>> {
        let (master, newest) = {
            let state = self.state.lock();
            (state.master.clone(), state.epoch)
        };
        if let Some(master) = master.filter(|master| master.endpoint == endpoint) {
            return Ok(master);
        }
        if let Some(newest) = newest.filter(|newest| epoch < *newest) {
            let message = format!("the Sentinels answer with epoch {epoch}, after epoch {newest}");
            return Err(Error::new(ErrorKind::Unreachable, message).hint("wait for them to agree"));
        }
        self.retire_master();
        let node = Node::new(endpoint, self.connector.clone());
        let role = node.ask(cmd("ROLE"), self.connector.options.timeout).await?;
        let role: Vec<Value> = read(&role, "a role")?;
        if role.first() != Some(&Value::BulkString(b"master".to_vec())) {
            let message = format!("{} is named as master and does not confirm that role", node.endpoint);
            return Err(Error::new(ErrorKind::Unreachable, message).hint("wait for the failover to end"));
        }
        *self.state.lock() = State { master: Some(node.clone()), epoch: Some(epoch), is_named: true };
        if newest.is_some() {
            tracing::warn!(master = %node.endpoint, epoch, "Sentinel has switched the master: checking all leases");
            self.connector.revalidations.raise_sparingly(&self.connector.env);
        }
        Ok(node)
    }

    fn retire_master(&self) {
        if let Some(master) = self.state.lock().master.take() {
            master.retire();
        }
    }

    /// A message of `+switch-master`: name, old host and port, new host and port.
    fn receive(&self, message: &str) {
        let [name, host, port, ..] = message.split(' ').collect::<Vec<_>>()[..] else { return };
        if name != self.name {
            return;
        }
        let old = port.parse().ok().map(|port| Endpoint::tcp(host, port));
        if self.master().is_some_and(|master| Some(&master.endpoint) == old.as_ref()) {
            self.retire_master();
        }
        self.refresh_now.notify_one();
    }

    /// Receives the messages of one Sentinel.
    async fn listen(self: Arc<Self>, sentinel: Arc<Node>) {
        let env = &self.connector.env;
        let mut pause = PAUSE;
        loop {
            let subscribed = in_time(env, SENTINEL_TIMEOUT * 2, "subscription", subscribe(&sentinel)).await;
            if let Ok(Ok(mut messages)) = subscribed {
                pause = PAUSE;
                // Messages before the subscription were missed.
                self.refresh_now.notify_one();
                let mut messages = messages.on_message();
                while let Some(message) = messages.next().await {
                    self.receive(&message.get_payload::<String>().unwrap_or_default());
                }
            }
            env.sleep(pause + env.jitter(pause)).await;
            pause = (pause * 2).min(POLL);
        }
    }

    /// Refreshes the master when that is requested, and once a second.
    async fn poll(self: Arc<Self>) {
        let env = &self.connector.env;
        loop {
            let _ = env.until(env.now() + POLL, self.refresh_now.notified()).await;
            // Before the first request no master is followed.
            if self.state.lock().epoch.is_none() {
                continue;
            }
            if let Err(error) = self.refresh().await {
                tracing::debug!(%error, "no master is known");
                env.sleep(PAUSE).await;
                self.refresh_now.notify_one();
            }
        }
    }
}

async fn subscribe(sentinel: &Node) -> Result<PubSub> {
    let mut messages = sentinel.connector.connect_pubsub(&sentinel.endpoint).await?;
    let subscribed = messages.subscribe("+switch-master").await;
    subscribed.map_err(|error| sentinel.connector.explain(&error))?;
    Ok(messages)
}

impl Topology for Sentinel {
    fn known(&self, _slot: u16) -> Option<Arc<Node>> {
        self.group.master()
    }

    fn route(&self, _slot: u16) -> BoxFuture<'_, Result<Arc<Node>>> {
        Box::pin(async {
            match self.group.master() {
                Some(master) => Ok(master),
                None => self.group.refresh().await,
            }
        })
    }

    fn suspect(&self) {
        self.group.refresh_now.notify_one();
    }

    fn knows_servers(&self) -> bool {
        self.group.state.lock().is_named
    }

    fn close(&self) {
        self.tasks.end();
    }
}
