//! Which server to ask: one file a way in which servers stand to each other.

pub(crate) mod cluster;
pub(crate) mod sentinel;
pub(crate) mod single;

use std::{fmt::Debug, sync::Arc};

use leasehold_core::{BoxFuture, Result};

use crate::connection::Node;

/// How servers stand to each other: which one to ask for a slot.
pub(crate) trait Topology: Debug + Send + Sync {
    /// The master of a slot.
    fn route(&self, slot: u16) -> BoxFuture<'_, Result<Arc<Node>>>;

    /// All masters.
    fn masters(&self) -> BoxFuture<'_, Result<Vec<Arc<Node>>>>;

    /// A node said that a slot is at `address` for good.
    fn moved(&self, slot: u16, address: &str, said_by: &Arc<Node>);

    /// A node said that a slot is at `address` for this once.
    fn asked(&self, address: &str, said_by: &Arc<Node>) -> Option<Arc<Node>>;

    /// What a node answered, or did not answer, suggests that it is not the master any more.
    fn doubt(&self, node: &Arc<Node>);

    /// Whether a channel lives in a slot, like a key.
    fn has_sharded_channels(&self) -> bool;

    /// Whether `PUBLISH` or `SPUBLISH` answers how many heard it in all.
    fn counts_receivers(&self) -> bool;

    /// Stops whatever watches the servers.
    fn close(&self);
}
