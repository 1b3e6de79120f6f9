//! An ensemble of several servers.

use std::{fmt::Write, time::Duration};

use super::server::Server;
use crate::{Error, Result, server::free_port, wait};

/// The time limit of an election, on a busy machine.
const ELECTION_LIMIT: Duration = Duration::from_secs(60);

/// An ensemble on ports of 127.0.0.1.
#[derive(Debug)]
pub struct Ensemble(Vec<Server>);

impl Ensemble {
    /// An ensemble of that many members; returns when all serve.
    pub fn start(members: usize) -> Result<Self> {
        let mut lines = String::from("standaloneEnabled=false\nreconfigEnabled=false\n");
        for number in 1..=members {
            // Writing into a string does not fail.
            let _ = writeln!(lines, "server.{number}=127.0.0.1:{}:{}", free_port()?, free_port()?);
        }
        let member = |number| Ok(Server::configured(free_port()?, Some(number), &lines)?);
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

    /// The leader of now; waits for an election to end.
    pub fn leader(&self) -> Result<&Server> {
        wait::attempt(ELECTION_LIMIT, || {
            let leads = |member: &&Server| member.mode().as_deref() == Some("leader");
            self.0.iter().find(leads).ok_or_else(|| Error("no member leads".into()))
        })
    }

    /// The followers of now.
    pub fn followers(&self) -> Vec<&Server> {
        self.0.iter().filter(|member| member.mode().as_deref() == Some("follower")).collect()
    }
}
