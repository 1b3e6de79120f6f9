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
    tls::{self, Tls},
};

/// The time limit of the answer to a four-letter command.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// Debian's path of the server, whose manifest names its dependencies, and what it leaves out of them for TLS.
const CLASSES: &str =
    "/usr/share/java/zookeeper.jar:/usr/share/java/netty-codec.jar:/usr/share/java/netty-resolver.jar";
/// The key and the certificate of the server, in one file.
const KEY_STORE: &str = "key-store.pem";

/// A server on 127.0.0.1. [`ServerProcess::restart`] does not wait for it: see [`Server::await_serving`].
pub type Server = ServerProcess<ZooKeeper>;

/// The program of a [`Server`].
#[derive(Debug)]
pub struct ZooKeeper {
    port: u16,
    secure: Option<Secure>,
}

/// The port of a server for TLS.
#[derive(Clone, Debug)]
struct Secure {
    port: u16,
    tls: Tls,
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

    /// A server alone that serves TLS on a second port, `secureClientPort`; with `mutual`, clients need a certificate.
    pub fn with_tls(mutual: bool) -> Result<Self> {
        Self::secure(Tls { mutual, ..Tls::default() })
    }

    /// The same with a certificate for this name alone.
    pub fn with_tls_for(name: &str) -> Result<Self> {
        Self::secure(Tls { names: vec![name.into()], ..Tls::default() })
    }

    fn secure(tls: Tls) -> Result<Self> {
        on_free_ports(|| {
            let secure = Secure { port: free_port()?, tls: tls.clone() };
            let server = Self::launched(free_port()?, None, "", Some(secure))?;
            server.await_ready()?;
            Ok(server)
        })
    }

    /// The port for TLS; 0 without one.
    pub fn tls_port(&self) -> u16 {
        self.program.secure.as_ref().map_or(0, |secure| secure.port)
    }

    /// The files of a client as keys of a URL: `ca=PATH`, and where a certificate is demanded `cert=PATH&key=PATH`.
    pub fn tls_query(&self) -> String {
        let is_mutual = self.program.secure.as_ref().is_some_and(|secure| secure.tls.mutual);
        tls::query(self.directory(), is_mutual)
    }

    /// Replaces the authority and all certificates, which the server reads when it is started again.
    pub fn replace_certificates(&self) -> Result<()> {
        self.program.secure.iter().try_for_each(|secure| secure.write(self.directory()))
    }

    /// Starts the process, with its number when it is the member of an ensemble, and does not wait for it.
    pub(super) fn configured(port: u16, member: Option<usize>, lines: &str) -> Result<Self, Failure> {
        Self::launched(port, member, lines, None)
    }

    fn launched(
        port: u16,
        member: Option<usize>,
        lines: &str,
        secure: Option<Secure>,
    ) -> Result<Self, Failure> {
        let directory = temp_dir::create()?;
        let tls = secure.as_ref().map(|secure| secure.lines(directory.path()));
        configure(directory.path(), port, &format!("{lines}{}", tls.unwrap_or_default()))?;
        secure.iter().try_for_each(|secure| secure.write(directory.path()))?;
        if let Some(number) = member {
            let written = fs::write(directory.path().join("data/myid"), number.to_string());
            written.context(|| "the number of a member cannot be written".into())?;
        }
        Ok(Self::launch(directory, ZooKeeper { port, secure })?)
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

impl Secure {
    fn lines(&self, directory: &Path) -> String {
        let (place, port) = (directory.display(), self.port);
        let auth = if self.tls.mutual { "need" } else { "none" };
        format!(
            "secureClientPort={port}\nsecureClientPortAddress=127.0.0.1\n\
            serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\nssl.clientAuth={auth}\n\
            ssl.keyStore.location={place}/{KEY_STORE}\nssl.trustStore.location={place}/{}\n",
            tls::AUTHORITY
        )
    }

    fn write(&self, directory: &Path) -> Result<()> {
        self.tls.create(directory)?;
        let read = |name| fs::read_to_string(directory.join(name));
        let all = read(tls::KEY).and_then(|key| Ok(key + &read(tls::CERTIFICATE)?));
        let written = all.and_then(|text| fs::write(directory.join(KEY_STORE), text));
        written.context(|| "the key store of ZooKeeper cannot be written".into())
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
