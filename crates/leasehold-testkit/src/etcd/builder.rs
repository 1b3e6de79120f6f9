//! The options of members.

use super::{cluster::Cluster, member::Member};
use crate::{Error, Result};

/// The options of members, see [`Member::builder`].
#[derive(Clone, Default, Debug)]
pub struct Builder {
    pub(super) arguments: Vec<String>,
    pub(super) tls: bool,
}

impl Builder {
    /// Adds an argument: `arg("--max-txn-ops=10")`.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Requires TLS from clients, with a certificate of an authority of its own.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Starts one member, which is a cluster by itself; returns when it serves clients.
    pub fn start(self) -> Result<Member> {
        let mut members = Cluster::launch(&self, 1)?.into_members();
        members.pop().ok_or_else(|| Error("a cluster without members".into()))
    }

    /// Starts a cluster of three; returns when it serves clients.
    pub fn start_three(self) -> Result<Cluster> {
        Cluster::launch(&self, 3)
    }
}
