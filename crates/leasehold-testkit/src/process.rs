//! Processes that end with the test.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{OnceLock, mpsc},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    Error, Result,
    error::{Context, ensure},
    wait,
};

/// The time limit of a signal's effect.
const SOON: Duration = Duration::from_secs(60);

/// A process that is killed and waited for with its value, and that the kernel kills when the test process dies first.
#[derive(Debug)]
pub struct Process {
    child: Child,
    program: String,
}

impl Process {
    /// Starts a program of the search path. `prepare` adds arguments, variables and files to its command.
    pub fn start(program: &str, prepare: impl FnOnce(&mut Command)) -> Result<Self> {
        Self::start_as(None, program, prepare)
    }

    /// The same as another user, if this process may change to it.
    pub(crate) fn start_as(
        user: Option<&str>,
        program: &str,
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let path = find(program)?;
        // setpriv(1) asks for the signal and then becomes the program, under the same process id.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .args(user.into_iter().flat_map(become_user))
            .arg("--")
            .arg(path);
        prepare(&mut command);
        let child = starter().and_then(|starter| starter.start(command));
        let child =
            child.context(|| format!("`{program}` could not be started (by setpriv of util-linux)"))?;
        Ok(Self { child, program: program.into() })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet. A stopped process is running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGSTOP; returns when the process is stopped.
    pub fn pause(&mut self) -> Result<()> {
        self.signal(Signal::STOP)?;
        self.await_stopped(true)
    }

    /// SIGCONT.
    pub fn resume(&mut self) -> Result<()> {
        self.signal(Signal::CONT)?;
        self.await_stopped(false)
    }

    /// SIGTERM; returns when the process has ended.
    pub fn terminate(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let ended = wait::until(SOON, || !self.is_running());
        ensure(ended, || format!("{} ignores SIGTERM", self.program))
    }

    /// SIGKILL; returns when the process is gone, also when it was before.
    pub fn kill(&mut self) {
        // It may be gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        ensure(self.is_running(), || format!("{} is not running", self.program))?;
        kill_process(Pid::from_child(&self.child), signal)
            .context(|| format!("{} gets no signal", self.program))
    }

    fn await_stopped(&self, wanted: bool) -> Result<()> {
        let file = PathBuf::from(format!("/proc/{}/stat", self.id()));
        let is_so = || {
            let stat = fs::read_to_string(&file).unwrap_or_default();
            let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
            (state == Some('T')) == wanted
        };
        ensure(wait::until(SOON, is_so), || format!("{} does not stop or continue", self.program))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Finds a program in the search path, or where Debian has the programs of PostgreSQL.
pub(crate) fn find(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    versions.sort();
    let places = std::env::split_paths(&path).chain(versions.into_iter().rev());
    let found = places.map(|place| place.join(program)).find(|path| path.is_file());
    found.ok_or_else(|| Error(format!("`{program}` is not installed: cargo xtask test does it")))
}

/// The arguments of setpriv(1) that change to a user of this machine; none if this process is not root, and so runs servers
/// as itself.
pub(crate) fn become_user(name: &str) -> Vec<String> {
    let words = [format!("--reuid={name}"), format!("--regid={name}"), "--clear-groups".into()];
    if rustix::process::geteuid().is_root() { words.into() } else { Vec::new() }
}

/// Gives a file or directory to a user, if this process is root.
pub(crate) fn give_to(name: &str, path: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    output(Command::new("chown").arg(format!("{name}:{name}")).arg(path)).map(drop)
}

/// Runs a command to its end, and returns its output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.context(|| format!("`{}` cannot be run", program.display()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(Error(String::from_utf8_lossy(&output.stderr).trim().into())),
    }
}

type Request = (Command, mpsc::Sender<io::Result<Child>>);

/// The thread that starts processes.
///
/// The kernel sends the parent-death signal when the *thread* that started the process ends. Tests run in short threads
/// that may share a server, so one thread that lives as long as this process starts them all.
#[derive(Debug)]
struct Starter(mpsc::Sender<Request>);

fn starter() -> io::Result<&'static Starter> {
    static STARTER: OnceLock<Starter> = OnceLock::new();
    if let Some(starter) = STARTER.get() {
        return Ok(starter);
    }
    let (requests, inbox) = mpsc::channel::<Request>();
    let work = move || {
        for (mut command, answer) in inbox {
            // The caller may be gone.
            let _ = answer.send(command.spawn());
        }
    };
    thread::Builder::new().name("testkit-starter".into()).spawn(work)?;
    // Another thread may have been faster: then this one's inbox closes and it ends, having started nothing.
    Ok(STARTER.get_or_init(|| Starter(requests)))
}

impl Starter {
    fn start(&self, command: Command) -> io::Result<Child> {
        let gone = || io::Error::other("the starting thread is gone");
        let (answer, child) = mpsc::channel();
        self.0.send((command, answer)).map_err(|_| gone())?;
        child.recv().map_err(|_| gone())?
    }
}
