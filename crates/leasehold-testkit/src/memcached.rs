//! Memcached: one server, and a client that is just enough to look.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpStream},
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

/// How long a server may take to answer, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How often other ports are tried.
const PORTS_TRIED: usize = 20;
const PORT_TAKEN: &str = "Address already in use";
const REPLY_LIMIT: Duration = Duration::from_secs(10);

/// A server of its own on 127.0.0.1, gone with the value.
#[derive(Debug)]
pub struct Server {
    // The process ends before its directory is removed: fields are dropped in this order.
    process: Mutex<Process>,
    args: Vec<String>,
    port: u16,
    directory: TempDir,
}

enum Failure {
    PortTaken,
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl Server {
    /// A server with 64 MB that evicts when they are full, as Memcached does unless it is told otherwise.
    ///
    /// # Errors
    /// See [`Server::with`].
    pub fn start() -> Result<Self> {
        Self::with(&[])
    }

    /// A server with more arguments, such as `-M` or `-m 1`. The last of a kind wins.
    ///
    /// # Errors
    /// The program is missing, refuses its arguments (the message has what it said), or no port is free.
    pub fn with(args: &[&str]) -> Result<Self> {
        let directory = scratch::directory()?;
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        for _ in 0..PORTS_TRIED {
            let port = ports::free(Ipv4Addr::LOCALHOST.into())?;
            match run(&args, port, directory.path()) {
                Ok(process) => return Ok(Self { process: Mutex::new(process), args, port, directory }),
                Err(Failure::PortTaken) => {}
                Err(Failure::Other(error)) => return Err(error),
            }
        }
        Err(Error(format!("every one of {PORTS_TRIED} ports was taken before memcached got it")))
    }

    /// The port. It stays the same when the server is restarted.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `memcached://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("memcached://{}", self.address())
    }

    /// The process id of the server, or of the one that ran last.
    pub fn pid(&self) -> u32 {
        self.process().id()
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

    /// SIGKILL; returns when it is gone, and everything in it.
    pub fn kill(&self) {
        self.process().kill();
    }

    /// Starts it again, empty (after killing it, if it still runs): same port, same arguments. Returns when it answers.
    ///
    /// # Errors
    /// See [`Server::with`].
    pub fn restart(&self) -> Result<()> {
        let mut process = self.process();
        process.kill();
        *process = wait::attempt(START_LIMIT, || {
            run(&self.args, self.port, self.directory.path()).map_err(|failure| match failure {
                Failure::PortTaken => Error(format!("somebody else took port {}", self.port)),
                Failure::Other(error) => error,
            })
        })?;
        Ok(())
    }

    /// Whether the process is there. A paused one is.
    pub fn is_running(&self) -> bool {
        self.process().is_running()
    }

    /// A new connection.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn connect(&self) -> Result<Connection> {
        Connection::open(self.port)
    }

    /// Sends one command, with its value if it has one, on a new connection; answers the first line.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn command(&self, command: &str) -> Result<String> {
        self.connect()?.command(command)
    }

    /// The server's counters.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn stats(&self) -> Result<BTreeMap<String, String>> {
        self.connect()?.stats()
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        lock(&self.process)
    }
}

/// A connection of the test itself, apart from the client under test.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        let stream = stream.context(|| format!("no connection to 127.0.0.1:{port}"))?;
        stream.set_nodelay(true).context(|| "TCP_NODELAY".into())?;
        stream.set_read_timeout(Some(REPLY_LIMIT)).context(|| "no read timeout".into())?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends one command, with its value if it has one (`add a 0 0 1\r\nx`); answers the first line.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn command(&mut self, command: &str) -> Result<String> {
        self.send(format!("{command}\r\n").as_bytes())?;
        self.line()
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.get_mut().write_all(bytes).context(|| "the command was not sent".into())
    }

    /// The next line, without its end.
    ///
    /// # Errors
    /// None came in time, or the connection is broken.
    pub fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).context(|| "no answer".into())?;
        let text = String::from_utf8_lossy(&line);
        let whole = text.strip_suffix("\r\n").ok_or_else(|| Error(format!("half an answer: {text:?}")))?;
        Ok(whole.to_string())
    }

    /// The value of an item; `None` when there is none.
    ///
    /// # Errors
    /// The server does not answer.
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
    ///
    /// # Errors
    /// The server does not answer.
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

/// Starts the program and waits until it answers. Its process id is asked for: somebody else might answer.
fn run(args: &[String], port: u16, directory: &Path) -> std::result::Result<Process, Failure> {
    let path = directory.join("log");
    let output = File::create(&path).context(|| "the log cannot be written".into())?;
    let errors = output.try_clone().context(|| "the log cannot be written".into())?;
    let mut process = Process::start("memcached", |command: &mut Command| {
        command.args(["-u", "nobody", "-l", "127.0.0.1", "-p", &port.to_string(), "-U", "0", "-t", "2"]);
        command.args(args).current_dir(directory);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
    })?;
    let own = process.id().to_string();
    let answers = || {
        let stats = Connection::open(port).and_then(|mut connection| connection.stats());
        stats.is_ok_and(|stats| stats.get("pid") == Some(&own))
    };
    let mut ended = false;
    let ready = wait::until(START_LIMIT, || {
        ended = !process.is_running();
        ended || answers()
    });
    let log = String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned();
    match () {
        () if ready && !ended => Ok(process),
        () if log.contains(PORT_TAKEN) => Err(Failure::PortTaken),
        () => Err(Failure::Other(Error(format!("memcached did not start:\n{log}")))),
    }
}
