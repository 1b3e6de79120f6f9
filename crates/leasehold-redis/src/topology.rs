//! [`Topology`]: the master of each slot, for each arrangement of servers; [`Router`]: requests on their way there.

pub(crate) mod cluster;
pub(crate) mod sentinel;

use std::{convert::Infallible, fmt::Debug, sync::Arc, time::Duration};

use leasehold_core::{BoxFuture, Env, Error, ErrorKind, Result, env::show, store_kit::Locked};
use redis::{Cmd, cmd};
use tokio::sync::oneshot;

use crate::{
    format::{Commands, Replies, Script},
    transport::Node,
};

/// The most redirections of one request.
const REDIRECTIONS_MAX: u32 = 16;
/// The pause before a request to a migrating slot is sent again.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// The arrangement of the servers. The defaults are those of one master without redirections.
pub(crate) trait Topology: Debug + Send + Sync {
    /// The master of a slot, as far as it is known.
    fn known(&self, slot: u16) -> Option<Arc<Node>>;

    /// The same, found out if it is not known.
    fn route(&self, slot: u16) -> BoxFuture<'_, Result<Arc<Node>>>;

    /// All masters.
    fn masters(&self) -> BoxFuture<'_, Result<Vec<Arc<Node>>>> {
        Box::pin(async { Ok(vec![self.route(0).await?]) })
    }

    /// The node that a redirection by `from` names; `None` if redirections are not followed.
    fn redirected(&self, _address: &str, _from: &Node) -> Option<Arc<Node>> {
        None
    }

    /// A slot has a new owner.
    fn moved(&self, _slot: u16, _owner: Arc<Node>) {}

    /// The replies of a node, or their absence, suggest that it is not the master any more.
    fn suspect(&self) {}

    /// Whether a channel belongs to a slot, like a key.
    fn has_sharded_channels(&self) -> bool {
        false
    }

    /// Whether the reply to `PUBLISH` or `SPUBLISH` counts all receivers.
    fn counts_receivers(&self) -> bool {
        true
    }

    /// Whether the servers that know the master have answered, so that a missing master is a failover.
    fn knows_servers(&self) -> bool {
        false
    }

    /// Stops following the servers.
    fn close(&self) {}
}

/// One server, always the same.
#[derive(Debug)]
pub(crate) struct Single(pub(crate) Arc<Node>);

impl Topology for Single {
    fn known(&self, _slot: u16) -> Option<Arc<Node>> {
        Some(self.0.clone())
    }

    fn route(&self, _slot: u16) -> BoxFuture<'_, Result<Arc<Node>>> {
        Box::pin(async { Ok(self.0.clone()) })
    }
}

/// The background tasks of a topology. They end when this is dropped.
#[derive(Default, Debug)]
struct Tasks(Locked<Vec<oneshot::Sender<Infallible>>>);

impl Tasks {
    fn spawn(&self, env: &Env, task: impl Future<Output = ()> + Send + 'static) {
        let (end, ended) = oneshot::channel();
        self.0.lock().push(end);
        env.spawn(async move {
            tokio::select! {
                () = task => {}
                _ = ended => {}
            }
        });
    }

    fn end(&self) {
        self.0.lock().clear();
    }
}

/// Sends a request to the master of its slot, and again only where a server certainly did not apply it.
#[derive(Debug)]
pub(crate) struct Router {
    pub(crate) topology: Box<dyn Topology>,
    pub(crate) env: Env,
}

impl Router {
    /// Sends a request. A script that the server does not have was not run: it is loaded, and called again.
    pub(crate) async fn run(
        &self,
        slot: u16,
        script: Option<&Script>,
        mut commands: Commands,
        limit: Duration,
    ) -> Result<Replies> {
        let begin = self.env.now();
        let replies = self.send(slot, &commands, 0, limit).await?;
        let is_unknown = matches!(replies.first(), Some(Err(error)) if error.code == "NOSCRIPT");
        let Some(script) = script.filter(|_| is_unknown) else { return Ok(replies) };
        let loads = script.load_all();
        let count = loads.len();
        commands.insert_many(0, loads);
        let left = limit.saturating_sub(self.env.now().since(begin));
        let mut replies = self.send(slot, &commands, count, left).await?;
        drop(replies.drain(..count));
        Ok(replies)
    }

    /// Sends commands in one piece. The reply at `decisive` tells whether the node was the right one.
    async fn send(&self, slot: u16, commands: &[Cmd], decisive: usize, limit: Duration) -> Result<Replies> {
        let until = self.env.now() + limit;
        let (mut asked, mut redirections): (Option<Arc<Node>>, u32) = (None, 0);
        while redirections < REDIRECTIONS_MAX {
            let left = until.since(self.env.now());
            let (node, sent) = match asked.take() {
                Some(node) => {
                    let sent = Box::pin(call_asking(&node, commands, decisive, left)).await;
                    (node.clone(), sent)
                }
                None => {
                    let node = self.route(slot, left).await?;
                    (node.clone(), node.call(commands, left).await)
                }
            };
            let replies = sent.inspect_err(|_| self.topology.suspect())?;
            let Err(error) = &replies[decisive.min(replies.len() - 1)] else { return Ok(replies) };
            let named = error.redirect().and_then(|address| self.topology.redirected(address, &node));
            match (error.code.as_str(), named) {
                ("MOVED", Some(owner)) => {
                    redirections += 1;
                    self.topology.moved(slot, owner);
                }
                ("ASK", Some(other)) => {
                    redirections += 1;
                    asked = Some(other);
                }
                // Some of the lock's keys have moved, the others follow.
                ("TRYAGAIN", _) if self.env.now() + TRY_AGAIN_AFTER < until => {
                    redirections = 0;
                    self.env.sleep(TRY_AGAIN_AFTER).await;
                }
                _ => {
                    if error.means_not_master() {
                        self.topology.suspect();
                    }
                    return Ok(replies);
                }
            }
        }
        let message = format!(
            "redirected {REDIRECTIONS_MAX} times: the nodes do not agree on the owner of slot {slot}"
        );
        Err(Error::new(ErrorKind::Unreachable, message).hint("wait for the Cluster to settle"))
    }

    /// The master of a slot.
    pub(crate) async fn route(&self, slot: u16, limit: Duration) -> Result<Arc<Node>> {
        match self.topology.known(slot) {
            Some(node) => Ok(node),
            None => self.in_time(limit, self.topology.route(slot)).await,
        }
    }

    /// All masters.
    pub(crate) async fn masters(&self, limit: Duration) -> Result<Vec<Arc<Node>>> {
        self.in_time(limit, self.topology.masters()).await
    }

    async fn in_time<T>(&self, limit: Duration, found: BoxFuture<'_, Result<T>>) -> Result<T> {
        self.env.until(self.env.now() + limit, found).await.unwrap_or_else(|| {
            Err(Error::new(ErrorKind::TimedOut, format!("no master was found within {}", show(limit)))
                .hint("are the servers running, and does a majority see the master?"))
        })
    }
}

/// `ASKING` lets the next command pass on a node that a slot is migrating to.
async fn call_asking(node: &Arc<Node>, commands: &[Cmd], at: usize, limit: Duration) -> Result<Replies> {
    let mut all = commands.to_vec();
    all.insert(at, cmd("ASKING"));
    let mut replies = node.call(&all, limit).await?;
    drop(replies.remove(at));
    Ok(replies)
}
