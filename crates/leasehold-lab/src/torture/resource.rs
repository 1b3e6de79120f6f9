//! [`Resource`]: a counter a lane, behind a door that looks at fencing tokens as its lane says.
//!
//! It lives in the director, which never pauses, and answers one line to each line. It also knows who is between a read
//! and a write, so that the nemesis can strike where it hurts.

mod door;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Condvar, Mutex, PoisonError},
    thread::{Builder, Scope},
    time::Duration,
};

use crate::check::Fenced;

use crate::torture::{
    failure::Result,
    lane::Lane,
    pace::{Pace, lock},
};

pub(crate) use door::{Answer, Door};

/// The counters of all lanes.
#[derive(Debug)]
pub(crate) struct Resource {
    listener: TcpListener,
    counters: Mutex<BTreeMap<Lane, Counter>>,
    changed: Condvar,
    /// Workers are told to stop.
    closing: Pace,
}

/// One counter.
#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    value: u64,
    /// The highest token that was presented.
    mark: u64,
    /// Who has read last and has not written since, and which read it was.
    reader: Option<Reader>,
    reads: u64,
    /// Writes that undid another.
    lost: u64,
}

/// Somebody between a read and a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reader {
    pub(crate) process: u32,
    /// Which read of the lane it was.
    pub(crate) read: u64,
}

impl Counter {
    fn read(&mut self, lane: Lane, process: u32, token: u64) -> Option<u64> {
        if lane.fenced() == Fenced::ByClaim {
            if token < self.mark {
                return None;
            }
            self.mark = token;
        }
        self.reads += 1;
        self.reader = Some(Reader { process, read: self.reads });
        Some(self.value)
    }

    fn write(&mut self, lane: Lane, process: u32, token: u64, value: u64) -> bool {
        self.reader = self.reader.filter(|reader| reader.process != process);
        if lane.needs_tokens() {
            if token < self.mark {
                return false;
            }
            self.mark = token;
        }
        self.lost += u64::from(value != self.value + 1);
        self.value = value;
        true
    }
}

impl Resource {
    pub(crate) fn open() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (counters, changed, closing) = Default::default();
        Ok(Self { listener, counters, changed, closing })
    }

    pub(crate) fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Serves until [`Self::close`].
    pub(crate) fn serve<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) -> Result<()> {
        Builder::new().name("resource".into()).spawn_scoped(scope, move || {
            for stream in self.listener.incoming().flatten() {
                if self.closing.is_over() {
                    break;
                }
                let serve = move || self.answer_all(stream);
                // Else this process has too many threads, and the worker notices.
                let _ = Builder::new().name("visitor".into()).spawn_scoped(scope, serve);
            }
        })?;
        Ok(())
    }

    /// Lets nobody in any more, when all workers are gone.
    pub(crate) fn close(&self) {
        self.closing.end();
        if let Ok(address) = self.address() {
            // The door looks up.
            let _ = TcpStream::connect(address);
        }
    }

    /// Tells whoever asks to stop.
    pub(crate) fn stop_workers(&self) {
        self.closing.end();
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

    /// `None` for what is no question.
    fn answer(&self, line: &str) -> Option<String> {
        let mut words = line.split(' ');
        let verb = words.next()?;
        if verb == "go" {
            return Some(if self.closing.is_over() { "stop\n" } else { "go\n" }.into());
        }
        let lane = Lane::named(words.next()?)?;
        let process = words.next()?.parse().ok()?;
        let mut numbers = words.map_while(|word| word.parse::<u64>().ok());
        let token = numbers.next()?;
        let mut counters = lock(&self.counters);
        let counter = counters.entry(lane).or_default();
        let answer = match verb {
            "read" => counter.read(lane, process, token),
            "write" => {
                let value = numbers.next()?;
                counter.write(lane, process, token, value).then_some(value)
            }
            _ => return None,
        };
        self.changed.notify_all();
        Some(answer.map_or("refused\n".into(), |value| format!("ok {value}\n")))
    }

    /// Waits until somebody reads, and answers who: it has not written yet, and is not about to.
    pub(crate) fn await_reader(&self, lane: Lane, limit: Duration) -> Option<Reader> {
        let before = lock(&self.counters).get(&lane).map_or(0, |counter| counter.reads);
        let reads = |counter: &Counter| counter.reads > before && counter.reader.is_some();
        self.await_counter(lane, limit, reads)?.reader
    }

    /// Waits until another has read after that reader; whether one has.
    pub(crate) fn await_next_reader(&self, lane: Lane, after: Reader, limit: Duration) -> bool {
        let other = |reader: Reader| reader.read > after.read && reader.process != after.process;
        self.await_counter(lane, limit, |counter| counter.reader.is_some_and(other)).is_some()
    }

    fn await_counter(
        &self,
        lane: Lane,
        limit: Duration,
        condition: impl Fn(&Counter) -> bool,
    ) -> Option<Counter> {
        let holds = |counters: &BTreeMap<Lane, Counter>| counters.get(&lane).is_some_and(&condition);
        let counters = self.changed.wait_timeout_while(lock(&self.counters), limit, |now| !holds(now));
        let (counters, _) = counters.unwrap_or_else(PoisonError::into_inner);
        counters.get(&lane).copied().filter(&condition)
    }

    /// Whether a write of that lane has undone another.
    pub(crate) fn has_lost(&self, lane: Lane) -> bool {
        lock(&self.counters).get(&lane).is_some_and(|counter| counter.lost > 0)
    }

    /// What a lane's counter is at.
    pub(crate) fn value(&self, lane: Lane) -> u64 {
        lock(&self.counters).get(&lane).map_or(0, |counter| counter.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_counter_refuses_the_late_from_the_claim_on_and_others_do_not() {
        let at = |lane| {
            let mut counter = Counter::default();
            assert_eq!(counter.read(lane, 1, 41), Some(0));
            assert_eq!(counter.read(lane, 2, 42), Some(0));
            let late = counter.write(lane, 1, 41, 1);
            assert!(counter.write(lane, 2, 42, 1));
            (late, counter.write(lane, 1, 41, 2), counter.read(lane, 1, 41).is_some())
        };
        assert_eq!(at(Lane::Claimed), (false, false, false));
        assert_eq!(at(Lane::Written), (true, false, true), "one lost: the late one came before the write");
        assert_eq!(at(Lane::Owner), (true, true, true));
    }
}
