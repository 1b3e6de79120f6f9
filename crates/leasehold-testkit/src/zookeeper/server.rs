//! One running server, alone or as a member of an ensemble.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    Error, Result,
    error::Context,
    ports,
    process::Process,
    scratch,
    wait::{self, lock},
};

/// How long a server may take to serve, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long one answer to a command of four letters may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// How often other ports are tried.
const PORTS_TRIED: usize = 20;
const PORT_TAKEN: &str = "Address already in use";
/// Where Debian keeps the server; its manifest names what it needs.
const CLASSES: &str = "/usr/share/java/zookeeper.jar";

/// A server of its own, in a directory of its own; both are gone with the value.
#[derive(Debug)]
pub struct Server {
    // The process ends before its directory is removed: fields are dropped in this order.
    process: Mutex<Process>,
    port: u16,
    directory: TempDir,
}

impl Server {
    /// A server alone, with ticks of half a second, on 127.0.0.1; returns when it serves.
    ///
    /// # Errors
    /// Java or ZooKeeper is not installed, or the server does not start.
    pub fn start() -> Result<Self> {
        for _ in 0..PORTS_TRIED {
            let server = Self::launch(ports::free(Ipv4Addr::LOCALHOST.into())?, None)?;
            match server.await_serving() {
                Ok(()) => return Ok(server),
                Err(error) if !server.log().contains(PORT_TAKEN) => return Err(error),
                Err(_) => {}
            }
        }
        Err(Error(format!("every one of {PORTS_TRIED} ports was taken before ZooKeeper got it")))
    }

    /// Starts the process, with its number and more lines in its configuration when it is the member of an ensemble, and
    /// does not wait for it.
    pub(super) fn launch(port: u16, member: Option<(usize, &str)>) -> Result<Self> {
        let directory = scratch::directory()?;
        let place = directory.path();
        configure(place, port, member.map_or("", |(_, lines)| lines))?;
        if let Some((number, _)) = member {
            let written = fs::write(place.join("data/myid"), number.to_string());
            written.context(|| "the number of a member cannot be written".into())?;
        }
        let process = Mutex::new(run(place)?);
        Ok(Self { process, port, directory })
    }

    /// The port for clients. It stays the same when the server is restarted.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The process id of the server, or of the one that ran last.
    pub fn pid(&self) -> u32 {
        self.process().id()
    }

    /// What the server wrote into its log since it was started last.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.directory.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// SIGSTOP: connections stay open and nothing is answered. Returns when the server stands still.
    ///
    /// # Errors
    /// It is not running.
    pub fn pause(&self) -> Result<()> {
        self.process().pause()
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// It is not running.
    pub fn resume(&self) -> Result<()> {
        self.process().resume()
    }

    /// SIGKILL; returns when it is gone.
    pub fn kill(&self) {
        self.process().kill();
    }

    /// Starts it again (after killing it, if it still runs) with the data that it had, and does not wait until it serves.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn restart(&self) -> Result<()> {
        let mut process = self.process();
        process.kill();
        *process = run(self.directory.path())?;
        Ok(())
    }

    /// Waits until it serves.
    ///
    /// # Errors
    /// It has ended, or takes too long.
    pub fn await_serving(&self) -> Result<()> {
        let mut ended = false;
        let serves = wait::until(START_LIMIT, || {
            ended = !self.process().is_running();
            ended || self.mode().is_some()
        });
        if serves && !ended {
            return Ok(());
        }
        Err(Error(format!("ZooKeeper at {} does not serve:\n{}", self.address(), self.log())))
    }

    /// What it is now: `standalone`, `leader` or `follower`; `None` when it does not serve.
    pub fn mode(&self) -> Option<String> {
        let answer = self.ask("srvr")?;
        Some(answer.lines().find_map(|line| line.strip_prefix("Mode: "))?.to_string())
    }

    /// The answer to a command of four letters; `None` when there is none.
    pub fn ask(&self, word: &str) -> Option<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT).ok()?;
        stream.set_read_timeout(Some(ANSWER_LIMIT)).ok()?;
        stream.write_all(word.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        lock(&self.process)
    }
}

fn configure(directory: &Path, port: u16, lines: &str) -> Result<()> {
    let place = directory.display();
    let text = format!(
        "tickTime=500\ninitLimit=20\nsyncLimit=10\ndataDir={place}/data\nclientPort={port}\n\
        clientPortAddress=127.0.0.1\nmaxClientCnxns=0\nminSessionTimeout=1000\nmaxSessionTimeout=120000\n\
        admin.enableServer=false\n4lw.commands.whitelist=*\n{lines}"
    );
    let log = "log4j.rootLogger=INFO, OUT\nlog4j.appender.OUT=org.apache.log4j.ConsoleAppender\n\
        log4j.appender.OUT.layout=org.apache.log4j.PatternLayout\nlog4j.appender.OUT.layout.ConversionPattern=%d %p %m%n\n";
    let written = fs::create_dir_all(directory.join("data"))
        .and_then(|()| fs::write(directory.join("zoo.cfg"), text))
        .and_then(|()| fs::write(directory.join("log4j.properties"), log));
    written.context(|| "the configuration of ZooKeeper cannot be written".into())
}

fn run(directory: &Path) -> Result<Process> {
    let output = File::create(directory.join("log")).context(|| "the log cannot be written".into())?;
    let errors = output.try_clone().context(|| "the log cannot be written".into())?;
    Process::start("java", |command: &mut Command| {
        command.args(["-Xms16m", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        command.args([
            "-Djava.awt.headless=true",
            "-Dzookeeper.forceSync=no",
            "-Dzookeeper.jmx.log4j.disable=true",
        ]);
        // Empty containers go after a second, not after a minute: whoever relies on one that was there is found out.
        command.args(["-Dznode.container.checkIntervalMs=1000", "-Dznode.container.maxPerMinute=60000"]);
        command.arg("-cp").arg(format!("{}:{CLASSES}", directory.display()));
        command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(directory.join("zoo.cfg"));
        command.current_dir(directory).stdin(Stdio::null()).stdout(output).stderr(errors);
    })
}
