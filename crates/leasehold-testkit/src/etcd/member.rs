//! One running member.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::cluster::Builder;
use crate::{
    Result,
    error::Context,
    process::output,
    server::{Failure, Program, ServerProcess, free_port},
    temp_dir,
    tls::{self, Tls},
};

/// The log line of a member that serves clients.
const READY: &str = "serving client traffic";
const SOON: Duration = Duration::from_secs(5);

/// A member on 127.0.0.1. It serves no client before a majority of its cluster runs.
pub type Member = ServerProcess<Etcd>;

/// The program of a [`Member`].
#[derive(Debug)]
pub struct Etcd {
    tls: Option<Tls>,
    arguments: Vec<String>,
    ports: Ports,
    metrics: u16,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) client: u16,
    pub(super) peer: u16,
}

impl Program for Etcd {
    const NAME: &'static str = "etcd";
    const PORT_TAKEN: &'static str = "address already in use";

    fn prepare(&self, command: &mut Command, _directory: &Path) {
        command.args(&self.arguments);
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.client).into()
    }

    fn is_ready(&self, log: &str, _process: u32) -> bool {
        log.contains(READY)
    }
}

impl Member {
    /// A member that is a cluster by itself, with etcd's defaults.
    pub fn start() -> Result<Self> {
        Self::builder().start()
    }

    /// Describes a member with other options.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Starts member `at` of a cluster with these ports, and does not wait for it.
    pub(super) fn configured(builder: &Builder, at: usize, all: &[Ports]) -> Result<Self, Failure> {
        let directory = temp_dir::create()?;
        builder.tls.iter().try_for_each(|tls| tls.create(directory.path()))?;
        let metrics = free_port()?;
        let mut arguments = arguments(at, all, metrics, builder.tls.as_ref());
        arguments.extend_from_slice(&builder.arguments);
        Ok(Self::launch(directory, Etcd { tls: builder.tls.clone(), arguments, ports: all[at], metrics })?)
    }

    /// The certificate of the authority that signed its own, if it uses TLS.
    pub fn ca_path(&self) -> Option<PathBuf> {
        self.program.tls.as_ref().map(|_| self.directory().join(tls::AUTHORITY))
    }

    /// The files of a client as keys of a URL: `ca=PATH`, and with [`Builder::mutual_tls`] `cert=PATH&key=PATH`.
    pub fn tls_query(&self) -> String {
        tls::query(self.directory(), self.program.tls.as_ref().is_some_and(|tls| tls.mutual))
    }

    /// Replaces all certificates, and the authority, and restarts.
    pub fn rotate_certificates(&self) -> Result<()> {
        self.program.tls.iter().try_for_each(|tls| tls.create(self.directory()))?;
        self.restart()
    }

    /// Writes a snapshot of its data, and returns the path.
    pub fn snapshot(&self) -> Result<PathBuf> {
        let path = self.directory().join("snapshot");
        self.ctl(&["snapshot", "save", &path.display().to_string()])?;
        Ok(path)
    }

    /// Restores a snapshot in a member that is alone, as after a disaster; returns when it serves clients.
    pub fn restore(&self, snapshot: &Path) -> Result<()> {
        self.kill();
        let data = self.directory().join("data");
        std::fs::remove_dir_all(&data).context(|| "the data cannot be removed".into())?;
        let identity =
            ["--name=", "--initial-cluster=", "--initial-cluster-token=", "--initial-advertise-peer-urls="];
        let words =
            self.program.arguments.iter().filter(|word| identity.iter().any(|it| word.starts_with(it)));
        let mut command = etcdctl();
        command.args(["snapshot", "restore"]).arg(snapshot).args(words);
        output(command.arg(format!("--data-dir={}", data.display())))?;
        self.restart()
    }

    /// Runs etcdctl with these arguments, and returns its output.
    pub fn ctl(&self, words: &[&str]) -> Result<String> {
        output(self.ctl_command().args(words))
    }

    /// etcdctl with the address of this member, without further arguments.
    pub fn ctl_command(&self) -> Command {
        let mut command = etcdctl();
        let scheme = if self.ca_path().is_some() { "https" } else { "http" };
        command.arg(format!("--endpoints={scheme}://{}", self.address()));
        if let Some(ca_path) = self.ca_path() {
            command.arg("--cacert").arg(ca_path);
            command.arg("--cert").arg(self.directory().join(tls::CLIENT_CERTIFICATE));
            command.arg("--key").arg(self.directory().join(tls::CLIENT_KEY));
        }
        command
    }

    /// The number of requests of a procedure, such as `Txn`, since it was started; of a stream, the number of messages from
    /// clients.
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
        let mut stream = TcpStream::connect(("127.0.0.1", self.program.metrics)).context(failed)?;
        stream.set_read_timeout(Some(SOON)).context(failed)?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").context(failed)?;
        let mut text = String::new();
        stream.read_to_string(&mut text).context(failed)?;
        Ok(text)
    }
}

fn etcdctl() -> Command {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3");
    command
}

/// The last word of a line, such as `7` or `1.2e+01`.
fn number(line: &str) -> Option<u64> {
    let number: f64 = line.rsplit(' ').next()?.parse().ok()?;
    (number >= 0.0).then_some(number as u64)
}

fn arguments(at: usize, all: &[Ports], metrics: u16, tls: Option<&Tls>) -> Vec<String> {
    let mine = all[at];
    let scheme = if tls.is_some() { "https" } else { "http" };
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
    if let Some(tls) = tls {
        arguments.push(format!("--cert-file={}", tls::CERTIFICATE));
        arguments.push(format!("--key-file={}", tls::KEY));
        if tls.mutual {
            arguments.extend(["--client-cert-auth".into(), format!("--trusted-ca-file={}", tls::AUTHORITY)]);
        }
    }
    arguments
}
