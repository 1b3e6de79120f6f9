//! The output of `leasehold demo --json`, and the holds, waits and pauses in it.

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Demo {
    /// The result in one line.
    pub(crate) summary: String,
    /// Items at the start of each round.
    pub(crate) stock: u32,
    /// Worker processes in each round.
    pub(crate) workers: u32,
    pub(crate) ttl_ms: u64,
    pub(crate) rounds: Vec<Round>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Round {
    pub(crate) strategy: Strategy,
    pub(crate) orders: i64,
    pub(crate) oversold: i64,
    /// Whether every item was sold once.
    pub(crate) exact: bool,
    pub(crate) began_ns: u64,
    pub(crate) ended_ns: u64,
    pub(crate) events: Vec<Event>,
}

/// The kind of mutual exclusion between the workers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Strategy {
    NoLock,
    NaiveLock,
    Leasehold,
}

#[derive(Clone, PartialEq, Debug, Deserialize)]
pub(crate) struct Event {
    pub(crate) at_ns: u64,
    pub(crate) worker: u32,
    #[serde(flatten)]
    pub(crate) kind: Kind,
}

#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Kind {
    Waiting,
    Entered {
        fence: Option<u64>,
    },
    Paused,
    Resumed,
    LeaseLost {
        deadline_ns: u64,
    },
    Sold {
        read: i64,
        found: i64,
    },
    Refused {
        fence: u64,
        mark: u64,
    },
    Left,
    #[serde(other)]
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub(crate) worker: u32,
    pub(crate) from_ns: u64,
    pub(crate) until_ns: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// No write: no item was left, or the loss of the lease was noticed in time.
    Nothing,
    /// A sale over the stock that was read.
    Sold,
    /// A sale over the stock `found`, which others had changed since it was `read`.
    Overwrote { read: i64, found: i64 },
    /// A write with the token `fence`, refused because of the higher token `mark`.
    Refused { fence: u64, mark: u64 },
}

/// The period in which a worker believed that it held the lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hold {
    /// The period; a lost lease ends at its deadline.
    pub(crate) span: Span,
    pub(crate) fence: Option<u64>,
    pub(crate) outcome: Outcome,
    /// Time of the write, which is after the end of a lost lease.
    pub(crate) wrote_ns: Option<u64>,
    pub(crate) lost: bool,
}

/// The events of one round by their meaning.
#[derive(Clone, Default, Debug)]
pub(crate) struct History {
    pub(crate) holds: Vec<Hold>,
    pub(crate) waits: Vec<Span>,
    pub(crate) pauses: Vec<Span>,
    /// Time and value of each write of the stock.
    pub(crate) stock: Vec<(u64, i64)>,
}

/// The unfinished periods of one worker.
#[derive(Clone, Copy, Default)]
struct Open {
    waiting_ns: Option<u64>,
    paused_ns: Option<u64>,
    hold: Option<Hold>,
}

impl History {
    /// Groups the events of one round.
    pub(crate) fn new(events: &[Event]) -> History {
        let mut history = History::default();
        let workers = events.iter().map(|event| event.worker).max().unwrap_or(0);
        let mut open = vec![Open::default(); workers as usize + 1];
        for event in events {
            history.add(event, &mut open[event.worker as usize]);
        }
        history
    }

    /// The number of a grant in its round, from 1: a fencing token itself has 16 digits.
    pub(crate) fn rank(&self, fence: u64) -> usize {
        let mut fences: Vec<u64> = self.holds.iter().filter_map(|hold| hold.fence).collect();
        fences.sort_unstable();
        fences.partition_point(|&other| other < fence) + 1
    }

    fn add(&mut self, event: &Event, open: &mut Open) {
        let (worker, now) = (event.worker, event.at_ns);
        let span = |from_ns: u64| Span { worker, from_ns, until_ns: now };
        match event.kind {
            Kind::Other => {}
            Kind::Waiting => open.waiting_ns = Some(now),
            Kind::Entered { fence } => {
                self.waits.extend(open.waiting_ns.take().map(span));
                let outcome = Outcome::Nothing;
                open.hold = Some(Hold { span: span(now), fence, outcome, wrote_ns: None, lost: false });
            }
            Kind::Paused => open.paused_ns = Some(now),
            Kind::Resumed => self.pauses.extend(open.paused_ns.take().map(span)),
            Kind::LeaseLost { deadline_ns } => {
                open.change(|hold| (hold.span.until_ns, hold.lost) = (deadline_ns, true));
            }
            Kind::Sold { read, found } => {
                self.stock.push((now, read - 1));
                let overwrote = Outcome::Overwrote { read, found };
                open.wrote(now, if read == found { Outcome::Sold } else { overwrote });
            }
            Kind::Refused { fence, mark } => open.wrote(now, Outcome::Refused { fence, mark }),
            Kind::Left => {
                open.change(|hold| hold.span.until_ns = if hold.lost { hold.span.until_ns } else { now });
                self.holds.extend(open.hold.take());
            }
        }
    }
}

impl Open {
    fn change<T>(&mut self, change: impl FnOnce(&mut Hold) -> T) {
        self.hold.as_mut().map(change);
    }

    fn wrote(&mut self, now: u64, outcome: Outcome) {
        self.change(|hold| (hold.outcome, hold.wrote_ns) = (outcome, Some(now)));
    }
}
