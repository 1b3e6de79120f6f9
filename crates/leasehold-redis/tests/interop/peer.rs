//! [`Peer`]: a foreign's process, as the cases see it.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader, PipeWriter, Write, pipe},
    path::PathBuf,
};

use leasehold_core::Env;
use leasehold_testkit::process::Process;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::context::ANSWER_LIMIT;

/// Where the lock is: `redis://127.0.0.1:PORT`.
pub(crate) const STORE: &str = "PEER_STORE";
/// Makes this program a peer, and says which one.
pub(crate) const ROLE: &str = "LEASEHOLD_INTEROP_ROLE";

/// How to start one.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) role: String,
}

impl Program {
    /// This program in another role.
    pub(crate) fn itself(role: &str) -> Program {
        let path = std::env::current_exe().expect("the operating system knows the running program's file");
        Program { path, args: Vec::new(), role: role.into() }
    }
}

/// A process that does what it is told on its standard input. Killed when dropped.
pub(crate) struct Peer {
    process: Process,
    input: PipeWriter,
    lines: UnboundedReceiver<String>,
    env: Env,
}

impl Peer {
    /// Starts one and waits until it is ready.
    pub(crate) async fn start(program: &Program, url: &str, env: &Env) -> Peer {
        let (stdin, input) = pipe().expect("a pipe");
        let (output, stdout) = pipe().expect("a pipe");
        let path = program.path.to_str().expect("a path in UTF-8");
        let process = Process::start(path, |command| {
            command.args(&program.args).env(STORE, url).stdin(stdin).stdout(stdout);
            if !program.role.is_empty() {
                command.env(ROLE, &program.role);
            }
        });
        let process = process.unwrap_or_else(|error| panic!("{error}"));
        let (send, lines) = unbounded_channel();
        // A thread of its own: reading from a pipe blocks, and ends when the process does.
        let reader = std::thread::Builder::new().name("peer".into()).spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        reader.expect("a thread that reads from the peer");
        let mut peer = Peer { process, input, lines, env: env.clone() };
        let ready = peer.answer().await;
        assert!(ready.starts_with("ready "), "{path} says `{ready}`");
        peer
    }

    /// Tells it something.
    pub(crate) fn send(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("a peer that listens");
    }

    /// Its next line.
    pub(crate) async fn answer(&mut self) -> String {
        let until = self.env.now() + ANSWER_LIMIT;
        let line = self.env.until(until, self.lines.recv()).await.expect("an answer of the peer in time");
        line.expect("a peer that answers and does not end")
    }

    /// Tells it something and answers its next line.
    pub(crate) async fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.answer().await
    }

    /// Tells it something; it must answer this.
    pub(crate) async fn expect(&mut self, line: &str, wanted: &str) {
        assert_eq!(self.ask(line).await, wanted, "the answer to `{line}`");
    }

    /// SIGKILL; returns when it is dead.
    pub(crate) fn kill(mut self) {
        self.process.kill();
    }
}
