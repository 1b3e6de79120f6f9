//! One running server, alone or as a member of an ensemble.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};

use crate::{
    Result,
    error::Context,
    server::{Failure, Program, ServerProcess, free_port, on_free_ports},
    temp_dir,
};

/// The time limit of the answer to a four-letter command.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// Debian's path of the server; its manifest names its dependencies.
const CLASSES: &str = "/usr/share/java/zookeeper.jar";

/// A server on 127.0.0.1. [`ServerProcess::restart`] does not wait for it: see [`Server::await_serving`].
pub type Server = ServerProcess<ZooKeeper>;

/// The program of a [`Server`].
#[derive(Debug)]
pub struct ZooKeeper {
    port: u16,
}

impl Program for ZooKeeper {
    const NAME: &'static str = "java";
    const RESTART_WAITS: bool = false;

    fn prepare(&self, command: &mut Command, directory: &Path) {
        command.args(["-Xms16m", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        command.args([
            "-Djava.awt.headless=true",
            "-Dzookeeper.forceSync=no",
            "-Dzookeeper.jmx.log4j.disable=true",
        ]);
        // Empty containers go after a second, not after a minute: a client that relies on one is found out.
        command.args(["-Dznode.container.checkIntervalMs=1000", "-Dznode.container.maxPerMinute=60000"]);
        command.arg("-cp").arg(format!("{}:{CLASSES}", directory.display()));
        command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(directory.join("zoo.cfg"));
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn is_ready(&self, _log: &str, _process: u32) -> bool {
        self.mode().is_some()
    }
}

impl ZooKeeper {
    fn mode(&self) -> Option<String> {
        let answer = self.ask("srvr")?;
        Some(answer.lines().find_map(|line| line.strip_prefix("Mode: "))?.to_string())
    }

    fn ask(&self, word: &str) -> Option<String> {
        let mut stream = TcpStream::connect_timeout(&self.address(), ANSWER_LIMIT).ok()?;
        stream.set_read_timeout(Some(ANSWER_LIMIT)).ok()?;
        stream.write_all(word.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }
}

impl Server {
    /// A server alone, with ticks of half a second; returns when it serves.
    pub fn start() -> Result<Self> {
        Self::with("")
    }

    /// The same with more lines in its configuration.
    pub fn with(lines: &str) -> Result<Self> {
        on_free_ports(|| {
            let server = Self::configured(free_port()?, None, lines)?;
            server.await_ready()?;
            Ok(server)
        })
    }

    /// Starts the process, with its number when it is the member of an ensemble, and does not wait for it.
    pub(super) fn configured(port: u16, member: Option<usize>, lines: &str) -> Result<Self, Failure> {
        let directory = temp_dir::create()?;
        configure(directory.path(), port, lines)?;
        if let Some(number) = member {
            let written = fs::write(directory.path().join("data/myid"), number.to_string());
            written.context(|| "the number of a member cannot be written".into())?;
        }
        Ok(Self::launch(directory, ZooKeeper { port })?)
    }

    /// Waits until it serves.
    pub fn await_serving(&self) -> Result<()> {
        Ok(self.await_ready()?)
    }

    /// Its role: `standalone`, `leader` or `follower`; `None` when it does not serve.
    pub fn mode(&self) -> Option<String> {
        self.program.mode()
    }

    /// The answer to a four-letter command, if there is one.
    pub fn ask(&self, word: &str) -> Option<String> {
        self.program.ask(word)
    }
}

fn configure(directory: &Path, port: u16, lines: &str) -> Result<()> {
    let place = directory.display();
    let text = format!(
        "tickTime=500\ninitLimit=20\nsyncLimit=10\ndataDir={place}/data\nclientPort={port}\n\
        clientPortAddress=127.0.0.1\nmaxClientCnxns=0\nminSessionTimeout=1000\nmaxSessionTimeout=120000\n\
        admin.enableServer=false\nenforceQuota=true\n4lw.commands.whitelist=*\n{lines}"
    );
    let log = "log4j.rootLogger=INFO, OUT\nlog4j.appender.OUT=org.apache.log4j.ConsoleAppender\n\
        log4j.appender.OUT.layout=org.apache.log4j.PatternLayout\nlog4j.appender.OUT.layout.ConversionPattern=%d %p %m%n\n";
    let written = fs::create_dir_all(directory.join("data"))
        .and_then(|()| fs::write(directory.join("zoo.cfg"), text))
        .and_then(|()| fs::write(directory.join("log4j.properties"), log));
    written.context(|| "the configuration of ZooKeeper cannot be written".into())
}
