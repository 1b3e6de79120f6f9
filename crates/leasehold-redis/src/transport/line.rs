//! [`Line`]: a connection that its callers drive.
//!
//! A caller writes its request itself, and replies are read inside of the waker that tokio calls when the socket is
//! readable. So no task stands between a caller and the socket, no caller waits for another one to be polled, and a
//! caller that goes away leaves nothing undone: what could not be written at once, tokio's other wake-up writes.

mod socket;

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    io, mem,
    ops::RangeInclusive,
    sync::{
        Arc, LazyLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use leasehold_core::{Error, ErrorKind, Result, store_kit::Locked};
use redis::{Cmd, Parser, Value};
use tokio::{runtime::Handle, sync::oneshot, task::yield_now};

pub(crate) use self::socket::Halves;
use self::socket::{Input, Source, Writing};
use crate::format::{Replies, as_reply};

/// The most reads of one wake-up: the runtime's other sockets and timers have their turn.
const READS_MAX: u32 = 64;
/// The most looks at the socket before a lone caller parks: some 50 µs.
const LOOKS_MAX: u32 = 100;
/// The most requests that park at once after looks in vain.
const REST_MAX: u32 = 255;
/// The number of lone requests after which one gives others the time to join it, as in a crowd: on a runtime of one thread
/// nobody else comes while lone ones are answered at once.
const LONE_MAX: u32 = 15;
/// The bytes that are written without waiting for more: a quarter of those under way, and no more than a server reads at
/// once. It works on them while others join the next piece.
const PIECE: RangeInclusive<u64> = 4 << 10..=16 << 10;

/// One connection.
pub(crate) struct Line {
    state: Locked<State>,
    reading: Locked<Reading>,
    writing: Locked<Writing>,
    readable: Waker,
    writable: Waker,
    broken: AtomicBool,
    looks: bool,
}

struct Reading {
    source: Box<dyn Source>,
    parser: Parser,
}

#[derive(Default)]
struct State {
    /// Requests that the writer has not taken yet.
    unsent: Vec<u8>,
    /// The number of bytes of all requests so far.
    appended: u64,
    /// Requests without their replies, in the order of their bytes.
    pending: VecDeque<Pending>,
    /// Whether a task is about to write, and gives others the time to join.
    gathering: bool,
    /// Whether others joined the last one that did, and how many may be written at once before another one does.
    crowd: bool,
    lone: u32,
    broken: Option<Error>,
    /// How many lone requests are still to park at once, and how many they were the last time.
    rest: (u32, u32),
}

struct Pending {
    /// The place of its first byte among those of all requests.
    begin: u64,
    missing: usize,
    replies: Replies,
    /// Without a receiver when its caller has given up.
    answer: oneshot::Sender<Result<Replies>>,
}

/// The way of a new request into the socket.
#[derive(PartialEq, Eq)]
enum Turn {
    /// Nothing is under way, and nobody has joined others lately: it is written at once.
    Alone,
    /// The first one of a crowd: it is written with those that join it.
    Gathers,
    Joins,
    /// The same, and there is enough for a write.
    Fills,
}

impl Line {
    /// `looks` unless its callers wait for several servers, of which one at a time can be looked at.
    pub(crate) fn new(halves: Halves, looks: bool) -> Arc<Line> {
        let line = Arc::new_cyclic(|line: &Weak<Line>| Line {
            state: Locked::default(),
            reading: Locked::new(Reading { source: halves.source, parser: Parser::new() }),
            writing: Locked::new(Writing::new(halves.sink)),
            readable: Waker::from(Arc::new(Readiness { line: line.clone(), wakes: Line::read })),
            writable: Waker::from(Arc::new(Readiness { line: line.clone(), wakes: |line| line.flush() })),
            broken: AtomicBool::new(false),
            looks,
        });
        // From now on tokio wakes it.
        line.read();
        line
    }

    /// Whether it has ended, as far as is known.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Whether the server has closed it, also when the runtime was too busy to notice.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_broken() || self.reading.try_lock().is_some_and(|it| matches!(it.source.peek(), Ok(0)))
    }

    /// Sends commands in one piece, and answers one reply for each.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] when the connection breaks: unknown if a byte of the commands may have left.
    ///
    /// # Cancel safety
    /// Dropping it leaves the commands sent, or to be sent at once.
    pub(crate) async fn exchange(self: &Arc<Self>, commands: &[Cmd]) -> Result<Replies> {
        let (answer, answered) = oneshot::channel();
        let turn = self.state.lock().push(commands, answer)?;
        match turn {
            Turn::Joins => {}
            Turn::Fills => self.flush(),
            Turn::Alone => {
                self.flush();
                if self.looks {
                    // Its caller may have requests to other servers to send before it looks here.
                    next_poll().await;
                    self.look();
                }
            }
            Turn::Gathers => self.gather(),
        }
        answered.await.unwrap_or_else(|_| Err(broke(&"it was closed").unknown()))
    }

    /// Writes when all who can run now have had the time to join. Not by the caller's task: that may not be polled again.
    fn gather(self: &Arc<Self>) {
        let writes = Gathering(self.clone());
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let _writes = writes;
                yield_now().await;
            });
        }
    }

    /// Writes what it can, and has the rest written when there is room.
    fn flush(&self) {
        let writing = &mut *self.writing.lock();
        while !writing.is_done() || self.state.lock().take_unsent(writing) {
            match writing.poll(&mut Context::from_waker(&self.writable)) {
                Poll::Pending => return,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return self.fail(writing, &broke(&error)),
            }
        }
    }

    /// Reads all replies that are there, and asks to be woken by the next ones.
    fn read(self: &Arc<Self>) {
        while self.receive(Some(&self.readable)) {
            if let Ok(runtime) = Handle::try_current() {
                let line = self.clone();
                runtime.spawn(async move { line.read() });
                return;
            }
        }
    }

    /// Reads the replies that are there, for a waker all of them, and otherwise once, past the runtime. Whether there may
    /// be more of which the waker will not hear.
    fn receive(&self, waker: Option<&Waker>) -> bool {
        let mut guard = self.reading.lock();
        let Reading { source, parser } = &mut *guard;
        let mut input = match waker {
            Some(waker) => Input::waking(&mut **source, Context::from_waker(waker), READS_MAX),
            None => Input::once(&mut **source),
        };
        let (mut values, mut failure) = (Vec::new(), None);
        // Up to the end of the parser's own buffer: no socket tells of what is left there.
        while failure.is_none() {
            match parser.parse_value(&mut input) {
                Ok(value) => values.push(value),
                Err(_) if input.is_blocked => break,
                Err(error) => failure = Some(broke(&error)),
            }
        }
        let has_more = input.is_exhausted();
        let mut done = Vec::new();
        let is_idle = {
            let mut state = self.state.lock();
            failure = failure.or(state.complete(values, &mut done).err());
            state.is_unsent_alone()
        };
        drop(guard);
        for Pending { replies, answer, .. } in done {
            // The caller may have given up.
            let _ = answer.send(Ok(replies));
        }
        match failure {
            Some(cause) => self.fail(&mut self.writing.lock(), &cause),
            // Nobody is sure to come back for them.
            None if is_idle => self.flush(),
            None => {}
        }
        has_more
    }

    /// Looks at the socket for a moment: to park a thread and to wake it takes longer than a server nearby.
    fn look(&self) {
        static THREADS: LazyLock<bool> =
            LazyLock::new(|| std::thread::available_parallelism().is_ok_and(|threads| threads.get() > 1));
        if !*THREADS || !self.state.lock().may_look() {
            return;
        }
        for _ in 0..LOOKS_MAX {
            let is_there = match self.reading.try_lock().map(|it| it.source.peek()) {
                Some(Err(error)) => error.kind() != io::ErrorKind::WouldBlock,
                found => found.is_some(),
            };
            if is_there {
                self.receive(None);
            }
            let mut state = self.state.lock();
            match state.pending.len() {
                0 => return state.looked(true),
                1 => std::hint::spin_loop(),
                _ => break,
            }
        }
        self.state.lock().looked(false);
    }

    /// Ends it. Requests of which no byte was written were certainly not sent.
    fn fail(&self, writing: &mut Writing, cause: &Error) {
        let pending = self.state.lock().break_off(cause);
        self.broken.store(true, Ordering::Release);
        let written = writing.end();
        for Pending { begin, answer, .. } in pending {
            let error = cause.clone();
            let _ = answer.send(Err(if begin < written { error.unknown() } else { error.not_applied() }));
        }
    }
}

