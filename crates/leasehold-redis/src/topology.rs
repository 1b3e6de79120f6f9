//! [`Topology`]: the master of each slot, one file for each way in which servers are arranged.

pub(crate) mod cluster;
pub(crate) mod sentinel;
pub(crate) mod single;

use std::{fmt::Debug, sync::Arc};

use leasehold_core::{BoxFuture, Result};

use crate::transport::Node;

/// The arrangement of the servers.
pub(crate) trait Topology: Debug + Send + Sync {
    /// The master of a slot.
    fn route(&self, slot: u16) -> BoxFuture<'_, Result<Arc<Node>>>;

    /// All masters.
    fn masters(&self) -> BoxFuture<'_, Result<Vec<Arc<Node>>>>;

    /// The node that a redirection by `from` names; `None` if redirections are not followed.
    fn redirected(&self, address: &str, from: &Arc<Node>) -> Option<Arc<Node>>;

    /// A slot has a new owner.
    fn moved(&self, slot: u16, owner: Arc<Node>);

    /// The replies of a node, or their absence, suggest that it is not the master any more.
    fn suspect(&self, node: &Arc<Node>);

    /// Whether a channel belongs to a slot, like a key.
    fn has_sharded_channels(&self) -> bool;

    /// Whether the reply to `PUBLISH` or `SPUBLISH` counts all receivers.
    fn counts_receivers(&self) -> bool;

    /// Stops following the servers.
    fn close(&self);
}
