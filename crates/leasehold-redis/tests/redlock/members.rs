//! Several servers, their clients, and what they hold.

use std::{sync::Arc, time::Duration};

use leasehold_core::{Engine, Quorum, QuorumOptions, Store};
use leasehold_redis::RedisStore;
use leasehold_testkit::redis::{Builder, Reply, Server};

use crate::common;

/// Several servers that vote.
pub(crate) struct VotingServers {
    pub(crate) servers: Vec<Server>,
    pub(crate) longest_lease: Duration,
    pub(crate) node_timeout: Duration,
}

impl VotingServers {
    /// New servers, all promoted.
    pub(crate) async fn start(count: usize, longest_lease: Duration) -> VotingServers {
        VotingServers::start_as(count, longest_lease, |builder| builder).await
    }

    pub(crate) async fn start_as(
        count: usize,
        longest_lease: Duration,
        how: impl Fn(Builder) -> Builder,
    ) -> VotingServers {
        let servers: Vec<Server> = (0..count).map(|_| how(Server::builder()).start().unwrap()).collect();
        let voters = VotingServers { servers, longest_lease, node_timeout: Duration::from_secs(2) };
        for at in 0..count {
            voters.member(at).promote().await.unwrap();
        }
        voters
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        self.servers.iter().map(Server::address).collect()
    }

    pub(crate) fn member(&self, at: usize) -> RedisStore {
        let port = self.servers[at].port().to_string();
        common::member(&common::env(), &port, self.servers.len() as u32, self.longest_lease).unwrap()
    }

    /// A new client.
    pub(crate) fn quorum(&self) -> Quorum {
        let members = (0..self.servers.len()).map(|at| Arc::new(self.member(at)) as Arc<dyn Store>);
        self.quorum_of(members.collect())
    }

    pub(crate) fn quorum_of(&self, members: Vec<Arc<dyn Store>>) -> Quorum {
        let mut options = QuorumOptions::default();
        options.url = "redlock:".to_string();
        options.longest_lease = self.longest_lease;
        options.node_timeout = self.node_timeout;
        Quorum::new(members, options, common::env()).unwrap()
    }

    pub(crate) fn engine(&self) -> Engine {
        Engine::new(Arc::new(self.quorum()), common::env())
    }

    /// How many servers have this key.
    pub(crate) fn keys(&self, key: &str) -> usize {
        let has = |server: &&Server| server.command(&["EXISTS", key]).unwrap().int() == Some(1);
        self.servers.iter().filter(has).count()
    }

    /// Whether somebody waits for this lock at a member.
    pub(crate) async fn waits(&self, at: usize, text: &str) -> bool {
        let shown = self.member(at).inspect(&leasehold_core::LockName::new(text).unwrap()).await;
        !shown.unwrap().waiters.is_empty()
    }

    /// How often each server was asked to run a script since its counters were reset.
    pub(crate) fn calls(&self) -> Vec<u64> {
        self.servers.iter().map(|server| server.calls("evalsha")).collect()
    }

    /// Records all requests from now on.
    pub(crate) fn record(&self) {
        for server in &self.servers {
            for setting in [["slowlog-max-len", "100000"], ["slowlog-log-slower-than", "0"]] {
                server.command(&[&["CONFIG", "SET"], &setting[..]].concat()).unwrap();
            }
            server.command(&["SLOWLOG", "RESET"]).unwrap();
        }
    }

    /// The recorded scripts of each server that are not about that key.
    pub(crate) fn scripts_beside(&self, key: &str) -> Vec<Vec<String>> {
        let scripts = |server: &Server| {
            let Reply::Array(entries) = server.command(&["SLOWLOG", "GET", "-1"]).unwrap() else {
                panic!("no array")
            };
            let texts = entries.iter().map(|entry| format!("{entry:?}").to_lowercase());
            texts.filter(|text| text.contains("evalsha") && !text.contains(key)).collect()
        };
        self.servers.iter().map(scripts).collect()
    }

    pub(crate) fn reset(&self) {
        for server in &self.servers {
            server.reset_stats().unwrap();
        }
    }
}

/// The claims by a reserved token that a server was asked for: each reads the counter and the marker.
pub(crate) fn without_script(server: &Server) -> u64 {
    server.calls("getex") / 2
}
