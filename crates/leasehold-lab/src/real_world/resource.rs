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

use anyhow::{Result, bail};
use clap::ValueEnum;

use super::workload::Workload;
use crate::{
    resource::Counter,
    sync::{StopFlag, lock},
};

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
        for line in BufReader::new(stream).lines() {
            let answer = line.ok().and_then(|line| self.answer(&line));
            let Some(answer) = answer else { return };
            if writer.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    /// `None`: not a request.
    fn answer(&self, line: &str) -> Option<String> {
        let mut words = line.split(' ');
        let verb = words.next()?;
        if verb == "go" {
            return Some(if self.closing.is_set() { "stop\n" } else { "go\n" }.into());
        }
        let workload = Workload::from_str(words.next()?, false).ok()?;
        let process = words.next()?.parse().ok()?;
        let mut numbers = words.map_while(|word| word.parse::<u64>().ok());
        let token = numbers.next()?;
        let mut counters = lock(&self.counters);
        let state = counters.get_mut(&workload)?;
        let answer = match verb {
            "read" => state.read(process, token),
            "write" => {
                let value = numbers.next()?;
                state.write(process, token, value).then_some(value)
            }
            _ => return None,
        };
        self.changed.notify_all();
        Some(answer.map_or("refused\n".into(), |value| format!("ok {value}\n")))
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
        self.ask("go\n").is_ok_and(|answer| answer == "go")
    }

    /// The value; `None`: the token was refused.
    pub(super) fn read(&mut self, token: Option<u64>) -> Result<Option<u64>> {
        let (workload, process, token) = (self.workload.name(), self.process, token.unwrap_or_default());
        self.access(&format!("read {workload} {process} {token}\n"))
    }

    /// Whether the value was accepted.
    pub(super) fn write(&mut self, token: Option<u64>, value: u64) -> Result<bool> {
        let (workload, process, token) = (self.workload.name(), self.process, token.unwrap_or_default());
        Ok(self.access(&format!("write {workload} {process} {token} {value}\n"))?.is_some())
    }

    fn access(&mut self, request: &str) -> Result<Option<u64>> {
        let answer = self.ask(request)?;
        match answer.strip_prefix("ok ").and_then(|value| value.parse().ok()) {
            None if answer != "refused" => bail!("the resource answers {answer:?}"),
            value => Ok(value),
        }
    }

    fn ask(&mut self, request: &str) -> Result<String> {
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut answer = String::new();
        self.stream.read_line(&mut answer)?;
        Ok(answer.trim_end().into())
    }
}
