//! Clients as they are written on the first day: each test has one that fails where ours does not.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

use leasehold_testkit::{etcd::Member, process::Process};

use crate::fixture::{SOON, keys};

/// etcdctl, told of an address.
pub(crate) fn etcdctl(address: &str, words: &[&str]) -> Command {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").arg(format!("--endpoints={address}")).args(words);
    command
}

/// `etcdctl lock NAME sleep 600`, which prints nothing, waits for answers without an end, and ends when its lock is
/// released, and not when it is lost.
pub(crate) fn etcdctl_lock(member: &Member, text: &str) -> Process {
    lock_for(member, text, 60)
}

/// The same with a time to live.
pub(crate) fn lock_for(member: &Member, text: &str, seconds: u64) -> Process {
    let address = member.address();
    let started = Process::start("etcdctl", |command| {
        command.env("ETCDCTL_API", "3").arg(format!("--endpoints={address}"));
        command.args(["lock", &format!("--ttl={seconds}"), text, "sleep", "600"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    });
    started.expect("etcdctl")
}

/// A lease of so many seconds, in hexadecimal digits.
pub(crate) fn lease(member: &Member, seconds: u64) -> String {
    let shown = member.ctl(&["lease", "grant", &seconds.to_string()]).expect("etcdctl");
    shown.split(' ').nth(1).expect("lease ID granted with TTL(…)").into()
}

/// Takes a free lock, by reading first.
pub(crate) fn take(member: &Member, text: &str, who: &str) -> bool {
    let is_free = keys(member, text).is_empty();
    if is_free {
        member.ctl(&["put", &format!("{text}/{who}"), "held"]).expect("etcdctl");
    }
    is_free
}

/// Writes until somebody says that it was done; how often that was.
pub(crate) fn insists(address: &str, key: &str) -> u32 {
    let put = || etcdctl(address, &["put", key, "me"]).stderr(Stdio::null()).stdout(Stdio::null()).status();
    (1..100).find(|_| put().expect("etcdctl").success()).expect("an answer in the end")
}

/// One that waits for the holder of a key to go, by a watch over HTTP: whatever it hears is news of that, and so is the
/// end of its connection.
pub(crate) struct Watcher {
    lines: BufReader<TcpStream>,
}

impl Watcher {
    /// Watches a key, from a revision on if one is named; returns when the member has confirmed it.
    pub(crate) fn of(address: &str, key: &str, revision: Option<u64>) -> Watcher {
        let mut stream = TcpStream::connect(address).expect("a member");
        stream.set_read_timeout(Some(SOON)).expect("a connection");
        let from = revision.map_or(String::new(), |revision| format!(",\"start_revision\":\"{revision}\""));
        let body = format!("{{\"create_request\":{{\"key\":\"{}\"{from}}}}}", base64(key.as_bytes()));
        let request = format!(
            "POST /v3/watch HTTP/1.1\r\nHost: etcd\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("a connection");
        let mut watcher = Watcher { lines: BufReader::new(stream) };
        while !watcher.line().expect("an answer").contains("\"created\":true") {}
        watcher
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.lines.read_line(&mut line).ok()? > 0).then_some(line)
    }

    /// Whether nothing more has come.
    pub(crate) fn is_silent(&mut self) -> bool {
        let stream = self.lines.get_ref();
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a connection");
        self.news().is_none()
    }

    /// Waits for news: what the member says, or `None` when there is an end of it.
    pub(crate) fn news(&mut self) -> Option<String> {
        loop {
            let line = self.line()?;
            if line.contains("\"result\"") {
                return Some(line);
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.lines.get_ref().shutdown(Shutdown::Both);
    }
}

/// One that logs in over HTTP once, when it starts.
pub(crate) struct Login {
    address: String,
    token: String,
}

impl Login {
    pub(crate) fn fetch(address: &str) -> Login {
        let answer = post(address, "/v3/auth/authenticate", "", "{\"name\":\"locks\",\"password\":\"pw\"}");
        let token = answer.split("\"token\":\"").nth(1).and_then(|rest| rest.split('"').next());
        Login { address: address.into(), token: token.expect("a token").into() }
    }

    pub(crate) fn is_accepted(&self) -> bool {
        let header = format!("Authorization: {}\r\n", self.token);
        let key = base64(b"some lock");
        let answer = post(&self.address, "/v3/kv/range", &header, &format!("{{\"key\":\"{key}\"}}"));
        answer.starts_with("HTTP/1.0 200")
    }
}

fn post(address: &str, path: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a member");
    stream.set_read_timeout(Some(SOON)).expect("a connection");
    let length = body.len();
    let request = format!("POST {path} HTTP/1.0\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).expect("a connection");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = |chunk: &[u8]| {
        let number =
            (0..3).fold(0_usize, |sum, at| sum << 8 | usize::from(chunk.get(at).copied().unwrap_or(0)));
        let digit =
            move |at: usize| if at <= chunk.len() { DIGITS[number >> (18 - 6 * at) & 63] } else { b'=' };
        (0..4).map(digit).map(char::from).collect::<String>()
    };
    bytes.chunks(3).map(digits).collect()
}
