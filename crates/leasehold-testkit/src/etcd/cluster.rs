//! A cluster of several members.

use std::time::Duration;

use super::{
    builder::Builder,
    member::{Member, Ports},
};
use crate::{
    Error, Result,
    server::{free_port, on_free_ports},
    wait,
};

/// Three members on free ports of 127.0.0.1, each in a directory of its own; all are gone with the value.
#[derive(Debug)]
pub struct Cluster {
    members: Vec<Member>,
}

impl Cluster {
    /// A cluster of three.
    pub fn start() -> Result<Self> {
        Builder::default().start_three()
    }

    pub(super) fn launch(builder: &Builder, count: usize) -> Result<Self> {
        on_free_ports(|| {
            let ports = (0..count).map(|_| Ok(Ports { client: free_port()?, peer: free_port()? }));
            let ports = ports.collect::<Result<Vec<_>>>()?;
            let members = (0..count).map(|at| Member::configured(builder.clone(), at, &ports));
            let cluster = Self { members: members.collect::<Result<_, _>>()? };
            // None serves before a majority runs.
            cluster.members.iter().try_for_each(Member::await_ready)?;
            Ok(cluster)
        })
    }

    pub(super) fn into_members(self) -> Vec<Member> {
        self.members
    }

    /// One of the members, from 0.
    pub fn member(&self, at: usize) -> &Member {
        &self.members[at]
    }

    /// All members.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    /// The index of the leader; waits for an election.
    pub fn leader(&self) -> Result<usize> {
        wait::attempt(Duration::from_secs(10), || {
            let leads =
                self.members.iter().position(|member| member.metric("etcd_server_is_leader") == Some(1));
            leads.ok_or_else(|| Error("no member leads".into()))
        })
    }
}
