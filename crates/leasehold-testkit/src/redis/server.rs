//! One running server.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use tempfile::TempDir;

use super::{
    builder::{Builder, Ports},
    connection::Connection,
    reply::Reply,
};
use crate::{
    Error, Result,
    clock::Clock,
    error::Context,
    ports,
    process::Process,
    scratch,
    tls::Identity,
    wait::{self, lock},
};

/// How long a server may take to accept connections, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How often other ports are tried.
const PORTS_TRIED: usize = 20;
/// What the log says of a server that accepts connections. The log and not a ping is asked: somebody else might answer.
const READY: [&str; 2] = ["Ready to accept connections", "Sentinel ID is"];
const PORT_TAKEN: &str = "Address already in use";

/// A server of its own, in a directory of its own; both are gone with the value.
#[derive(Debug)]
pub struct Server {
    // The process ends before its directory is removed: fields are dropped in this order.
    process: Mutex<Process>,
    clock: Option<Clock>,
    identity: Option<Identity>,
    builder: Builder,
    ports: Ports,
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
    /// A server without persistence and without a password on 127.0.0.1.
    ///
    /// # Errors
    /// See [`Builder::start`].
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// A server that is different.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(super) fn launch(builder: Builder) -> Result<Self> {
        let directory = scratch::directory()?;
        let place = directory.path();
        let create = if builder.expired { Identity::create_expired } else { Identity::create };
        let identity = builder.tls.then(|| create(place, &[&builder.address])).transpose()?;
        let clock = builder.clock_shim.then(|| Clock::create(place)).transpose()?;
        for _ in 0..PORTS_TRIED {
            let ports = free_ports(&builder)?;
            builder.write(place, ports)?;
            match run(&builder, place, clock.as_ref()) {
                Ok(process) => {
                    let process = Mutex::new(process);
                    return Ok(Self { process, clock, identity, builder, ports, directory });
                }
                Err(Failure::PortTaken) => {}
                Err(Failure::Other(error)) => return Err(error),
            }
        }
        Err(Error(format!("every one of {PORTS_TRIED} ports was taken before redis-server got it")))
    }

    /// The port without TLS. It stays the same when the server is restarted.
    pub fn port(&self) -> u16 {
        self.ports.plain
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.builder.address, self.ports.plain)
    }

    /// `redis://127.0.0.1:port`, with the password of the default user when it has one.
    pub fn url(&self) -> String {
        format!("redis://{}{}", self.credentials(), self.address())
    }

    /// `rediss://127.0.0.1:port`, likewise.
    pub fn tls_url(&self) -> String {
        format!("rediss://{}{}:{}", self.credentials(), self.builder.address, self.tls_port())
    }

    /// The port with TLS; 0 without [`Builder::tls`].
    pub fn tls_port(&self) -> u16 {
        self.ports.tls.unwrap_or_default()
    }

    /// The cluster's port for its nodes; 0 without [`Builder::cluster`].
    pub fn bus_port(&self) -> u16 {
        self.ports.bus.unwrap_or_default()
    }

    /// The certificate of the authority that signed the server's; empty without [`Builder::tls`].
    pub fn ca_pem(&self) -> &str {
        self.identity.as_ref().map_or("", Identity::ca_pem)
    }

    /// The file with it; empty without [`Builder::tls`].
    pub fn ca_path(&self) -> &Path {
        self.identity.as_ref().map_or(Path::new(""), Identity::ca_path)
    }

    /// The Unix socket, which is there with [`Builder::unix_socket`].
    pub fn socket_path(&self) -> PathBuf {
        self.directory().join("redis.sock")
    }

    /// The password of the default user.
    pub fn password(&self) -> Option<&str> {
        self.builder.password.as_deref()
    }

    /// The process id of the server, or of the one that ran last.
    pub fn pid(&self) -> u32 {
        self.process().id()
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What the server wrote into its log since it was started last.
    pub fn log(&self) -> String {
        log(self.directory())
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

    /// SIGKILL; returns when it is gone. What was not written to disk is lost.
    pub fn kill(&self) {
        self.process().kill();
    }

    /// SIGTERM; returns when it has ended in its own way.
    ///
    /// # Errors
    /// It is not running, or does not end.
    pub fn shutdown(&self) -> Result<()> {
        self.process().terminate()
    }

    /// Starts it again (after killing it, if it still runs): same ports, same directory, same configuration file, with
    /// what Sentinel had it write there. Returns when it accepts connections.
    ///
    /// # Errors
    /// See [`Builder::start`].
    pub fn restart(&self) -> Result<()> {
        let mut process = self.process();
        process.kill();
        *process = wait::attempt(START_LIMIT, || {
            run(&self.builder, self.directory(), self.clock.as_ref()).map_err(|failure| match failure {
                Failure::PortTaken => Error(format!("somebody else took port {}", self.port())),
                Failure::Other(error) => error,
            })
        })?;
        Ok(())
    }

    /// Whether the process is there. A paused one is.
    pub fn is_running(&self) -> bool {
        self.process().is_running()
    }

    /// A new connection, logged in as the default user.
    ///
    /// # Errors
    /// The server does not answer, or refuses the password.
    pub fn connect(&self) -> Result<Connection> {
        let mut connection = Connection::open(&self.address())?;
        if let Some(password) = self.password() {
            connection.call(&["AUTH", password])?.accepted()?;
        }
        Ok(connection)
    }

    /// One command on a new connection. A refusal is a reply.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn command<T: AsRef<[u8]>>(&self, command: &[T]) -> Result<Reply> {
        self.connect()?.call(command)
    }

    /// How often a command was called since the start or [`Self::reset_stats`], within scripts too: `evalsha`,
    /// `script|load`.
    ///
    /// # Panics
    /// The server does not answer.
    pub fn calls(&self, command: &str) -> u64 {
        let stats = self.info("commandstats");
        let line = stats.get(&format!("cmdstat_{}", command.to_lowercase()));
        let calls = line.and_then(|line| line.strip_prefix("calls=")?.split(',').next()?.parse().ok());
        calls.unwrap_or_default()
    }

    /// Counts anew (`CONFIG RESETSTAT`).
    ///
    /// # Errors
    /// The server does not answer.
    pub fn reset_stats(&self) -> Result<()> {
        self.command(&["CONFIG", "RESETSTAT"])?.accepted().map(|_| ())
    }

    /// The fields of a section of INFO.
    ///
    /// # Panics
    /// The server does not answer.
    pub fn info(&self, section: &str) -> BTreeMap<String, String> {
        match self.try_info(section) {
            Ok(info) => info,
            Err(error) => panic!("INFO {section} of {}: {error}", self.address()),
        }
    }

    pub(super) fn try_info(&self, section: &str) -> Result<BTreeMap<String, String>> {
        let reply = self.command(&["INFO", section])?.accepted()?;
        let lines = reply.text().unwrap_or_default().lines();
        let fields = lines.filter_map(|line| line.split_once(':'));
        Ok(fields.map(|(key, value)| (key.to_string(), value.to_string())).collect())
    }

    /// Moves the server's wall clock from where it is now, forwards or back; seen at once.
    ///
    /// # Errors
    /// It was started without [`Builder::clock_shim`].
    pub fn jump_clock(&self, seconds: f64) -> Result<()> {
        let clock = self.clock.as_ref().ok_or_else(|| Error("started without clock_shim()".into()))?;
        clock.jump(seconds)
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        lock(&self.process)
    }

    fn credentials(&self) -> String {
        let encoded = |password: &str| -> String {
            let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
            let letters = password.bytes();
            letters.map(|b| if plain(&b) { char::from(b).into() } else { format!("%{b:02X}") }).collect()
        };
        self.password().map(|password| format!(":{}@", encoded(password))).unwrap_or_default()
    }
}

