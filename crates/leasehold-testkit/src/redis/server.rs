//! One running server.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{
    builder::{Builder, Ports},
    connection::Connection,
    reply::Reply,
};
use crate::{
    Error, Result,
    clock::Clock,
    ports,
    server::{Program, ServerProcess, on_free_ports},
    temp_dir, tls,
};

/// The log lines of a server that accepts connections. The log and not a ping shows it: another server might answer.
const READY: [&str; 2] = ["Ready to accept connections", "Sentinel ID is"];

/// A server on a loopback address.
pub type Server = ServerProcess<Redis>;

/// The program of a [`Server`].
#[derive(Debug)]
pub struct Redis {
    clock: Option<Clock>,
    builder: Builder,
    ports: Ports,
}

impl Program for Redis {
    const NAME: &'static str = "redis-server";
    const START_LIMIT: Duration = Duration::from_secs(60);

    fn path(&self) -> Option<&Path> {
        self.builder.program.as_deref()
    }

    fn prepare(&self, command: &mut Command, directory: &Path) {
        command.arg(directory.join("redis.conf"));
        command.args(self.builder.sentinel.is_some().then_some("--sentinel"));
        command.envs(self.clock.iter().flat_map(Clock::variables));
    }

    fn address(&self) -> SocketAddr {
        (self.builder.address, self.ports.plain).into()
    }

    fn is_ready(&self, log: &str, _process: u32) -> bool {
        READY.iter().any(|ready| log.contains(ready))
    }
}

impl Server {
    /// A server without persistence and without a password on 127.0.0.1.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// Describes a server with other options.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(super) fn configured(builder: &Builder) -> Result<Self> {
        on_free_ports(|| {
            let directory = temp_dir::create()?;
            let path = directory.path();
            builder.tls.iter().try_for_each(|tls| tls.create(path))?;
            let clock = builder.clock_shim.then(|| Clock::create(path)).transpose()?;
            let ports = free_ports(builder)?;
            builder.write(path, ports)?;
            Self::start_in(directory, Redis { clock, builder: builder.clone(), ports })
        })
    }

    /// `redis://127.0.0.1:port`, with the password of the default user when it has one.
    pub fn url(&self) -> String {
        format!("redis://{}{}", self.credentials(), self.address())
    }

    /// The port with TLS; 0 without [`Builder::tls`].
    pub fn tls_port(&self) -> u16 {
        self.program.ports.tls.unwrap_or_default()
    }

    /// The cluster's port for its nodes; 0 without [`Builder::cluster`].
    pub fn bus_port(&self) -> u16 {
        self.program.ports.bus.unwrap_or_default()
    }

    /// The certificate file of the authority that signed the server's, which is there with [`Builder::tls`].
    pub fn ca_path(&self) -> PathBuf {
        self.directory().join(tls::AUTHORITY)
    }

    pub(super) fn tls(&self) -> Option<&tls::Tls> {
        self.program.builder.tls.as_ref()
    }

    /// The files of a client as keys of a URL: `ca=PATH`, and with [`Builder::mutual_tls`] `cert=PATH&key=PATH`.
    pub fn tls_query(&self) -> String {
        tls::query(self.directory(), self.tls().is_some_and(|tls| tls.mutual))
    }

    /// Replaces all certificates, and the authority: connections that are made from now on need the new ones.
    pub fn rotate_certificates(&self) -> Result<()> {
        self.tls().iter().try_for_each(|tls| tls.create(self.directory()))?;
        let files = [("cert", tls::CERTIFICATE), ("key", tls::KEY), ("ca-cert", tls::AUTHORITY)];
        let words = files.map(|(name, file)| [format!("tls-{name}-file"), file.to_string()]);
        let command = ["CONFIG", "SET"].map(String::from).into_iter().chain(words.into_iter().flatten());
        self.command(&command.collect::<Vec<_>>())?.accepted().map(drop)
    }

    /// The Unix socket, which is there with [`Builder::unix_socket`].
    pub fn socket_path(&self) -> PathBuf {
        self.directory().join("redis.sock")
    }

    /// The password of the default user.
    pub fn password(&self) -> Option<&str> {
        self.program.builder.password.as_deref()
    }

    /// A new connection, logged in as the default user.
    pub fn connect(&self) -> Result<Connection> {
        let mut connection = Connection::open(&self.address())?;
        if let Some(password) = self.password() {
            connection.call(&["AUTH", password])?.accepted()?;
        }
        Ok(connection)
    }

    /// One command on a new connection. A refusal is a reply.
    pub fn command<T: AsRef<[u8]>>(&self, command: &[T]) -> Result<Reply> {
        self.connect()?.call(command)
    }

    /// The same for a command that the server must accept.
    pub(super) fn run(&self, command: &[&str]) -> Result<Reply> {
        self.command(command)?.accepted()
    }

    /// The number of calls of a command (`evalsha`, `script|load`) since the start or [`Self::reset_stats`], scripts included.
    pub fn calls(&self, command: &str) -> u64 {
        let stats = self.info("commandstats");
        let line = stats.get(&format!("cmdstat_{}", command.to_lowercase()));
        let calls = line.and_then(|line| line.strip_prefix("calls=")?.split(',').next()?.parse().ok());
        calls.unwrap_or_default()
    }

    /// Sets the counters to zero (`CONFIG RESETSTAT`).
    pub fn reset_stats(&self) -> Result<()> {
        self.run(&["CONFIG", "RESETSTAT"]).map(drop)
    }

    /// The fields of a section of INFO.
    pub fn info(&self, section: &str) -> BTreeMap<String, String> {
        self.try_info(section).unwrap_or_else(|error| panic!("INFO {section} of {}: {error}", self.address()))
    }

    pub(super) fn try_info(&self, section: &str) -> Result<BTreeMap<String, String>> {
        let reply = self.run(&["INFO", section])?;
        let lines = reply.text().unwrap_or_default().lines();
        let fields = lines.filter_map(|line| line.split_once(':'));
        Ok(fields.map(|(key, value)| (key.to_string(), value.to_string())).collect())
    }

    /// Moves the server's wall clock forwards or back, with immediate effect.
    pub fn jump_clock(&self, seconds: f64) -> Result<()> {
        let clock = self.program.clock.as_ref();
        clock.ok_or_else(|| Error("started without clock_shim()".into()))?.jump(seconds)
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
    let free = || ports::free(builder.address);
    let another = |wanted: bool| wanted.then(free).transpose();
    Ok(Ports { plain: free()?, tls: another(builder.tls.is_some())?, bus: another(builder.cluster)? })
}
