//! Memcached: one server, and a minimal client for tests.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};

use crate::{
    Error, Result,
    error::Context,
    server::{Program, ServerProcess, free_port, on_free_ports},
    temp_dir,
};

const REPLY_LIMIT: Duration = Duration::from_secs(10);

/// A server on 127.0.0.1.
pub type Server = ServerProcess<Memcached>;

/// The program of a [`Server`].
#[derive(Debug)]
pub struct Memcached {
    args: Vec<String>,
    port: u16,
}

impl Program for Memcached {
    const NAME: &'static str = "memcached";
    const START_LIMIT: Duration = Duration::from_secs(60);

    fn prepare(&self, command: &mut Command, _directory: &Path) {
        let port = self.port.to_string();
        command.args(["-u", "nobody", "-l", "127.0.0.1", "-p", &port, "-U", "0", "-t", "2"]);
        command.args(&self.args);
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn is_ready(&self, _log: &str, process: u32) -> bool {
        let stats = Connection::open(self.address()).and_then(|mut connection| connection.stats());
        stats.is_ok_and(|stats| stats.get("pid") == Some(&process.to_string()))
    }
}

impl Server {
    /// A server with 64 MB that evicts when they are full, which is Memcached's default.
    pub fn start() -> Result<Self> {
        Self::with(&[])
    }

    /// A server with more arguments, such as `-M` or `-m 1`. The last of a kind wins.
    pub fn with(args: &[&str]) -> Result<Self> {
        on_free_ports(|| {
            let args = args.iter().map(ToString::to_string).collect();
            Self::start_in(temp_dir::create()?, Memcached { args, port: free_port()? })
        })
    }

    /// `memcached://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("memcached://{}", self.address())
    }

    /// A new connection.
    pub fn connect(&self) -> Result<Connection> {
        Connection::open(self.program.address())
    }

    /// Sends one command, with its value if it has one, on a new connection; returns the first line of the answer.
    pub fn command(&self, command: &str) -> Result<String> {
        self.connect()?.command(command)
    }

    /// The server's counters.
    pub fn stats(&self) -> Result<BTreeMap<String, String>> {
        self.connect()?.stats()
    }
}

/// A connection of the test itself, apart from the client under test.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).context(|| format!("no connection to {address}"))?;
        stream.set_nodelay(true).context(|| "TCP_NODELAY".into())?;
        stream.set_read_timeout(Some(REPLY_LIMIT)).context(|| "no read timeout".into())?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends one command, with its value if it has one (`add a 0 0 1\r\nx`); returns the first line of the answer.
    pub fn command(&mut self, command: &str) -> Result<String> {
        self.send(format!("{command}\r\n").as_bytes())?;
        self.line()
    }

    /// Sends bytes unchanged.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.get_mut().write_all(bytes).context(|| "the command was not sent".into())
    }

    /// The next line, without its end.
    pub fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).context(|| "no answer".into())?;
        let text = String::from_utf8_lossy(&line);
        let whole = text.strip_suffix("\r\n").ok_or_else(|| Error(format!("half an answer: {text:?}")))?;
        Ok(whole.to_string())
    }

    /// The value of an item; `None` when there is none.
    pub fn get(&mut self, key: &str) -> Result<Option<String>> {
        if self.command(&format!("get {key}"))? == "END" {
            return Ok(None);
        }
        let mut value = String::new();
        loop {
            match self.line()?.as_str() {
                "END" => return Ok(Some(value)),
                line => value.push_str(line),
            }
        }
    }

    /// The server's counters.
    pub fn stats(&mut self) -> Result<BTreeMap<String, String>> {
        let mut stats = BTreeMap::new();
        let mut line = self.command("stats")?;
        while line != "END" {
            let stat = line.strip_prefix("STAT ").and_then(|stat| stat.split_once(' '));
            let (name, value) = stat.ok_or_else(|| Error(format!("no counter: {line}")))?;
            stats.insert(name.to_string(), value.to_string());
            line = self.line()?;
        }
        Ok(stats)
    }
}
