//! [`Router`]: sends a request to where its slot is. What a server certainly did not do may be asked again, nothing else.

use std::{sync::Arc, time::Duration};

use leasehold_core::{Env, Error, ErrorKind, Result};
use redis::{Cmd, cmd};

use crate::{
    connection::{Node, Reply},
    script::Script,
    topology::Topology,
};

/// How often a request may be sent on before it is given up.
const REDIRECTIONS_MAX: u32 = 16;
/// How long to wait for a slot that is on its way.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// Sends requests to where their slots are.
#[derive(Debug)]
pub(crate) struct Router {
    pub(crate) topology: Arc<dyn Topology>,
    pub(crate) env: Env,
}

/// What to do with a refusal.
enum Next {
    Answer,
    To(Option<Arc<Node>>),
    Wait,
}

impl Router {
    /// Runs a script; commands in `more` follow it in the same piece, on the same connection. A script that the server
    /// has forgotten is loaded again: it was not run.
    pub(crate) async fn run(
        &self,
        slot: u16,
        script: &Script,
        call: Cmd,
        more: Option<Cmd>,
        limit: Duration,
    ) -> Result<(Arc<Node>, Vec<Reply>)> {
        let begin = self.env.now();
        let mut commands: Vec<Cmd> = std::iter::once(call).chain(more).collect();
        let (node, replies) = self.send(slot, &commands, 0, limit).await?;
        if !matches!(replies.first(), Some(Err(refusal)) if refusal.code == "NOSCRIPT") {
            return Ok((node, replies));
        }
        commands.insert(0, script.load());
        let left = limit.saturating_sub(self.env.now().since(begin));
        let (node, mut replies) = self.send(slot, &commands, 1, left).await?;
        drop(replies.remove(0));
        Ok((node, replies))
    }

    /// Sends commands in one piece. The reply at `decisive` says whether the node was the right one.
    pub(crate) async fn send(
        &self,
        slot: u16,
        commands: &[Cmd],
        decisive: usize,
        limit: Duration,
    ) -> Result<(Arc<Node>, Vec<Reply>)> {
        let until = self.env.now() + limit;
        let mut asked: Option<Arc<Node>> = None;
        for _ in 0..REDIRECTIONS_MAX {
            let left = until.since(self.env.now());
            let node = match &asked {
                Some(node) => node.clone(),
                None => self.route(slot, left).await?,
            };
            let sent = match &asked {
                Some(node) => self.call_asking(node, commands, decisive, left).await,
                None => node.call(commands, left).await,
            };
            let replies = sent.inspect_err(|_| self.topology.doubt(&node))?;
            match self.next(slot, &node, &replies[decisive.min(replies.len() - 1)]) {
                Next::Answer => return Ok((node, replies)),
                Next::To(other) => asked = other,
                Next::Wait => {
                    asked = None;
                    if self.env.now() + TRY_AGAIN_AFTER >= until {
                        return Ok((node, replies));
                    }
                    self.env.sleep(TRY_AGAIN_AFTER).await;
                }
            }
        }
        let message = format!(
            "sent from node to node {REDIRECTIONS_MAX} times: they do not agree where slot {slot} is"
        );
        Err(Error::new(ErrorKind::Unreachable, message).hint("wait for the Cluster to settle"))
    }

    async fn route(&self, slot: u16, limit: Duration) -> Result<Arc<Node>> {
        let found = self.env.until(self.env.now() + limit, self.topology.route(slot)).await;
        found.unwrap_or_else(|| {
            Err(Error::new(ErrorKind::TimedOut, format!("no master was found within {limit:?}"))
                .hint("are the servers running, and does a majority see the master?"))
        })
    }

    /// `ASKING` lets the command behind it pass on a node that is just taking the slot over.
    async fn call_asking(
        &self,
        node: &Arc<Node>,
        commands: &[Cmd],
        at: usize,
        limit: Duration,
    ) -> Result<Vec<Reply>> {
        let mut all = commands.to_vec();
        all.insert(at, cmd("ASKING"));
        let mut replies = node.call(&all, limit).await?;
        drop(replies.remove(at));
        Ok(replies)
    }

    fn next(&self, slot: u16, node: &Arc<Node>, reply: &Reply) -> Next {
        let Err(refusal) = reply else { return Next::Answer };
        match refusal.code.as_str() {
            "MOVED" => match refusal.redirect() {
                Some((_, address)) if self.topology.asked(address, node).is_some() => {
                    self.topology.moved(slot, address, node);
                    Next::To(None)
                }
                _ => Next::Answer,
            },
            "ASK" => match refusal.redirect().and_then(|(_, address)| self.topology.asked(address, node)) {
                Some(other) => Next::To(Some(other)),
                None => Next::Answer,
            },
            "TRYAGAIN" => Next::Wait,
            _ => {
                if refusal.means_not_master() {
                    self.topology.doubt(node);
                }
                Next::Answer
            }
        }
    }
}
