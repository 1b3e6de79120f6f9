//! The examples that serve until they are told to end.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::{
    io::{BufRead, BufReader, Lines, Read, Write},
    net::TcpStream,
    process::{Child, ChildStdout, Command, Stdio},
};

/// A running example, and the lines that it prints.
struct Example {
    process: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Example {
    fn start(program: &str, args: &[&str]) -> Example {
        let mut process = Command::new(program).args(args).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        Example { process, output }
    }

    /// Waits for its next line.
    fn line(&mut self) -> String {
        self.output.next().unwrap().unwrap()
    }

    fn signal(&self, name: &str) {
        let kill = Command::new("kill").args([name, &self.process.id().to_string()]).status();
        assert!(kill.unwrap().success());
    }

    /// Ends it as Ctrl-C (`-INT`) or an orchestrator (`-TERM`) does: it ends by itself.
    fn end(mut self, signal: &str) {
        self.signal(signal);
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // It has ended, if the test went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn http(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn address(example: &mut Example) -> String {
    example.line().strip_prefix("listening on ").unwrap().to_string()
}

#[test]
fn a_service_sells_no_more_than_it_has() {
    let mut service = Example::start(env!("CARGO_BIN_EXE_axum_service"), &[]);
    let address = address(&mut service);
    let sell = |_| {
        let address = address.clone();
        std::thread::Builder::new().spawn(move || http(&address, "POST /items/book/sale")).unwrap()
    };
    let sales: Vec<_> = (0..20).map(sell).collect();
    let answers: Vec<String> = sales.into_iter().map(|sale| sale.join().unwrap()).collect();
    let count = |status: &str| answers.iter().filter(|answer| answer.starts_with(status)).count();
    assert_eq!((count("HTTP/1.1 200"), count("HTTP/1.1 410")), (5, 15), "{answers:?}");
    assert!(http(&address, "GET /items/book").ends_with("\r\n\r\n0"));
    service.end("-TERM");
}

#[test]
fn metrics_are_served() {
    let mut service = Example::start(env!("CARGO_BIN_EXE_prometheus"), &[]);
    let address = address(&mut service);
    let metrics = http(&address, "GET /metrics");
    let held = r#"lock_hold_duration_count{lock_backend="memory",lock_end="released",lock_group="orders"} 3"#;
    assert!(metrics.lines().any(|line| line == held), "{metrics}");
    assert!(metrics.contains(r#"lock_held{lock_backend="memory",lock_group="orders"} 0"#), "{metrics}");
    service.end("-TERM");
}

#[test]
fn a_leader_that_ends_is_followed_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", directory.path().join("leader.db").display());
    let start = |name| Example::start(env!("CARGO_BIN_EXE_singleton"), &[&store, name]);
    let mut first = start("a");
    assert_eq!([first.line(), first.line()], ["a is standby", "a leads, with a token: true"]);
    let mut second = start("b");
    assert_eq!(second.line(), "b is standby");
    first.signal("-TERM");
    assert_eq!([first.line(), first.line()], ["a was told to end", "a is standby"]);
    assert_eq!(second.line(), "b leads, with a token: true");
    // One that is killed is followed, too.
    let mut third = start("c");
    assert_eq!(third.line(), "c is standby");
    second.process.kill().unwrap();
    assert_eq!(third.line(), "c leads, with a token: true");
    third.end("-INT");
}