impl State {
    fn push(&mut self, commands: &[Cmd], answer: oneshot::Sender<Result<Replies>>) -> Result<Turn> {
        if let Some(cause) = &self.broken {
            return Err(cause.clone().not_applied());
        }
        let (begin, before, missing) = (self.appended, self.unsent.len(), commands.len());
        commands.iter().for_each(|command| command.write_packed_command(&mut self.unsent));
        self.appended += (self.unsent.len() - before) as u64;
        let turn = self.turn();
        self.pending.push_back(Pending { begin, missing, replies: Replies::with_capacity(missing), answer });
        Ok(turn)
    }

    /// The way of the request that is about to be pending.
    fn turn(&mut self) -> Turn {
        if self.gathering {
            self.crowd = true;
            let under_way = self.appended - self.pending.front().map_or(0, |first| first.begin);
            let piece = (under_way / 4).clamp(*PIECE.start(), *PIECE.end());
            return if (self.unsent.len() as u64) < piece { Turn::Joins } else { Turn::Fills };
        }
        if self.pending.is_empty() && !self.crowd && self.lone > 0 {
            self.lone -= 1;
            return Turn::Alone;
        }
        (self.gathering, self.crowd, self.lone) = (true, false, LONE_MAX);
        Turn::Gathers
    }

