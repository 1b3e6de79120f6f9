//! One server.

use std::sync::Arc;

use leasehold_core::{BoxFuture, Result};

use super::Topology;
use crate::transport::Node;

/// One server, always the same.
#[derive(Debug)]
pub(crate) struct Single(pub(crate) Arc<Node>);

impl Topology for Single {
    fn route(&self, _slot: u16) -> BoxFuture<'_, Result<Arc<Node>>> {
        Box::pin(async { Ok(self.0.clone()) })
    }

    fn masters(&self) -> BoxFuture<'_, Result<Vec<Arc<Node>>>> {
        Box::pin(async { Ok(vec![self.0.clone()]) })
    }

    fn redirected(&self, _address: &str, _from: &Arc<Node>) -> Option<Arc<Node>> {
        None
    }

    fn moved(&self, _slot: u16, _owner: Arc<Node>) {}

    fn suspect(&self, _node: &Arc<Node>) {}

    fn has_sharded_channels(&self) -> bool {
        false
    }

    fn counts_receivers(&self) -> bool {
        true
    }

    fn close(&self) {}
}
