//! Fixture of the tests: a store per test, programs that are ended with the test, and waiting for conditions.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// Time limit for every wait, also on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A directory with a store.
pub(crate) struct Fixture {
    directory: tempfile::TempDir,
}

/// Exit code and output of a program that has ended.
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Fixture { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn store(&self) -> String {
        format!("sqlite:{}", self.path("locks.db").display())
    }

    /// The binary, in an environment that names only this store. Signals are reset to their defaults, since commands would
    /// inherit ignored ones (`nohup`, background jobs of a shell) from these tests.
    pub(crate) fn leasehold(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/env");
        command.args(["--default-signal=HUP,INT,QUIT,TERM", env!("CARGO_BIN_EXE_leasehold")]);
        command.args(arguments).env("LEASEHOLD_STORE", self.store()).env("HOME", self.directory.path());
        for name in
            ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "LEASEHOLD_CONFIG", "LEASEHOLD_LOG", "LEASEHOLD_NAME"]
        {
            command.env_remove(name);
        }
        command.env_remove("LEASEHOLD_FENCING_TOKEN");
        command.stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        finish(&mut self.leasehold(arguments))
    }

    /// Starts `leasehold run`, with options, of a shell script.
    pub(crate) fn start(&self, options: &[&str], script: &str) -> Running {
        let mut arguments = vec!["run"];
        arguments.extend(options);
        arguments.extend(["--", "sh", "-c", script]);
        Running::start(&mut self.leasehold(&arguments))
    }

    /// The output of `inspect --json`.
    pub(crate) fn inspect(&self, name: &str) -> serde_json::Value {
        let finished = self.run(&["inspect", "--json", name]);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        serde_json::from_str(&finished.stdout).unwrap()
    }

    pub(crate) fn waiters(&self, name: &str) -> usize {
        self.inspect(name)["waiters"].as_array().unwrap().len()
    }

    pub(crate) fn holders(&self, name: &str) -> usize {
        self.inspect(name)["holders"].as_array().unwrap().len()
    }
}

pub(crate) fn finish(command: &mut Command) -> Finished {
    let output = command.output().unwrap();
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A running program, killed at the end of the test.
pub(crate) struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Running { child, stdout, stderr }
    }

    /// Its piped stdin, once.
    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// The next line of its stdout.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_string()
    }

    /// The next line of its stdout, as process ids.
    pub(crate) fn pids(&mut self) -> Vec<i32> {
        let line = self.line();
        line.split(' ').map(|number| number.parse().unwrap_or_else(|_| panic!("{line:?}"))).collect()
    }

    /// The next line of its stderr.
    pub(crate) fn stderr_line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line.trim_end().to_string()
    }

    pub(crate) fn send(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Waits for the guardian of `leasehold run`.
    pub(crate) fn guardian(&self) -> i32 {
        eventually("a guardian", || {
            children(self.pid()).into_iter().find(|pid| command_line(*pid).contains("__guard"))
        })
    }

    /// Waits for its end and returns the rest of its output.
    pub(crate) fn end(self) -> Finished {
        self.end_within(SOON)
    }

    /// The same with another time limit.
    pub(crate) fn end_within(mut self, limit: Duration) -> Finished {
        let status = within(limit, "the end of leasehold", || self.child.try_wait().unwrap());
        self.left(status)
    }

    /// Waits for its end and returns its exit code and the next four lines of stderr, which another process keeps open.
    pub(crate) fn end_with_open_output(mut self) -> Finished {
        let status = eventually("the end of leasehold", || self.child.try_wait().unwrap());
        let stderr = (0..4).map(|_| self.stderr_line() + "\n").collect();
        Finished { code: status.code(), stdout: String::new(), stderr }
    }

    fn left(&mut self, status: ExitStatus) -> Finished {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).unwrap();
        self.stderr.read_to_string(&mut stderr).unwrap();
        Finished { code: status.code(), stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that is killed at the end of the test.
pub(crate) struct KillOnDrop(pub(crate) i32);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if is_alive(self.0) {
            send(self.0, Signal::KILL);
        }
    }
}

pub(crate) fn send(pid: i32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
}

/// Waits until `look` returns something.
pub(crate) fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(SOON, what, look)
}

#[expect(clippy::disallowed_methods, reason = "the state of foreign processes can only be polled")]
fn within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < limit, "{what} did not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until a condition holds.
pub(crate) fn until(what: &str, mut look: impl FnMut() -> bool) {
    eventually(what, || look().then_some(()));
}

#[expect(clippy::disallowed_methods, reason = "measures the real machine")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// `R`, `S`, `T`, `Z`, …; `None` when there is no such process.
pub(crate) fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

pub(crate) fn is_alive(pid: i32) -> bool {
    state(pid).is_some_and(|state| state != 'Z' && state != 'X')
}

pub(crate) fn until_dead(pid: i32) {
    until("the end of a process", || !is_alive(pid));
}

pub(crate) fn children(pid: i32) -> Vec<i32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// The command line of a process.
pub(crate) fn command_line(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ")
}
