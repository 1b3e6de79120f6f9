//! One running member.

use std::{
    fs::File,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use tempfile::TempDir;

use super::builder::Builder;
use crate::{
    Error, Result,
    error::Context,
    process::Process,
    scratch,
    tls::Identity,
    wait::{self, lock},
};

/// What the log says of a member that serves clients.
const READY: &str = "serving client traffic";
const PORT_TAKEN: &str = "address already in use";
/// How long a member that is asked may take.
const SOON: Duration = Duration::from_secs(5);
/// How long one that comes back may take.
const RESTART_LIMIT: Duration = Duration::from_secs(60);

/// A member, in a directory of its own; both are gone with the value.
#[derive(Debug)]
pub struct Member {
    // The process ends before its directory is removed: fields are dropped in this order.
    process: Mutex<Process>,
    identity: Option<Identity>,
    arguments: Vec<String>,
    ports: Ports,
    metrics: u16,
    directory: TempDir,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) client: u16,
    pub(super) peer: u16,
}

#[derive(Debug)]
pub(super) enum Failure {
    PortTaken,
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl Member {
    /// A member that is a cluster by itself, as it comes, on 127.0.0.1.
    ///
    /// # Errors
    /// See [`Builder::start`].
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// A member that is different.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Starts it; it serves nobody before a majority is there.
    pub(super) fn launch(builder: Builder, at: usize, all: &[Ports]) -> std::result::Result<Self, Failure> {
        let directory = scratch::directory()?;
        let identity = builder.tls.then(|| Identity::create(directory.path(), &[])).transpose()?;
        let metrics = crate::ports::free(std::net::Ipv4Addr::LOCALHOST.into())?;
        let mut arguments = arguments(at, all, metrics, identity.as_ref());
        arguments.extend(builder.arguments);
        let process = Mutex::new(run(&arguments, directory.path())?);
        Ok(Self { process, identity, arguments, ports: all[at], metrics, directory })
    }

    pub(super) fn await_ready(&self, limit: Duration) -> std::result::Result<(), Failure> {
        let mut ended = false;
        wait::until(limit, || {
            ended = !self.is_running();
            ended || self.log().contains(READY)
        });
        let log = self.log();
        match () {
            () if log.contains(READY) && !ended => Ok(()),
            () if log.contains(PORT_TAKEN) => Err(Failure::PortTaken),
            () => Err(Failure::Other(Error(format!("etcd did not start:\n{log}")))),
        }
    }

    /// `127.0.0.1:port`, where it serves clients.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.client)
    }

    /// The port where it serves clients.
    pub fn port(&self) -> u16 {
        self.ports.client
    }

    /// The authority of its certificate, if it speaks TLS.
    pub fn ca_path(&self) -> Option<&Path> {
        self.identity.as_ref().map(Identity::ca_path)
    }

    /// What it has said since it was last started.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.directory.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// SIGSTOP; returns when it stands still.
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

    /// SIGKILL; its data stay.
    pub fn kill(&self) {
        self.process().kill();
    }

