//! The options of a server.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use super::server::Server;
use crate::{
    Result,
    error::Context,
    tls::{AUTHORITY, CERTIFICATE, KEY, Tls},
};

/// The options of a server, see [`Server::builder`].
#[derive(Clone, Debug)]
pub struct Builder {
    pub(super) address: IpAddr,
    pub(super) password: Option<String>,
    pub(super) tls: Option<Tls>,
    pub(super) unix_socket: bool,
    pub(super) clock_shim: bool,
    pub(super) cluster: bool,
    pub(super) sentinel: Option<String>,
    pub(super) program: Option<PathBuf>,
    lines: Vec<String>,
}

/// The ports of one server.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Ports {
    pub(super) plain: u16,
    pub(super) tls: Option<u16>,
    pub(super) bus: Option<u16>,
}

/// The configuration of every server, before the lines of the test.
const DEFAULTS: &str = "save \"\"\nappendonly no\nrepl-diskless-sync-delay 0";
/// The same for one of the search path: Redis 6.2 allows DEBUG, and does not know the word.
const INSTALLED: &str = "enable-debug-command yes";

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST.into(),
            password: None,
            tls: None,
            unix_socket: false,
            clock_shim: false,
            cluster: false,
            sentinel: None,
            program: None,
            lines: Vec::new(),
        }
    }

    /// Adds a line to the configuration: `arg("maxmemory-policy", "noeviction")`. May be repeated; the last one wins.
    #[must_use]
    pub fn arg(mut self, key: &str, value: &str) -> Self {
        self.lines.push(format!("{key} {value}"));
        self
    }

    /// The password of the default user, which is also used towards a master.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.into());
        self.arg("requirepass", password).arg("masterauth", password)
    }

    /// An ACL user: `user("reader on >secret ~* +get")`.
    #[must_use]
    pub fn user(self, rule: &str) -> Self {
        self.arg("user", rule)
    }

    /// Also listens with TLS, with a certificate for localhost and 127.0.0.1 of an authority of its own.
    #[must_use]
    pub fn tls(self) -> Self {
        self.tls_with(Tls::default())
    }

    /// The same for clients that have a certificate of this authority.
    #[must_use]
    pub fn mutual_tls(self) -> Self {
        self.tls_with(Tls { mutual: true, ..Tls::default() })
    }

    /// The same, with a certificate for this name alone.
    #[must_use]
    pub fn tls_named(self, name: &str) -> Self {
        self.tls_with(Tls { names: vec![name.into()], ..Tls::default() })
    }

    /// The same, with a certificate that has expired.
    #[must_use]
    pub fn expired_tls(self) -> Self {
        self.tls_with(Tls { last_year: 2001, ..Tls::default() })
    }

    /// The same with the certificates of another server.
    #[must_use]
    pub fn tls_of(self, other: &Server) -> Self {
        let tls = other.tls().cloned().unwrap_or_default();
        self.tls_with(Tls { shared: Some(other.directory().into()), ..tls })
    }

    fn tls_with(self, tls: Tls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Also listens on a Unix socket.
    #[must_use]
    pub fn unix_socket(self) -> Self {
        Self { unix_socket: true, ..self }
    }

    /// Loses no data when killed: the append-only file is synced with every write.
    #[must_use]
    pub fn aof(self) -> Self {
        self.arg("appendonly", "yes").arg("appendfsync", "always")
    }

    /// Lets [`Server::jump_clock`] move the server's wall clock.
    #[must_use]
    pub fn clock_shim(self) -> Self {
        Self { clock_shim: true, ..self }
    }

    /// A replica of that server, at its own address.
    #[must_use]
    pub fn replica_of(self, master: &Server) -> Self {
        let builder = match master.password() {
            Some(password) => self.arg("masterauth", password),
            None => self,
        };
        builder.replica_of_address(&master.address())
    }

    /// A replica of the server at `host:port`, such as a proxy.
    #[must_use]
    pub fn replica_of_address(self, address: &str) -> Self {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "6379"));
        self.arg("replicaof", &format!("{host} {port}"))
    }

    /// A Sentinel with this configuration, such as `sentinel monitor main 127.0.0.1 7000 2`.
    #[must_use]
    pub fn sentinel(self, configuration: &str) -> Self {
        Self { sentinel: Some(configuration.into()), ..self }
    }

    /// A node of a cluster, before it has met the other nodes.
    #[must_use]
    pub fn cluster(self) -> Self {
        Self { cluster: true, ..self }.arg("cluster-enabled", "yes").arg("cluster-config-file", "nodes.conf")
    }

    /// Runs this program instead of the `redis-server` of the search path.
    #[must_use]
    pub fn program(self, path: PathBuf) -> Self {
        Self { program: Some(path), ..self }
    }

    /// Listens on this address of 127.0.0.0/8 instead of 127.0.0.1.
    #[must_use]
    pub fn address(self, address: IpAddr) -> Self {
        Self { address, ..self }
    }

    /// Starts it, on free ports and in a directory of its own; returns when it accepts connections.
    pub fn start(self) -> Result<Server> {
        Server::configured(&self)
    }

    /// Writes the configuration. The server may rewrite it later, as Sentinel tells it to.
    pub(super) fn write(&self, directory: &Path, ports: Ports) -> Result<()> {
        let path = directory.join("redis.conf");
        fs::write(path, self.text(directory, ports)).context(|| "redis.conf cannot be written".into())
    }

    fn text(&self, directory: &Path, ports: Ports) -> String {
        let place = directory.display();
        let mut lines = match &self.sentinel {
            Some(configuration) => vec!["protected-mode no".into(), configuration.clone()],
            None => vec![DEFAULTS.to_string()],
        };
        if self.sentinel.is_none() && self.program.is_none() {
            lines.push(INSTALLED.into());
        }
        lines.extend_from_slice(&self.lines);
        let ports = [("port", Some(ports.plain)), ("tls-port", ports.tls), ("cluster-port", ports.bus)];
        lines.extend(ports.iter().filter_map(|(key, port)| Some(format!("{key} {}", (*port)?))));
        if let Some(tls) = &self.tls {
            let demands = if tls.mutual { "yes" } else { "no" };
            lines.push(format!("tls-cert-file {CERTIFICATE}\ntls-key-file {KEY}"));
            lines.push(format!("tls-ca-cert-file {AUTHORITY}\ntls-auth-clients {demands}"));
        }
        if self.unix_socket {
            lines.push(format!("unixsocket \"{place}/redis.sock\""));
        }
        lines.push(format!("bind {}\ndir \"{place}\"\ndaemonize no\nloglevel notice\n", self.address));
        lines.join("\n")
    }
}
