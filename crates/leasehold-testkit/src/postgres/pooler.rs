//! PgBouncer before a server.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
};

use super::{OWNER, Server, protect};
use crate::{
    Result,
    error::Context,
    process::give_to,
    server::{Program, ServerProcess, free_port, on_free_ports},
    temp_dir,
};

/// A pooler in transaction mode.
pub type Pooler = ServerProcess<PgBouncer>;

/// The program of a [`Pooler`].
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
}

impl Program for PgBouncer {
    const NAME: &'static str = "pgbouncer";
    const USER: Option<&'static str> = Some(OWNER);

    fn prepare(&self, command: &mut Command, _directory: &Path) {
        command.arg("pgbouncer.ini");
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn is_ready(&self, log: &str, _process: u32) -> bool {
        log.contains("process up")
    }
}

impl Pooler {
    /// A pooler of five connections to a server.
    pub fn start(server: &Server) -> Result<Self> {
        Self::before(&server.directory().display().to_string(), server.port())
    }

    /// A pooler of five connections to a host, or to the directory of a socket.
    pub fn before(host: &str, behind: u16) -> Result<Self> {
        on_free_ports(|| {
            let (directory, port) = (temp_dir::create()?, free_port()?);
            let place = directory.path().display();
            let ini = format!(
                "[databases]\npostgres = host={host} port={behind}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                 listen_port = {port}\nunix_socket_dir =\nauth_type = plain\nauth_file = {place}/users\n\
                 pool_mode = transaction\ndefault_pool_size = 5\n"
            );
            let write = |name: &str, text: &str| {
                let path = directory.path().join(name);
                fs::write(&path, text).context(|| format!("{name} cannot be written"))?;
                protect(&path)
            };
            write("pgbouncer.ini", &ini)?;
            write("users", "\"locks\" \"pw\"\n")?;
            give_to(OWNER, directory.path())?;
            Self::start_in(directory, PgBouncer { port })
        })
    }

    /// `postgres://locks:pw@127.0.0.1:port/postgres`.
    pub fn url(&self) -> String {
        format!("postgres://locks:pw@{}/postgres", self.address())
    }
}