    /// Starts it again (after killing it, if it still runs) with its data; returns when it serves clients, for which a
    /// majority has to be there.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&self) -> Result<()> {
        {
            let mut process = self.process();
            process.kill();
            *process = run(&self.arguments, self.directory.path())?;
        }
        self.await_ready(RESTART_LIMIT).map_err(|failure| match failure {
            Failure::PortTaken => Error(format!("somebody else took port {}", self.port())),
            Failure::Other(error) => error,
        })
    }

    /// Writes a snapshot of what it has now, and answers where.
    ///
    /// # Errors
    /// It does not answer.
    pub fn snapshot(&self) -> Result<PathBuf> {
        let path = self.directory.path().join("snapshot");
        self.ctl(&["snapshot", "save", &path.display().to_string()])?;
        Ok(path)
    }

    /// Puts a member that is alone back to what a snapshot has, as after a disaster; returns when it serves clients.
    ///
    /// # Errors
    /// The snapshot is none, or the member does not start.
    pub fn restore(&self, snapshot: &Path) -> Result<()> {
        self.kill();
        let data = self.directory.path().join("data");
        std::fs::remove_dir_all(&data).context(|| "the data cannot be removed".into())?;
        let identity =
            ["--name=", "--initial-cluster=", "--initial-cluster-token=", "--initial-advertise-peer-urls="];
        let words = self.arguments.iter().filter(|word| identity.iter().any(|it| word.starts_with(it)));
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").stdin(Stdio::null()).args(["snapshot", "restore"]).arg(snapshot);
        command.args(words).arg(format!("--data-dir={}", data.display()));
        let output = command.output().context(|| "etcdctl cannot be run".into())?;
        if !output.status.success() {
            return Err(Error(String::from_utf8_lossy(&output.stderr).trim().into()));
        }
        self.restart()
    }

    /// Whether the process is there. A paused one is.
    pub fn is_running(&self) -> bool {
        self.process().is_running()
    }

    /// Runs etcdctl with these words, and answers what it prints.
    ///
    /// # Errors
    /// It is not installed, or fails: what it says then.
    pub fn ctl(&self, words: &[&str]) -> Result<String> {
        let output = self.ctl_command().args(words).output().context(|| "etcdctl cannot be run".into())?;
        if !output.status.success() {
            return Err(Error(String::from_utf8_lossy(&output.stderr).trim().into()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// etcdctl, told of this member, without words yet.
    pub fn ctl_command(&self) -> Command {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").stdin(Stdio::null());
        let scheme = if self.identity.is_some() { "https" } else { "http" };
        command.arg(format!("--endpoints={scheme}://{}", self.address()));
        if let Some(identity) = &self.identity {
            command.arg("--cacert").arg(identity.ca_path());
        }
        command
    }

    /// How many requests of a procedure, such as `Txn`, it has served since it was started; of a stream, how many messages
    /// clients have sent.
    ///
    /// # Errors
    /// It does not answer.
    pub fn calls(&self, procedure: &str) -> Result<u64> {
        let text = self.metrics()?;
        let wanted = format!("grpc_method=\"{procedure}\"");
        let lines = text.lines().filter(|line| line.starts_with("grpc_server_msg_received_total{"));
        let counts = lines.filter(|line| line.contains(&wanted)).filter_map(number);
        Ok(counts.sum())
    }

    /// A metric without labels; `None` when it does not answer.
    pub fn metric(&self, name: &str) -> Option<u64> {
        let text = self.metrics().ok()?;
        let line = text.lines().find(|line| line.split(' ').next() == Some(name))?;
        number(line)
    }

    fn metrics(&self) -> Result<String> {
        let failed = || format!("the metrics of {} cannot be read", self.address());
        let mut stream = TcpStream::connect(("127.0.0.1", self.metrics)).context(failed)?;
        stream.set_read_timeout(Some(SOON)).context(failed)?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").context(failed)?;
        let mut text = String::new();
        stream.read_to_string(&mut text).context(failed)?;
        Ok(text)
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        lock(&self.process)
    }
}

/// The last word of a line, such as `7` or `1.2e+01`.
fn number(line: &str) -> Option<u64> {
    let number: f64 = line.rsplit(' ').next()?.parse().ok()?;
    (number >= 0.0).then_some(number as u64)
}

fn arguments(at: usize, all: &[Ports], metrics: u16, identity: Option<&Identity>) -> Vec<String> {
    let mine = all[at];
    let scheme = if identity.is_some() { "https" } else { "http" };
    let (client, peer) =
        (format!("{scheme}://127.0.0.1:{}", mine.client), format!("http://127.0.0.1:{}", mine.peer));
    let cluster: Vec<String> =
        all.iter().enumerate().map(|(at, ports)| format!("m{at}=http://127.0.0.1:{}", ports.peer)).collect();
    let mut arguments = vec![
        format!("--name=m{at}"),
        "--data-dir=data".into(),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster={}", cluster.join(",")),
        // No two clusters of the tests are taken for one.
        format!("--initial-cluster-token={}", all[0].peer),
        format!("--listen-metrics-urls=http://127.0.0.1:{metrics}"),
        "--metrics=extensive".into(),
        "--logger=zap".into(),
        "--log-outputs=stderr".into(),
    ];
    if let Some(identity) = identity {
        arguments.push(format!("--cert-file={}", identity.certificate_path().display()));
        arguments.push(format!("--key-file={}", identity.key_path().display()));
    }
    arguments
}

fn run(arguments: &[String], directory: &Path) -> Result<Process> {
    let output = File::create(directory.join("log")).context(|| "the log cannot be written".into())?;
    let errors = output.try_clone().context(|| "the log cannot be written".into())?;
    Process::start("etcd", |command: &mut Command| {
        command.args(arguments).current_dir(directory);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
    })
}
