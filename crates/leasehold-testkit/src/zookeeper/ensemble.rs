//! Several servers that agree.

use std::{fmt::Write, net::Ipv4Addr, time::Duration};

use super::server::Server;
use crate::{Error, Result, ports, wait};

/// How long the members may take to elect a leader, on a busy machine.
const ELECTION_LIMIT: Duration = Duration::from_secs(60);

/// An ensemble on ports of 127.0.0.1.
#[derive(Debug)]
pub struct Ensemble(Vec<Server>);

impl Ensemble {
    /// So many members; returns when all serve.
    ///
    /// # Errors
    /// Java or ZooKeeper is not installed, or the members do not find each other.
    pub fn start(members: usize) -> Result<Self> {
        let free = || ports::free(Ipv4Addr::LOCALHOST.into());
        let mut lines = String::from("standaloneEnabled=false\nreconfigEnabled=false\n");
        for number in 1..=members {
            // Writing into a string does not fail.
            let _ = writeln!(lines, "server.{number}=127.0.0.1:{}:{}", free()?, free()?);
        }
        let member = |number| Server::launch(free()?, Some((number, &lines)));
        let ensemble = Self((1..=members).map(member).collect::<Result<Vec<_>>>()?);
        ensemble.0.iter().try_for_each(Server::await_serving)?;
        Ok(ensemble)
    }

    /// All members.
    pub fn members(&self) -> &[Server] {
        &self.0
    }

    /// `host:port,host:port,…`.
    pub fn addresses(&self) -> String {
        self.0.iter().map(Server::address).collect::<Vec<_>>().join(",")
    }

    /// The member that leads now; waits for an election to end.
    ///
    /// # Errors
    /// There is none.
    pub fn leader(&self) -> Result<&Server> {
        wait::attempt(ELECTION_LIMIT, || {
            let leads = |member: &&Server| member.mode().as_deref() == Some("leader");
            self.0.iter().find(leads).ok_or_else(|| Error("no member leads".into()))
        })
    }

    /// The members that follow now.
    pub fn followers(&self) -> Vec<&Server> {
        self.0.iter().filter(|member| member.mode().as_deref() == Some("follower")).collect()
    }
}
