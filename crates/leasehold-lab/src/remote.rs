//! [`Remote`]: the store as a client has it, over the network of the world.
//!
//! It says of a lost answer what the store of Redis says: the request may have been applied. Nothing is sent twice.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use leasehold_core::{
    BoxFuture, Capability, Claim, Contender, Drift, Env, Error, ErrorKind, Exclusion, Fencing, Interest,
    Liveness, LockName, Release, Renewal, Result, Revalidations, ServerInfo, Snapshot, Standing, Store, Wake,
};
use tokio::sync::oneshot;

use crate::{
    node::{Bell, Node, refused},
    world::{Process, Way, lock},
};

/// A client's way to one server.
pub struct Remote {
    process: Process,
    env: Env,
    node: Node,
    url: String,
    capability: Capability,
    timeout: Duration,
    connection: Arc<Connection>,
}

/// What the server can tell without being asked.
pub(crate) struct Connection {
    pub(crate) client: u32,
    revalidations: Revalidations,
    /// How often it broke.
    breaks: AtomicU64,
    bells: Mutex<Vec<std::sync::Weak<Bell>>>,
}

impl Connection {
    /// The server has ended: whoever waits for news is told that there will be none.
    pub(crate) fn break_off(&self) {
        self.breaks.fetch_add(1, Ordering::AcqRel);
        let bells = std::mem::take(&mut *lock(&self.bells));
        bells.iter().filter_map(std::sync::Weak::upgrade).for_each(|bell| bell.news.notify_one());
    }

    /// The server is there again, and may have forgotten.
    pub(crate) fn revalidation(&self) {
        self.revalidations.raise();
    }
}

impl Remote {
    /// A client, in `process`, of a server, that waits for an answer for so long.
    pub fn new(process: &Process, node: &Node, timeout: Duration) -> Remote {
        let client = process.number();
        let connection = Arc::new(Connection {
            client,
            revalidations: Revalidations::default(),
            breaks: AtomicU64::new(0),
            bells: Mutex::default(),
        });
        node.connect(connection.clone());
        Remote {
            process: process.clone(),
            env: process.env(),
            node: node.clone(),
            url: format!("sim:node-{}", node.process().number()),
            capability: Remote::capability(),
            timeout,
            connection,
        }
    }

    /// That of a Redis server, which it stands for.
    fn capability() -> Capability {
        Capability {
            scheme: "sim",
            exclusion: Exclusion::Lease,
            commits: false,
            shared: true,
            permits: true,
            fifo: true,
            fencing: Fencing::Durable,
            liveness: Liveness::Ttl,
            waiters: true,
            wakes: true,
            detach: true,
            notes: true,
            lock_delay: true,
            votes: true,
            ttl_min: Duration::from_millis(50),
            ttl_max: Duration::from_secs(3600 * 24 * 365),
            drift: Drift::TWO_CLOCKS,
        }
    }

    fn way_there(&self) -> Way {
        Way { from: self.process.number(), to: self.node.process().number() }
    }

    /// Sends a question and waits for the answer.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl Fn(&Node) -> Result<T> + Send + Sync + 'static,
    ) -> Result<T> {
        let way = self.way_there();
        let back = Way { from: way.to, to: way.from };
        let (answer, reply) = oneshot::channel();
        let answer = Arc::new(Mutex::new(Some(answer)));
        let (world, node) = (self.process.world().clone(), self.node.clone());
        let sender = world.clone();
        sender.send(way, move |is_alive| {
            let answer = answer.clone();
            if !is_alive {
                // Said by the machine, which is up.
                if let Some(answer) = lock(&answer).take() {
                    let _ = answer.send(Err(refused()));
                }
                return;
            }
            let answered = Mutex::new(Some(question(&node)));
            world.send(back, move |_| {
                let (answer, answered) = (lock(&answer).take(), lock(&answered).take());
                if let (Some(answer), Some(answered)) = (answer, answered) {
                    // Who does not wait any more is not told.
                    let _ = answer.send(answered);
                }
            });
        });
        let moment = self.env.now() + self.timeout;
        // What was dropped on the way is never answered.
        let heard =
            async { if let Ok(answered) = reply.await { answered } else { std::future::pending().await } };
        self.env.until(moment, heard).await.unwrap_or_else(|| {
            let message = format!("no answer within {:?}", self.timeout);
            Err(Error::new(ErrorKind::TimedOut, message).store(&*self.url).unknown())
        })
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Remote").field(&self.url).finish()
    }
}

impl Store for Remote {
    fn capability(&self) -> &Capability {
        &self.capability
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn server_info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        Box::pin(self.ask(Node::server_info))
    }

    fn revalidation<'a>(&'a self, seen: &'a mut u64) -> BoxFuture<'a, ()> {
        Box::pin(self.connection.revalidations.after(seen))
    }

    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Standing>> {
        let claim = claim.clone();
        Box::pin(self.ask(move |node| node.claim(&claim)))
    }

    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>> {
        let all: Arc<[Claim]> = claims.into();
        Box::pin(async move {
            self.ask(move |node| Ok(node.renew(&all))).await.unwrap_or_else(|error| {
                let again = || match error.outcome() {
                    leasehold_core::Outcome::Unknown => Error::new(error.kind(), error.to_string()).unknown(),
                    leasehold_core::Outcome::NotApplied => Error::new(error.kind(), error.to_string()),
                };
                claims.iter().map(|_| Err(again())).collect()
            })
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        let claim = claim.clone();
        Box::pin(self.ask(move |node| node.release(&claim)))
    }

    fn watch<'a>(&'a self, name: &'a LockName, interest: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        let bell = Arc::new(Bell::default());
        let (name, rung, client) = (name.clone(), bell.clone(), self.process.number());
        Box::pin(async move {
            lock(&self.connection.bells).push(Arc::downgrade(&bell));
            let breaks = self.connection.breaks.load(Ordering::Acquire);
            let subscription = Subscription {
                breaks,
                process: self.process.clone(),
                way: self.way_there(),
                connection: self.connection.clone(),
                bell,
            };
            self.ask(move |node| node.watch(&name, interest, client, &rung)).await?;
            Ok(Box::new(subscription) as Box<dyn Wake>)
        })
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        let name = name.clone();
        Box::pin(self.ask(move |node| node.inspect(&name)))
    }

    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        let prefix = prefix.to_string();
        Box::pin(self.ask(move |node| node.list(&prefix, limit)))
    }

    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        let name = name.clone();
        Box::pin(self.ask(move |node| node.force_release(&name)))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

/// Ends with its client, or when the connection breaks.
struct Subscription {
    process: Process,
    way: Way,
    connection: Arc<Connection>,
    /// How often the connection had broken when it began.
    breaks: u64,
    bell: Arc<Bell>,
}

impl Wake for Subscription {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.bell.news.notified().await;
            match self.connection.breaks.load(Ordering::Acquire) == self.breaks {
                true => Ok(()),
                false => Err(Error::new(ErrorKind::Unreachable, "the connection broke")),
            }
        })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let bell = self.bell.clone();
        self.process.world().send(self.way, move |_| bell.ended.notify_one());
    }
}
