//! [`NaiveRedis`]: a hand-written lock client for one Redis server, or for several of which a majority decides.

use std::time::Duration;

use anyhow::{Context, Result};
use leasehold_testkit::redis::{Connection, Reply};

const REPLY_TIMEOUT: Duration = Duration::from_millis(1500);
const COMPARE_AND_DELETE: &str =
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end";
const COMPARE_AND_EXPIRE: &str = "if redis.call('get', KEYS[1]) == ARGV[1] then return \
                                  redis.call('pexpire', KEYS[1], ARGV[2]) else return 0 end";

/// A lock in Redis and its client.
pub(crate) struct NaiveRedis {
    servers: Vec<(String, Option<Connection>)>,
    key: String,
    /// The value of the key while this client holds the lock.
    pub(crate) id: String,
    ttl_ms: String,
}

/// The answers to a request for the lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Votes {
    pub(crate) granted: usize,
    pub(crate) answered: usize,
    servers: usize,
}

impl Votes {
    pub(crate) fn won(self) -> bool {
        self.granted > self.servers / 2
    }
}

impl NaiveRedis {
    pub(crate) fn new(servers: &[String], key: &str, id: &str, ttl: Duration) -> Self {
        let servers = servers.iter().map(|address| (address.clone(), None)).collect();
        Self { servers, key: key.into(), id: id.into(), ttl_ms: ttl.as_millis().to_string() }
    }

    /// `SET key id NX PX ttl` on every server.
    pub(crate) fn set(&mut self) -> Votes {
        let (key, id, ttl_ms) = (self.key.clone(), self.id.clone(), self.ttl_ms.clone());
        let replies = self.ask(&["SET", &key, &id, "NX", "PX", &ttl_ms]);
        let granted = replies.iter().flatten().filter(|reply| reply.text() == Some("OK")).count();
        Votes { granted, answered: replies.iter().flatten().count(), servers: replies.len() }
    }

    /// `SET key id NX PX ttl`; whether a majority granted the lock.
    pub(crate) fn try_lock(&mut self) -> Result<bool> {
        let votes = self.set();
        anyhow::ensure!(votes.answered > 0, "no server answers");
        Ok(votes.won())
    }

    /// Deletes the key of any holder; whether all servers answered.
    pub(crate) fn delete(&mut self) -> bool {
        let key = self.key.clone();
        self.ask(&["DEL", &key]).iter().all(Option::is_some)
    }

    /// Deletes the key if it has this client's id; whether all servers answered.
    pub(crate) fn compare_and_delete(&mut self) -> bool {
        let (key, id) = (self.key.clone(), self.id.clone());
        self.ask(&["EVAL", COMPARE_AND_DELETE, "1", &key, &id]).iter().all(Option::is_some)
    }

    /// Renews the key if it has this client's id; whether the first server confirmed it.
    pub(crate) fn renew(&mut self) -> bool {
        let (key, id, ttl_ms) = (self.key.clone(), self.id.clone(), self.ttl_ms.clone());
        self.call(&["EVAL", COMPARE_AND_EXPIRE, "1", &key, &id, &ttl_ms])
            .is_ok_and(|reply| reply.int() == Some(1))
    }

    /// One command to the first server.
    pub(crate) fn call(&mut self, command: &[&str]) -> Result<Reply> {
        let (address, connection) = self.servers.first_mut().context("there is no server")?;
        Ok(ask(address, connection, command).context("the server does not answer")?.accepted()?)
    }

    /// The answers of all servers; `None`: no answer.
    fn ask(&mut self, command: &[&str]) -> Vec<Option<Reply>> {
        self.servers.iter_mut().map(|(address, connection)| ask(address, connection, command)).collect()
    }
}

/// Sends a command; a connection that gave no answer is closed.
fn ask(address: &str, connection: &mut Option<Connection>, command: &[&str]) -> Option<Reply> {
    if connection.is_none() {
        *connection = Connection::open(address).ok();
    }
    let open = connection.as_mut()?;
    let reply = open.set_read_timeout(REPLY_TIMEOUT).and_then(|()| open.call(command));
    if reply.is_err() {
        *connection = None;
    }
    reply.ok()
}
