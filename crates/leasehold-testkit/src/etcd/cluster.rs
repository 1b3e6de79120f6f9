//! One member, or a cluster of several.

use std::time::Duration;

use super::member::{Member, Ports};
use crate::{
    Error, Result,
    server::{free_port, on_free_ports},
    tls::Tls,
    wait,
};

/// The options of members, see [`Member::builder`].
#[derive(Clone, Default, Debug)]
pub struct Builder {
    pub(super) arguments: Vec<String>,
    pub(super) tls: Option<Tls>,
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
    pub fn tls(self) -> Self {
        Self { tls: Some(Tls::default()), ..self }
    }

    /// The same for clients that have a certificate of this authority.
    #[must_use]
    pub fn mutual_tls(self) -> Self {
        Self { tls: Some(Tls { mutual: true, ..Tls::default() }), ..self }
    }

    /// Starts one member, which is a cluster by itself; returns when it serves clients.
    pub fn start(self) -> Result<Member> {
        let member = self.launch(1)?.pop();
        member.ok_or_else(|| Error("a cluster without members".into()))
    }

    fn launch(&self, count: usize) -> Result<Vec<Member>> {
        on_free_ports(|| {
            let ports = (0..count).map(|_| Ok(Ports { client: free_port()?, peer: free_port()? }));
            let ports = ports.collect::<Result<Vec<_>>>()?;
            let members = (0..count).map(|at| Member::configured(self, at, &ports));
            let members = members.collect::<Result<Vec<_>, _>>()?;
            // None serves before a majority runs.
            members.iter().try_for_each(Member::await_ready)?;
            Ok(members)
        })
    }
}

/// Three members on free ports of 127.0.0.1, each in a directory of its own; all are gone with the value.
#[derive(Debug)]
pub struct Cluster {
    members: Vec<Member>,
}

impl Cluster {
    /// A cluster of three; returns when it serves clients.
    pub fn start() -> Result<Self> {
        Ok(Self { members: Builder::default().launch(3)? })
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
        wait::attempt(Duration::from_secs(60), || {
            let leads = |member: &Member| member.metric("etcd_server_is_leader") == Some(1);
            self.members.iter().position(leads).ok_or_else(|| Error("no member leads".into()))
        })
    }
}
