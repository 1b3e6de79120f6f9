//! One server.

use std::sync::Arc;

use leasehold_core::{BoxFuture, Result};

use super::Topology;
use crate::connection::Node;

/// One server, whatever becomes of it.
#[derive(Debug)]
pub(crate) struct Single(pub(crate) Arc<Node>);

impl Topology for Single {
    fn route(&self, _slot: u16) -> BoxFuture<'_, Result<Arc<Node>>> {
        Box::pin(async { Ok(self.0.clone()) })
    }

    fn masters(&self) -> BoxFuture<'_, Result<Vec<Arc<Node>>>> {
        Box::pin(async { Ok(vec![self.0.clone()]) })
    }

    fn moved(&self, _slot: u16, _address: &str, _said_by: &Arc<Node>) {}

    fn asked(&self, _address: &str, _said_by: &Arc<Node>) -> Option<Arc<Node>> {
        None
    }

    fn doubt(&self, _node: &Arc<Node>) {}

    fn has_sharded_channels(&self) -> bool {
        false
    }

    fn counts_receivers(&self) -> bool {
        true
    }

    fn close(&self) {}
}