    /// Gives the writer what is to be written; false if that is nothing.
    fn take_unsent(&mut self, writing: &mut Writing) -> bool {
        writing.refill(&mut self.unsent)
    }

    /// Whether requests are to be written, and none of those that were has a reply to come.
    fn is_unsent_alone(&self) -> bool {
        let taken = self.appended - self.unsent.len() as u64;
        self.pending.front().is_some_and(|first| first.begin >= taken)
    }

    /// Gives replies to the requests in their order; `done` gets those that have all of theirs.
    fn complete(&mut self, values: Vec<Value>, done: &mut Vec<Pending>) -> Result<()> {
        for value in values {
            // Nothing is subscribed here. What a server announces all the same answers nobody.
            if matches!(value, Value::Push { .. }) {
                continue;
            }
            let reply = as_reply(value);
            let Some(first) = self.pending.front_mut() else {
                // A server that has too many clients says so, and closes.
                return Err(reply.map_or_else(Error::from, |_| broke(&"a reply to no request")));
            };
            first.replies.push(reply);
            first.missing -= 1;
            if first.missing == 0 {
                done.extend(self.pending.pop_front());
            }
        }
        Ok(())
    }

    fn may_look(&mut self) -> bool {
        let may = self.rest.0 == 0;
        self.rest.0 = self.rest.0.saturating_sub(1);
        may
    }

    /// Each look in vain doubles the number of requests until the next one.
    fn looked(&mut self, found: bool) {
        let rest = if found { 0 } else { (2 * self.rest.1 + 1).min(REST_MAX) };
        self.rest = (rest, rest);
    }

    fn break_off(&mut self, cause: &Error) -> VecDeque<Pending> {
        self.broken.get_or_insert_with(|| cause.clone());
        self.unsent = Vec::new();
        mem::take(&mut self.pending)
    }
}

/// The failure of a connection; the caller knows whether anything was sent.
pub(super) fn broke(cause: &dyn fmt::Display) -> Error {
    Error::new(ErrorKind::Unreachable, format!("the connection broke: {cause}"))
}

/// Completes when its task is polled again, which is at once.
async fn next_poll() {
    let mut is_next = false;
    poll_fn(|context| {
        if mem::replace(&mut is_next, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Writes what has joined it when it ends, also with its runtime.
struct Gathering(Arc<Line>);

impl Drop for Gathering {
    fn drop(&mut self) {
        self.0.state.lock().gathering = false;
        self.0.flush();
    }
}

/// The socket is readable, or writable again.
struct Readiness {
    /// The socket, which keeps its waker, is part of the line.
    line: Weak<Line>,
    wakes: fn(&Arc<Line>),
}

impl Wake for Readiness {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(line) = self.line.upgrade() {
            (self.wakes)(&line);
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("broken", &self.is_broken()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
