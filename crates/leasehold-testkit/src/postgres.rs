//! PostgreSQL: a server, and a pooler before it.
//!
//! `fsync` is off: a killed process loses nothing that it has written, only a machine would. `synchronous_commit` is on.

mod pooler;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    sync::Mutex,
};

use tempfile::TempDir;

pub use pooler::{PgBouncer, Pooler};

use crate::{
    Result,
    error::{Context, ensure},
    process::{become_user, find, give_to, output},
    server::{Failure, Program, ServerProcess, free_port, on_free_ports},
    temp_dir,
    tls::{self, Tls},
    wait::{self, lock},
};

/// The user of this machine that servers run as.
const OWNER: &str = "postgres";
const DATA: &str = "data";

/// A server on 127.0.0.1 and on a Unix socket in its directory. Its superuser is `postgres`; the user `locks` with the
/// password `pw` may create a schema in the database `postgres`, and no more.
pub type Server = ServerProcess<Postgres>;

/// The program of a [`Server`].
#[derive(Debug)]
pub struct Postgres {
    settings: Vec<String>,
    port: u16,
}

/// A server that is to be started.
#[derive(Clone, Default, Debug)]
pub struct Builder {
    settings: Vec<String>,
    tls: Option<Tls>,
}

impl Program for Postgres {
    const NAME: &'static str = "postgres";
    const USER: Option<&'static str> = Some(OWNER);

    fn prepare(&self, command: &mut Command, directory: &Path) {
        command.args(["-D", DATA, "-h", "127.0.0.1", "-p", &self.port.to_string(), "-k"]).arg(directory);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn is_ready(&self, log: &str, _process: u32) -> bool {
        log.contains("ready to accept connections") || log.contains("ready to accept read-only connections")
    }
}

impl Builder {
    /// Adds a setting, such as `max_connections=10`.
    #[must_use]
    pub fn with(mut self, setting: &str) -> Self {
        self.settings.push(setting.into());
        self
    }

    /// Encrypts connections over the network with a certificate that no other program trusts.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = Some(Tls::default());
        self
    }

    /// Starts it; returns when it takes connections.
    pub fn start(&self) -> Result<Server> {
        let server = on_free_ports(|| self.start_once())?;
        server.sql("CREATE ROLE locks LOGIN PASSWORD 'pw'; GRANT CREATE ON DATABASE postgres TO locks")?;
        Ok(server)
    }

    fn start_once(&self) -> Result<Server, Failure> {
        let directory = temp_dir::create()?;
        copy_template(directory.path())?;
        let mut settings = vec!["fsync=off".to_string(), "full_page_writes=off".into()];
        if let Some(tls) = &self.tls {
            tls.create(directory.path())?;
            let place = |name: &str| directory.path().join(name);
            protect(&place(tls::KEY))?;
            settings.push("ssl=on".into());
            settings.push(format!("ssl_cert_file={}", place(tls::CERTIFICATE).display()));
            settings.push(format!("ssl_key_file={}", place(tls::KEY).display()));
        }
        settings.extend_from_slice(&self.settings);
        Server::start_in(directory, Postgres { settings, port: free_port()? })
    }
}

impl Server {
    /// A server with PostgreSQL's defaults, but for `fsync`.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// Describes a server with other settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A standby that follows this server by streaming replication, asynchronously, with the same settings; without TLS. Returns
    /// when it does.
    pub fn standby(&self) -> Result<Server> {
        let standby = on_free_ports(|| {
            let directory = temp_dir::create()?;
            give_to(OWNER, directory.path())?;
            let mut backup = as_owner("pg_basebackup")?;
            backup.args(["-R", "-X", "stream", "-c", "fast", "-U", "postgres", "-h"]).arg(self.directory());
            backup.args(["-p", &self.port().to_string(), "-D"]).arg(directory.path().join(DATA));
            output(backup.current_dir(directory.path()))?;
            let settings = self.program.settings.clone();
            Server::start_in(directory, Postgres { settings, port: free_port()? })
        })?;
        let receivers = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'";
        let follows = wait::until(Postgres::START_LIMIT, || standby.sql(receivers).as_deref() == Ok("1"));
        ensure(follows, || format!("the standby does not follow:\n{}", standby.log()))?;
        Ok(standby)
    }

    /// `postgres://locks:pw@127.0.0.1:port/postgres`.
    pub fn url(&self) -> String {
        format!("postgres://locks:pw@{}/postgres", self.address())
    }

    /// The file of the authority that signed its certificate.
    pub fn tls_query(&self) -> String {
        tls::query(self.directory(), false)
    }

    /// Runs statements as superuser with psql(1), and returns what they print: a line a row, `|` between columns.
    pub fn sql(&self, statements: &str) -> Result<String> {
        let mut command = Command::new("psql");
        command.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "postgres", "-h"]);
        let text =
            output(command.arg(self.directory()).args(["-p", &self.port().to_string(), "-c", statements]))?;
        Ok(text.trim().into())
    }
}

/// Lets the servers' user alone read a file.
fn protect(path: &Path) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .context(|| "a file cannot be protected".into())?;
    give_to(OWNER, path)
}

/// Runs a program of PostgreSQL as the servers' user.
fn as_owner(program: &str) -> Result<Command> {
    let mut command = Command::new("setpriv");
    command.args(become_user(OWNER)).arg("--").arg(find(program)?);
    Ok(command)
}

/// Copies the data of a new server into a directory: initdb(1) takes a second, and is run once.
fn copy_template(directory: &Path) -> Result<()> {
    static TEMPLATE: Mutex<Option<TempDir>> = Mutex::new(None);
    let mut template = lock(&TEMPLATE);
    let template = match &mut *template {
        Some(template) => template,
        none => none.insert(make_template()?),
    };
    output(Command::new("cp").arg("-a").arg(template.path().join(DATA)).arg(directory))?;
    give_to(OWNER, directory)
}

fn make_template() -> Result<TempDir> {
    let template = temp_dir::create()?;
    give_to(OWNER, template.path())?;
    let data = template.path().join(DATA);
    let mut initdb = as_owner("initdb")?;
    initdb.args(["--no-sync", "-U", "postgres", "-E", "UTF8", "--locale=C", "--auth-local=trust"]);
    initdb.args(["--auth-host=scram-sha-256", "-D"]).arg(&data).current_dir(template.path());
    output(&mut initdb)?;
    let access = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n\
                  local replication all trust\nhost replication all 127.0.0.1/32 trust\n";
    fs::write(data.join("pg_hba.conf"), access).context(|| "pg_hba.conf cannot be written".into())?;
    Ok(template)
}