fn free_ports(builder: &Builder) -> Result<Ports> {
    let address = builder.ip()?;
    let another = |wanted: bool| wanted.then(|| ports::free(address)).transpose();
    Ok(Ports { plain: ports::free(address)?, tls: another(builder.tls)?, bus: another(builder.cluster)? })
}

fn log(directory: &Path) -> String {
    let bytes = std::fs::read(directory.join("log")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Starts the program and waits until it accepts connections.
fn run(builder: &Builder, directory: &Path, clock: Option<&Clock>) -> std::result::Result<Process, Failure> {
    let output = File::create(directory.join("log")).context(|| "the log cannot be written".into())?;
    let errors = output.try_clone().context(|| "the log cannot be written".into())?;
    let mut process = Process::start("redis-server", |command: &mut Command| {
        command.arg(directory.join("redis.conf")).current_dir(directory);
        command.args(builder.sentinel.is_some().then_some("--sentinel"));
        command.envs(clock.map(Clock::variables).into_iter().flatten());
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
    })?;
    let mut ended = false;
    let is_ready = |log: &str| READY.iter().any(|ready| log.contains(ready));
    wait::until(START_LIMIT, || {
        ended = !process.is_running();
        ended || is_ready(&log(directory))
    });
    let log = log(directory);
    match () {
        () if is_ready(&log) && process.is_running() => Ok(process),
        () if log.contains(PORT_TAKEN) => Err(Failure::PortTaken),
        () => Err(Failure::Other(Error(format!("redis-server did not start:\n{log}")))),
    }
}
