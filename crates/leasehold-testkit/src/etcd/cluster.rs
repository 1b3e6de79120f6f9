//! Members that belong together.

use std::{net::Ipv4Addr, time::Duration};

use super::{
    builder::Builder,
    member::{Failure, Member, Ports},
};
use crate::{Error, Result, ports, wait};

/// How long a cluster may take to serve clients, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How often other ports are tried.
const PORTS_TRIED: usize = 20;

/// Three members on free ports of 127.0.0.1, each in a directory of its own; all are gone with the value.
#[derive(Debug)]
pub struct Cluster {
    members: Vec<Member>,
}

impl Cluster {
    /// A cluster of three.
    ///
    /// # Errors
    /// See [`Builder::start`].
    pub fn start() -> Result<Self> {
        Builder::default().start_three()
    }

    pub(super) fn launch(builder: Builder, count: usize) -> Result<Self> {
        for _ in 0..PORTS_TRIED {
            match Self::try_launch(&builder, count) {
                Ok(cluster) => return Ok(cluster),
                Err(Failure::PortTaken) => {}
                Err(Failure::Other(error)) => return Err(error),
            }
        }
        Err(Error("somebody else took every port that was tried".into()))
    }

    fn try_launch(builder: &Builder, count: usize) -> std::result::Result<Self, Failure> {
        let free = || ports::free(Ipv4Addr::LOCALHOST.into());
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            all.push(Ports { client: free()?, peer: free()? });
        }
        let mut members = Vec::with_capacity(count);
        for at in 0..count {
            members.push(Member::launch(builder.clone(), at, &all)?);
        }
        let cluster = Self { members };
        // None serves before a majority is there.
        for member in &cluster.members {
            member.await_ready(START_LIMIT)?;
        }
        Ok(cluster)
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

    /// Which member leads; waits for an election.
    ///
    /// # Errors
    /// None does within ten seconds.
    pub fn leader(&self) -> Result<usize> {
        wait::attempt(Duration::from_secs(10), || {
            let leads =
                self.members.iter().position(|member| member.metric("etcd_server_is_leader") == Some(1));
            leads.ok_or_else(|| Error("no member leads".into()))
        })
    }
}
