//! [`Peer`]: Go's process, as the cases see it.
#![allow(dead_code, reason = "each program uses a part of it")]

use std::{
    io::{BufRead, BufReader, PipeWriter, Write, pipe},
    path::Path,
};

use leasehold_core::Env;
use leasehold_testkit::{etcd::Member, process::Process};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::fixture::SOON;

/// A process that does what it is told on its standard input. Killed when dropped.
pub(crate) struct Peer {
    process: Process,
    input: PipeWriter,
    lines: UnboundedReceiver<String>,
    env: Env,
}

impl Peer {
    /// Starts one and waits until it is ready.
    pub(crate) async fn start(program: &Path, member: &Member, env: &Env) -> Peer {
        let (stdin, input) = pipe().expect("a pipe");
        let (output, stdout) = pipe().expect("a pipe");
        let url = format!("etcd://{}", member.address());
        let process = Process::start(program.to_str().expect("a path in UTF-8"), |command| {
            command.env("PEER_STORE", url).stdin(stdin).stdout(stdout);
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
        assert!(ready.starts_with("ready etcd-go "), "it says `{ready}`");
        peer
    }

    /// Tells it something.
    pub(crate) fn send(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("a peer that listens");
    }

    /// Its next line.
    pub(crate) async fn answer(&mut self) -> String {
        let until = self.env.now() + SOON * 3;
        let line = self.env.until(until, self.lines.recv()).await.expect("an answer of the peer in time");
        line.expect("a peer that answers and does not end")
    }

    /// Tells it something; it must answer this.
    pub(crate) async fn expect(&mut self, line: &str, wanted: &str) {
        self.send(line);
        assert_eq!(self.answer().await, wanted, "the answer to `{line}`");
    }

    /// SIGKILL; returns when it is dead.
    pub(crate) fn kill(mut self) {
        self.process.kill();
    }
}
