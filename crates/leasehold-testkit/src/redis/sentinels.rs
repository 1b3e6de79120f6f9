//! [`Sentinels`]: a master, two replicas, and three Sentinels that watch them.

use std::{net::Ipv4Addr, time::Duration};

use super::{Builder, Server, replicated::online_offset};
use crate::{Error, Result, error::ensure, ports, wait};

const NAME: &str = "main";

/// A master, two replicas, and three Sentinels that promote one of them half a second after the master fell silent.
#[derive(Debug)]
pub struct Sentinels {
    sentinels: Vec<Server>,
    servers: Vec<Server>,
}

impl Sentinels {
    /// Starts them, and waits until all know each other.
    pub fn start() -> Result<Self> {
        Self::with(|server| server, |sentinel| sentinel)
    }

    /// The same with other options of the servers and of the Sentinels.
    pub fn with(server: impl Fn(Builder) -> Builder, sentinel: impl Fn(Builder) -> Builder) -> Result<Self> {
        let mut servers = vec![server(Server::builder()).start()?];
        for _ in 0..2 {
            servers.push(server(Server::builder()).replica_of(&servers[0]).start()?);
        }
        let port = servers[0].port();
        let password = servers[0].password();
        let login = password.map(|password| format!("sentinel auth-pass {NAME} {password}\n"));
        let configuration = format!(
            "sentinel monitor {NAME} 127.0.0.1 {port} 2\nsentinel down-after-milliseconds {NAME} 500\n\
             sentinel failover-timeout {NAME} 3000\n{}",
            login.unwrap_or_default()
        );
        let sentinels = (0..3).map(|_| sentinel(Server::builder()).sentinel(&configuration).start());
        let kit = Sentinels { sentinels: sentinels.collect::<Result<_>>()?, servers };
        kit.await_agreement()?;
        Ok(kit)
    }

    /// Waits until every Sentinel knows two others and two replicas that follow.
    pub fn await_agreement(&self) -> Result<()> {
        wait::attempt(Duration::from_secs(40), || {
            for sentinel in &self.sentinels {
                let reply = sentinel.command(&["SENTINEL", "MASTER", NAME])?;
                let field = |name: &str| {
                    let mut pairs = reply.items().chunks(2);
                    let pair = pairs.find(|pair| pair[0].text() == Some(name));
                    pair.and_then(|pair| pair[1].text()?.parse::<u32>().ok()).unwrap_or_default()
                };
                let (replicas, others) = (field("num-slaves"), field("num-other-sentinels"));
                let found = || format!("a Sentinel knows {replicas} replicas and {others} Sentinels");
                ensure((replicas, others) == (2, 2), found)?;
            }
            let port = self.master_port()?;
            let master = self.server_at(port).ok_or_else(|| Error(format!("a master at {port}")))?;
            online_offset(master, 2).map(drop)
        })
    }

    /// `HOST:PORT` of the Sentinels.
    pub fn addresses(&self) -> Vec<String> {
        self.sentinels.iter().map(Server::address).collect()
    }

    /// `redis+sentinel://H1,H2,H3/main`.
    pub fn url(&self) -> String {
        format!("redis+sentinel://{}/{NAME}", self.addresses().join(","))
    }

    /// A server; the first was the master at the start.
    pub fn server(&self, at: usize) -> &Server {
        &self.servers[at]
    }

    /// The server with this port.
    pub fn server_at(&self, port: u16) -> Option<&Server> {
        self.servers.iter().find(|server| server.port() == port)
    }

    /// A Sentinel.
    pub fn sentinel(&self, at: usize) -> &Server {
        &self.sentinels[at]
    }

    /// The port of the master, as the Sentinels report it.
    pub fn master_port(&self) -> Result<u16> {
        for sentinel in &self.sentinels {
            let Ok(reply) = sentinel.command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]) else {
                continue;
            };
            if let Some(port) = reply.items().get(1).and_then(|port| port.text()?.parse().ok()) {
                return Ok(port);
            }
        }
        Err(Error("no Sentinel answered".into()))
    }

    /// Asks for a planned failover, and waits until another server is named.
    pub fn failover(&self) -> Result<u16> {
        let before = self.master_port()?;
        wait::attempt(Duration::from_secs(20), || {
            self.sentinels[0].run(&["SENTINEL", "FAILOVER", NAME]).map(drop)
        })?;
        self.await_other_than(before)
    }

    /// Waits until another server is named than the one with this port.
    pub fn await_other_than(&self, port: u16) -> Result<u16> {
        wait::attempt(Duration::from_secs(30), || {
            let named = self.master_port()?;
            ensure(named != port, || format!("the master is still at {port}")).map(|()| named)
        })
    }

    /// Makes the replicas copy from a port without a listener, which Sentinel notices late: later writes of the master do
    /// not reach them.
    pub fn starve_replicas(&self) -> Result<()> {
        let master = self.master_port()?;
        let nobody = ports::free(Ipv4Addr::LOCALHOST.into())?.to_string();
        for server in self.servers.iter().filter(|server| server.port() != master) {
            server.run(&["REPLICAOF", "127.0.0.1", &nobody])?;
        }
        Ok(())
    }
}
