//! [`History`]: the events of a lane as holds, waits and pauses.

use super::event::{Event, Kind};

/// A stretch of time of one worker, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    /// Whose.
    pub(crate) worker: u32,
    /// Its first moment.
    pub(crate) from_ns: u64,
    /// The moment after its last.
    pub(crate) until_ns: u64,
}

/// What came of a hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// Nothing: the shelf was empty, or the lease was lost in time.
    Nothing,
    /// A sale, written over a stock that was what had been read.
    Sold,
    /// A sale, written over a stock that others had changed in between.
    Overwrote {
        /// The stock that was read.
        read: i64,
        /// The stock that was found.
        found: i64,
    },
    /// The shop refused the sale.
    Refused(Refusal),
}

/// A write that the shop refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    /// By whom.
    pub(crate) worker: u32,
    /// When.
    pub(crate) at_ns: u64,
    /// The token presented.
    pub(crate) fence: u64,
    /// The highest that the shop had seen.
    pub(crate) mark: u64,
}

/// From when to when a worker believed that it held the shop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hold {
    /// When; a lost lease ends at its deadline.
    pub(crate) span: Span,
    /// The fencing token.
    pub(crate) fence: Option<u64>,
    /// What came of it.
    pub(crate) outcome: Outcome,
    /// When that came, which is later than the end of a lost lease.
    pub(crate) wrote_ns: Option<u64>,
    /// Whether the lease was lost.
    pub(crate) lost: bool,
}

/// The stock as somebody wrote it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Written {
    /// When.
    pub(crate) at_ns: u64,
    /// How much.
    pub(crate) stock: i64,
}

/// The events of a lane in another order: by what they mean.
#[derive(Clone, Default, Debug)]
pub(crate) struct History {
    /// In the order of their ends.
    pub(crate) holds: Vec<Hold>,
    /// In the order of their ends.
    pub(crate) waits: Vec<Span>,
    /// In the order of their ends.
    pub(crate) pauses: Vec<Span>,
    /// In the order of writing.
    pub(crate) stock: Vec<Written>,
}

#[derive(Clone, Copy, Default)]
struct Desk {
    waiting_ns: Option<u64>,
    paused_ns: Option<u64>,
    hold: Option<Hold>,
}

impl History {
    /// Reads the events of one lane.
    pub(crate) fn of(events: &[Event]) -> History {
        let mut history = History::default();
        let most = events.iter().map(|event| event.worker).max().unwrap_or(0);
        let mut desks = vec![Desk::default(); most as usize + 1];
        for event in events {
            history.take(event, &mut desks[event.worker as usize]);
        }
        history
    }

    /// How often somebody entered while somebody else was still in.
    pub(crate) fn double_holds(&self) -> usize {
        let others_in = |hold: &&Hold| {
            self.holds.iter().any(|other| {
                let (begin, other_span) = (hold.span.from_ns, other.span);
                let earlier = (other_span.from_ns, other_span.worker) < (begin, hold.span.worker);
                earlier && other_span.worker != hold.span.worker && begin < other_span.until_ns
            })
        };
        self.holds.iter().filter(others_in).count()
    }

    /// The writes that the shop refused.
    pub(crate) fn refusals(&self) -> Vec<Refusal> {
        let refused = |hold: &Hold| if let Outcome::Refused(it) = hold.outcome { Some(it) } else { None };
        self.holds.iter().filter_map(refused).collect()
    }

    /// Which grant of the lane a token is, from 1: tokens themselves have 16 digits.
    pub(crate) fn rank(&self, fence: u64) -> usize {
        let mut fences: Vec<u64> = self.holds.iter().filter_map(|hold| hold.fence).collect();
        fences.sort_unstable();
        fences.dedup();
        fences.partition_point(|&other| other < fence) + 1
    }

    fn take(&mut self, event: &Event, desk: &mut Desk) {
        let (worker, now) = (event.worker, event.at_ns);
        let span = |from_ns: u64| Span { worker, from_ns, until_ns: now };
        match event.kind {
            Kind::Ready | Kind::AboutToWrite { .. } | Kind::SoldOut | Kind::Failed { .. } => {}
            Kind::Waiting => desk.waiting_ns = Some(now),
            Kind::Entered { fence } => {
                self.waits.extend(desk.waiting_ns.take().map(span));
                desk.hold = Some(Hold {
                    span: span(now),
                    fence,
                    outcome: Outcome::Nothing,
                    wrote_ns: None,
                    lost: false,
                });
            }
            Kind::Paused => desk.paused_ns = Some(now),
            Kind::Woken => self.pauses.extend(desk.paused_ns.take().map(span)),
            Kind::LeaseLost { deadline_ns, .. } => desk.lose(deadline_ns),
            Kind::Sold { read, found } => {
                self.stock.push(Written { at_ns: now, stock: read - 1 });
                let overwrote = Outcome::Overwrote { read, found };
                desk.wrote(now, if read == found { Outcome::Sold } else { overwrote });
            }
            Kind::Refused { fence, mark } => {
                desk.wrote(now, Outcome::Refused(Refusal { worker, at_ns: now, fence, mark }));
            }
            Kind::Left => self.holds.extend(desk.leave(now)),
        }
    }
}

impl Desk {
    fn lose(&mut self, deadline_ns: u64) {
        if let Some(hold) = &mut self.hold {
            (hold.span.until_ns, hold.lost) = (deadline_ns, true);
        }
    }

    fn wrote(&mut self, now: u64, outcome: Outcome) {
        if let Some(hold) = &mut self.hold {
            (hold.outcome, hold.wrote_ns) = (outcome, Some(now));
        }
    }

    fn leave(&mut self, now: u64) -> Option<Hold> {
        let mut hold = self.hold.take()?;
        if !hold.lost {
            hold.span.until_ns = now;
        }
        Some(hold)
    }
}

#[cfg(test)]
mod tests;
