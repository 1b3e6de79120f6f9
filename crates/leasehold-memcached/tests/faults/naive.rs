//! Clients as they are written on the first day: each test has one that fails where ours does not.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::mpsc,
    time::Duration,
};

use leasehold_testkit::memcached::{Connection, Server};

use crate::fixture::SOON;

/// `add` to take a lock, `delete` to free it.
pub(crate) struct Naive(Connection);

impl Naive {
    pub(crate) fn on(server: &Server) -> Naive {
        Naive(server.connect().expect("a server"))
    }

    pub(crate) fn lock(&mut self, key: &str, value: &str, seconds: i64) -> bool {
        let size = value.len();
        let answer = self.0.command(&format!("add {key} 0 {seconds} {size}\r\n{value}"));
        answer.expect("a reply") == "STORED"
    }

    pub(crate) fn unlock(&mut self, key: &str) -> bool {
        self.0.command(&format!("delete {key}")).expect("a reply") == "DELETED"
    }

    /// Writes the lock anew, and so prolongs it.
    pub(crate) fn renew(&mut self, key: &str, value: &str, seconds: i64) -> bool {
        let size = value.len();
        let answer = self.0.command(&format!("set {key} 0 {seconds} {size}\r\n{value}"));
        answer.expect("a reply") == "STORED"
    }

    pub(crate) fn holds(&mut self, key: &str, value: &str) -> bool {
        self.0.get(key).expect("a reply").as_deref() == Some(value)
    }

    /// The locks that a server says it has: as many lines as it answers with `key=`, and whatever else it says is an end.
    pub(crate) fn list(&mut self) -> usize {
        let mut line = self.0.command("lru_crawler metadump all").expect("a reply");
        let mut found = 0;
        while line.starts_with("key=") {
            found += 1;
            line = self.0.line().expect("a reply");
        }
        found
    }
}

/// One that remembers that it took the lock, and waits for every answer for as long as that takes.
pub(crate) struct Trusting {
    holds: bool,
    stream: TcpStream,
}

impl Trusting {
    pub(crate) fn at(address: &str) -> Trusting {
        Trusting { holds: false, stream: TcpStream::connect(address).expect("a server") }
    }

    /// Reads once, and as much as the answer that it hopes for; what is not `NOT_STORED` is taken for a lock.
    pub(crate) fn lock(&mut self, key: &str, seconds: u64) {
        self.send(&format!("add {key} 0 {seconds} 2\r\nme\r\n"));
        let mut answer = *b"STORED\r\n";
        let count = self.stream.read(&mut answer).unwrap_or(0);
        self.holds = &answer[..count] != b"NOT_STORED";
    }

    /// Its flag, which nobody takes down.
    pub(crate) fn believes(&self) -> bool {
        self.holds
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).expect("a connection");
    }

    /// What one read brings, which it takes for an answer.
    pub(crate) fn read(&mut self) -> Option<String> {
        let mut bytes = [0; 1024];
        let count = self.stream.read(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes[..count]).into_owned())
    }

    /// Asks whether its lock is there, in a thread that may wait for ever; the thread ends with the connection.
    pub(crate) fn asks(mut self, key: &str) -> Asking {
        let (sender, answer) = mpsc::channel();
        let end = self.stream.try_clone().expect("a connection");
        self.send(&format!("get {key}\r\n"));
        let asking = std::thread::Builder::new().spawn(move || {
            let _ = sender.send(self.read());
        });
        Asking { answer, end, thread: Some(asking.expect("a thread")) }
    }
}

/// A naive client that waits for an answer.
pub(crate) struct Asking {
    answer: mpsc::Receiver<Option<String>>,
    end: TcpStream,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Asking {
    /// Whether it still waits.
    pub(crate) fn hangs(&self) -> bool {
        self.answer.try_recv() == Err(mpsc::TryRecvError::Empty)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let _ = self.end.shutdown(std::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Takes a lock on a connection of its own, and gives up without an answer.
pub(crate) fn gives_up(address: &str, key: &str) {
    let mut stream = TcpStream::connect(address).expect("a server");
    stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a connection");
    stream.write_all(format!("add {key} 0 300 2\r\nme\r\n").as_bytes()).expect("a connection");
    assert!(stream.read(&mut [0; 16]).is_err(), "nobody answers");
}

/// Asks again and again until somebody says that it was done; how often that was.
pub(crate) fn insists(address: &str, command: &str) -> u32 {
    let ask = || -> Option<()> {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(SOON)).ok()?;
        stream.write_all(command.as_bytes()).ok()?;
        matches!(stream.read(&mut [0; 64]), Ok(1..)).then_some(())
    };
    (1..100).find(|_| ask().is_some()).expect("an answer in the end")
}
