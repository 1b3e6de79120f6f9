//! [`Peer`]: another library in a process of its own; how to speak with it is in `interop/README.md`.

use std::{
    io::{BufRead, BufReader, PipeReader, PipeWriter, Write, pipe},
    process::Stdio,
    time::Duration,
};

use leasehold_testkit::{foreign_client, process::Process};

use crate::contender::Contender;

/// A program that does what it is told. Killed when dropped.
pub(crate) struct Peer {
    _process: Process,
    input: PipeWriter,
    lines: BufReader<PipeReader>,
    label: String,
}

impl Peer {
    fn start(program: &str, args: &[&str], store: &str) -> Peer {
        let (stdin, input) = pipe().expect("a pipe");
        let (output, stdout) = pipe().expect("a pipe");
        let process = Process::start(program, |command| {
            command.args(args).env("PEER_STORE", store).stdin(stdin).stdout(stdout).stderr(Stdio::null());
        });
        let process = process.unwrap_or_else(|error| panic!("{error}"));
        let lines = BufReader::new(output);
        let mut peer = Peer { _process: process, input, lines, label: String::new() };
        let said = peer.answer();
        let ready = said.strip_prefix("ready ");
        peer.label = ready.unwrap_or_else(|| panic!("{program} says `{said}`")).to_string();
        peer
    }

    fn python(peer: &str, store: &str) -> Peer {
        let place = foreign_client::python(env!("CARGO_TARGET_TMPDIR"), peer);
        let place = place.to_str().expect("a path in UTF-8");
        Peer::start(&format!("{place}/venv/bin/python"), &["-B", &format!("{place}/peer.py")], store)
    }

    pub(crate) fn redis_py(store: &str) -> Peer {
        Peer::python("redis-py", store)
    }

    pub(crate) fn pymemcache(store: &str) -> Peer {
        Peer::python("pymemcache", store)
    }

    pub(crate) fn kazoo(store: &str) -> Peer {
        Peer::python("kazoo", store)
    }

    /// With the virtual machine as it comes, but for its log.
    pub(crate) fn curator(store: &str) -> Peer {
        let place =
            foreign_client::installed(env!("CARGO_TARGET_TMPDIR"), "curator", "Peer.class", |place| {
                foreign_client::run(
                    place,
                    "mvn",
                    &["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"],
                );
                foreign_client::run(place, "javac", &["-cp", "lib/*", "Peer.java"]);
            });
        let classes = format!("{}:{}/lib/*", place.display(), place.display());
        let args = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp", &classes, "Peer"];
        Peer::start("java", &args, store)
    }

    /// A program in Go, and its arguments.
    fn go(program: &str, args: &[&str], store: &str) -> Peer {
        let place = foreign_client::installed(env!("CARGO_TARGET_TMPDIR"), program, program, |place| {
            foreign_client::run(place, "go", &["build", "-mod=readonly", "-o", program, "."]);
        });
        Peer::start(place.join(program).to_str().expect("a path in UTF-8"), args, store)
    }

    /// `redsync` or `redislock`.
    pub(crate) fn go_redis(library: &str, store: &str) -> Peer {
        Peer::go("go-redis", &[library], store)
    }

    pub(crate) fn etcd_go(store: &str) -> Peer {
        Peer::go("etcd-go", &[], store)
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a pipe can be read");
        line.trim_end().to_string()
    }

    /// Tells it something, and answers the times that it took.
    fn ask(&mut self, line: &str) -> Vec<Duration> {
        writeln!(self.input, "{line}").expect("a peer that listens");
        let said = self.answer();
        let words = said.strip_prefix("took ").unwrap_or_else(|| panic!("{} says `{said}`", self.label));
        let nanos = words.split(' ').map(|word| word.parse().expect("nanoseconds"));
        nanos.map(Duration::from_nanos).collect()
    }
}

impl Contender for Peer {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn word(&self) -> &'static str {
        "theirs"
    }

    fn pairs(&mut self, name: &str, times: usize, tasks: usize) -> Option<Duration> {
        self.ask(&format!("pairs {name}-{} {times} {tasks}", self.label.replace(' ', "-"))).pop()
    }

    fn hand_overs(&mut self, name: &str, times: usize) -> Vec<Duration> {
        self.ask(&format!("handovers {name}-{} {times}", self.label.replace(' ', "-")))
    }
}
