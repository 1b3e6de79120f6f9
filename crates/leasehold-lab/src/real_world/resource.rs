//! [`Resource`]: a counter for each workload, served over TCP; [`ResourceClient`]: a worker's connection to it.
//!
//! It lives in the runner, which is never paused, and answers one line to each line. It knows which process is between a
//! read and a write, so that the nemesis can strike there.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Condvar, Mutex, PoisonError},
    thread::{Builder, Scope},
    time::Duration,
};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::workload::Workload;
use crate::{
    resource::Counter,
    sync::{StopFlag, lock},
};

/// A request, as a line of JSON. The answer is a number, or null for a refusal.
#[derive(Serialize, Deserialize)]
struct Request {
    workload: Workload,
    process: u32,
    access: Access,
}

#[derive(Serialize, Deserialize)]
enum Access {
    /// Whether the workers are to go on.
    GoOn,
    Read {
        token: u64,
    },
    Write {
        token: u64,
        value: u64,
    },
}

#[derive(Debug)]
pub(super) struct Resource {
    listener: TcpListener,
    counters: Mutex<BTreeMap<Workload, State>>,
    changed: Condvar,
    /// Set when the workers are to stop.
    closing: StopFlag,
}

#[derive(Clone, Copy, Debug)]
struct State {
    counter: Counter,
    /// The process that has read last and has not written since.
    reader: Option<Reader>,
}

/// A process between a read and a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Reader {
    pub(super) process: u32,
    read: u64,
}

impl State {
    fn read(&mut self, process: u32, token: u64) -> Option<u64> {
        let value = self.counter.read(Some(token))?;
        self.reader = Some(Reader { process, read: self.counter.reads() });
        Some(value)
    }

    fn write(&mut self, process: u32, token: u64, value: u64) -> bool {
        self.reader = self.reader.filter(|reader| reader.process != process);
        self.counter.write(Some(token), value)
    }
}

impl Resource {
    pub(super) fn open() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let state = |workload: Workload| State { counter: Counter::new(workload.fence()), reader: None };
        let counters = Mutex::new(Workload::all().map(|workload| (workload, state(workload))).collect());
        Ok(Self { listener, counters, changed: Condvar::new(), closing: StopFlag::default() })
    }

    pub(super) fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Serves until [`Self::close`].
    pub(super) fn serve<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) -> Result<()> {
        Builder::new().name("resource".into()).spawn_scoped(scope, move || {
            for stream in self.listener.incoming().flatten() {
                if self.closing.is_set() {
                    break;
                }
                let serve = move || self.answer_all(stream);
                // Fails when this process has too many threads; the worker sees its connection closed.
                let _ = Builder::new().name("resource-client".into()).spawn_scoped(scope, serve);
            }
        })?;
        Ok(())
    }

    /// Accepts no more connections, once all workers have ended.
    pub(super) fn close(&self) {
        self.closing.set();
        if let Ok(address) = self.address() {
            // Ends the listener's wait for a connection.
            let _ = TcpStream::connect(address);
        }
    }

    pub(super) fn stop_workers(&self) {
        self.closing.set();
    }

    fn answer_all(&self, stream: TcpStream) {
        let Ok(mut writer) = stream.try_clone() else { return };
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let answer = serde_json::from_str(&line).map(|request| self.answer(&request));
            let answer = answer.and_then(|answer| serde_json::to_string(&answer));
            let Ok(answer) = answer else { return };
            if writer.write_all((answer + "\n").as_bytes()).is_err() {
                return;
            }
        }
    }

    /// `None`: the access is refused.
    fn answer(&self, request: &Request) -> Option<u64> {
        let mut counters = lock(&self.counters);
        let (state, process) = (counters.get_mut(&request.workload)?, request.process);
        let answer = match request.access {
            Access::GoOn => return (!self.closing.is_set()).then_some(0),
            Access::Read { token } => state.read(process, token),
            Access::Write { token, value } => state.write(process, token, value).then_some(value),
        };
        self.changed.notify_all();
        answer
    }

    /// Waits for the next read; returns its process, which has not written yet.
    pub(super) fn await_reader(&self, workload: Workload, limit: Duration) -> Option<Reader> {
        let before = self.counter(workload).map_or(0, |counter| counter.reads());
        let reads = |state: &State| state.counter.reads() > before && state.reader.is_some();
        self.await_state(workload, limit, reads)?.reader
    }

    /// Waits until another process has read after that reader.
    pub(super) fn await_next_reader(&self, workload: Workload, after: Reader, limit: Duration) {
        let other = |reader: Reader| reader.read > after.read && reader.process != after.process;
        self.await_state(workload, limit, |state| state.reader.is_some_and(other));
    }

    fn await_state(
        &self,
        workload: Workload,
        limit: Duration,
        condition: impl Fn(&State) -> bool,
    ) -> Option<State> {
        let holds = |counters: &BTreeMap<Workload, State>| counters.get(&workload).is_some_and(&condition);
        let counters = self.changed.wait_timeout_while(lock(&self.counters), limit, |now| !holds(now));
        let (counters, _) = counters.unwrap_or_else(PoisonError::into_inner);
        counters.get(&workload).copied().filter(&condition)
    }

    pub(super) fn counter(&self, workload: Workload) -> Option<Counter> {
        lock(&self.counters).get(&workload).map(|state| state.counter)
    }
}

/// One connection, which lives as long as its thread: the runner is never paused.
#[derive(Debug)]
pub(super) struct ResourceClient {
    stream: BufReader<TcpStream>,
    workload: Workload,
    process: u32,
}

impl ResourceClient {
    pub(super) fn open(address: &str, workload: Workload, process: u32) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), workload, process })
    }

    /// Whether the worker is to go on.
    pub(super) fn goes_on(&mut self) -> bool {
        matches!(self.ask(Access::GoOn), Ok(Some(_)))
    }

    /// The value; `None`: the token was refused.
    pub(super) fn read(&mut self, token: Option<u64>) -> Result<Option<u64>> {
        self.ask(Access::Read { token: token.unwrap_or_default() })
    }

    /// Whether the value was accepted.
    pub(super) fn write(&mut self, token: Option<u64>, value: u64) -> Result<bool> {
        Ok(self.ask(Access::Write { token: token.unwrap_or_default(), value })?.is_some())
    }

    fn ask(&mut self, access: Access) -> Result<Option<u64>> {
        let request = Request { workload: self.workload, process: self.process, access };
        let line = serde_json::to_string(&request)? + "\n";
        self.stream.get_mut().write_all(line.as_bytes())?;
        let mut answer = String::new();
        self.stream.read_line(&mut answer)?;
        Ok(serde_json::from_str(&answer)?)
    }
}
