//! [`Peer`]: another client of a server, in a process of its own. `interop/README.md` has the protocol.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader, PipeWriter, Write, pipe},
    path::PathBuf,
    thread,
    time::Duration,
};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::{foreign_client, process::Process};

/// The environment variable with the address of the server.
pub const STORE: &str = "PEER_STORE";
/// The environment variable that makes a test program a peer, and names its part.
pub const ROLE: &str = "LEASEHOLD_PEER_ROLE";

/// The command that starts a peer.
#[derive(Clone, Default, Debug)]
pub struct Program {
    /// The program.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// The value of [`ROLE`]; empty for a program that is always a peer.
    pub role: String,
}

impl Program {
    /// The running program, in another role.
    pub fn itself(role: &str) -> Program {
        let path = std::env::current_exe().expect("the operating system knows the file of the program");
        Program { path, args: Vec::new(), role: role.into() }
    }

    /// A peer in Python, see [`foreign_client::python`].
    pub fn python(target: &str, peer: &str) -> Program {
        let directory = foreign_client::python(target, peer);
        let args = vec!["-B".into(), directory.join("peer.py").into()];
        Program { path: directory.join("venv/bin/python"), args, role: String::new() }
    }

    /// A peer in Java, see [`foreign_client::java`], in a process that is soon there and small.
    pub fn java(target: &str, peer: &str, part: &str) -> Program {
        let place = foreign_client::java(target, peer);
        let classes = format!("{0}:{0}/lib/*", place.display());
        let quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=off";
        let options = ["-Xms16m", "-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", quiet];
        let args = options.into_iter().chain(["-cp", &classes, "Peer", part]);
        Program { path: "java".into(), args: args.map(Into::into).collect(), role: String::new() }
    }
}

/// A process that obeys commands on its standard input. It is killed when dropped.
#[derive(Debug)]
pub struct Peer {
    process: Process,
    input: PipeWriter,
    lines: UnboundedReceiver<String>,
    limit: Duration,
}

impl Peer {
    /// Starts a peer of the server, and waits until it is ready. `limit` is the time limit of each answer.
    pub async fn start(program: &Program, store: &str, limit: Duration) -> Peer {
        let (stdin, input) = pipe().expect("a pipe");
        let (output, stdout) = pipe().expect("a pipe");
        let path = program.path.to_str().expect("a path in UTF-8");
        let process = Process::start(path, |command| {
            command.args(&program.args).env(STORE, store).stdin(stdin).stdout(stdout);
            if !program.role.is_empty() {
                command.env(ROLE, &program.role);
            }
        });
        let process = process.unwrap_or_else(|error| panic!("{error}"));
        let (send, lines) = unbounded_channel();
        // A thread of its own: reading from a pipe blocks, and ends when the process does.
        let reader = thread::Builder::new().name("peer".into()).spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        reader.expect("a thread that reads from the peer");
        let mut peer = Peer { process, input, lines, limit };
        let ready = peer.answer().await;
        assert!(ready.starts_with("ready "), "{path} answers `{ready}`");
        peer
    }

    /// Sends a command.
    pub fn send(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("a peer that reads");
    }

    /// Waits for its next line.
    #[expect(clippy::disallowed_methods, reason = "a peer lives in real time")]
    pub async fn answer(&mut self) -> String {
        let line = tokio::time::timeout(self.limit, self.lines.recv()).await;
        line.expect("an answer of the peer in time").expect("a peer that answers and does not end")
    }

    /// Sends a command and returns its answer.
    pub async fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.answer().await
    }

    /// Sends a command that must be answered like this.
    pub async fn expect(&mut self, line: &str, wanted: &str) {
        assert_eq!(self.ask(line).await, wanted, "the answer to `{line}`");
    }

    /// SIGSTOP; returns when it stands still.
    pub fn pause(&mut self) {
        self.process.pause().unwrap_or_else(|error| panic!("{error}"));
    }

    /// SIGCONT.
    pub fn resume(&mut self) {
        self.process.resume().unwrap_or_else(|error| panic!("{error}"));
    }

    /// SIGKILL; returns when it is dead.
    pub fn kill(mut self) {
        self.process.kill();
    }
}
