//! [`ServerProcess`]: a server of any kind, in a process and a directory of its own.

use std::{
    fmt,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
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
    wait::{self, lock},
};

/// Attempts to start a server while other processes take its ports.
const ATTEMPTS_MAX: usize = 20;

/// A server program: its command line, its address, and the sign that it is ready.
pub trait Program: fmt::Debug + Send + Sync {
    /// The name of the program in the search path.
    const NAME: &'static str;
    /// The text in the log of a server whose port is in use.
    const PORT_TAKEN: &'static str = "Address already in use";
    /// The time limit of a start, on a busy machine.
    const START_LIMIT: Duration = Duration::from_secs(60);
    /// Whether a restart waits until the server is ready. One that needs a majority of others may not become ready.
    const RESTART_WAITS: bool = true;

    /// The user that it runs as when the tests run as root.
    const USER: Option<&'static str> = None;

    /// The program itself, where another one than [`Self::NAME`] of the search path is wanted.
    fn path(&self) -> Option<&Path> {
        None
    }

    /// Adds arguments and variables to the command.
    fn prepare(&self, command: &mut Command, directory: &Path);

    /// The address for clients.
    fn address(&self) -> SocketAddr;

    /// Whether the server with this process id accepts connections. Another process may answer on its port.
    fn is_ready(&self, log: &str, process: u32) -> bool;
}

/// A server in a directory of its own; both are gone with the value.
#[derive(Debug)]
pub struct ServerProcess<P> {
    // The process ends before its directory is removed: fields are dropped in this order.
    process: Mutex<Process>,
    pub(crate) program: P,
    directory: TempDir,
}

#[derive(Debug)]
pub(crate) enum Failure {
    /// Another process took the port before the server had it.
    PortTaken,
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::PortTaken => Error("another process took the port".into()),
            Failure::Other(error) => error,
        }
    }
}

/// Starts something, again and again while other processes take its ports.
pub(crate) fn on_free_ports<T>(mut start: impl FnMut() -> Result<T, Failure>) -> Result<T> {
    for _ in 0..ATTEMPTS_MAX {
        match start() {
            Err(Failure::PortTaken) => {}
            result => return result.map_err(Error::from),
        }
    }
    Err(Error(format!("other processes took the ports of {ATTEMPTS_MAX} attempts")))
}

/// A port of 127.0.0.1 that is free now.
pub(crate) fn free_port() -> Result<u16> {
    ports::free(Ipv4Addr::LOCALHOST.into())
}

impl<P: Program> ServerProcess<P> {
    /// Starts a server; returns when it is ready.
    pub(crate) fn start_in(directory: TempDir, program: P) -> Result<Self, Failure> {
        let server = Self::launch(directory, program)?;
        server.await_ready()?;
        Ok(server)
    }

    /// Starts a server without waiting for it.
    pub(crate) fn launch(directory: TempDir, program: P) -> Result<Self> {
        let process = Mutex::new(run(&program, directory.path())?);
        Ok(Self { process, program, directory })
    }

    pub(crate) fn await_ready(&self) -> Result<(), Failure> {
        let is_ready = || self.program.is_ready(&self.log(), self.pid());
        wait::until(P::START_LIMIT, || !self.is_running() || is_ready());
        if self.is_running() && is_ready() {
            return Ok(());
        }
        let log = self.log();
        if log.contains(P::PORT_TAKEN) {
            return Err(Failure::PortTaken);
        }
        Err(Failure::Other(Error(format!("{} at {} is not ready:\n{log}", P::NAME, self.address()))))
    }

    /// The port for clients. It stays the same when the server is restarted.
    pub fn port(&self) -> u16 {
        self.program.address().port()
    }

    /// `host:port` for clients.
    pub fn address(&self) -> String {
        self.program.address().to_string()
    }

    /// The process id of the server, or of the one that ran last.
    pub fn pid(&self) -> u32 {
        self.process().id()
    }

    /// The directory of its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its log since it was started last.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.directory().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether the process exists. A paused one does.
    pub fn is_running(&self) -> bool {
        self.process().is_running()
    }

    /// SIGSTOP: connections stay open and nothing is answered. Returns when the server stands still.
    pub fn pause(&self) -> Result<()> {
        self.process().pause()
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.process().resume()
    }

    /// SIGKILL; returns when it is gone. Data that are not on disk are lost.
    pub fn kill(&self) {
        self.process().kill();
    }

    /// SIGTERM; returns when it has ended in its own way.
    pub fn shutdown(&self) -> Result<()> {
        self.process().terminate()
    }

    /// Starts it again (after killing it, if it still runs) with the same ports, directory and configuration. Returns when
    /// it is ready; a ZooKeeper at once.
    pub fn restart(&self) -> Result<()> {
        let again = || {
            let mut process = self.process();
            process.kill();
            *process = run(&self.program, self.directory())?;
            Ok(())
        };
        if !P::RESTART_WAITS {
            return again();
        }
        wait::attempt(P::START_LIMIT, || {
            again()?;
            Ok(self.await_ready()?)
        })
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        lock(&self.process)
    }
}

fn run<P: Program>(program: &P, directory: &Path) -> Result<Process> {
    let output = File::create(directory.join("log")).context(|| "the log cannot be written".into())?;
    let errors = output.try_clone().context(|| "the log cannot be written".into())?;
    let path = program.path().map_or(P::NAME.into(), Path::to_string_lossy);
    Process::start_as(P::USER, &path, |command: &mut Command| {
        command.current_dir(directory).stdin(Stdio::null()).stdout(output).stderr(errors);
        program.prepare(command, directory);
    })
}
