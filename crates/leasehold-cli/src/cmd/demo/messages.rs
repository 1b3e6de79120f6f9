//! [`Messages`]: one line of text for each event that matters.

use super::{
    config::{Config, Strategy},
    event::{Event, Kind},
};

/// Turns the events of one round into text.
pub(super) struct Messages {
    strategy: Strategy,
    began_ns: u64,
    /// The worker that was stopped, until it has left the shop again.
    stopped: Option<u32>,
    resumed: bool,
    /// Another worker has entered while one was stopped.
    overtaken: bool,
    /// Tokens granted so far, ascending.
    fences: Vec<u64>,
}

impl Messages {
    /// Messages for one round.
    pub(super) fn new(strategy: Strategy) -> Self {
        let fences = Vec::new();
        Messages { strategy, began_ns: 0, stopped: None, resumed: false, overtaken: false, fences }
    }

    /// The strategy of the round.
    pub(super) fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// The title of a round.
    pub(super) fn title(strategy: Strategy, config: &Config) -> String {
        let number = Strategy::ALL.iter().position(|it| *it == strategy).map_or(0, |index| index + 1);
        let (count, title, method) = (Strategy::ALL.len(), strategy.title(), strategy.method());
        let Config { workers, stock, .. } = config;
        format!("{number}/{count} {title}: {workers} processes sell {stock} items; {method}")
    }

    /// Sets the start of the sale.
    pub(super) fn start(&mut self, began_ns: u64) {
        self.began_ns = began_ns;
    }

    /// The message of an event, if it has one.
    pub(super) fn message(&mut self, event: &Event) -> Option<String> {
        let worker = event.worker;
        let text = match event.kind {
            Kind::Entered { fence } => self.entered(worker, fence)?,
            Kind::Paused => {
                self.stopped = Some(worker);
                format!("worker {worker} has read the stock and is stopped before it writes (SIGSTOP)")
            }
            Kind::Resumed => {
                self.resumed = true;
                format!("worker {worker} continues (SIGCONT)")
            }
            Kind::LeaseLost { deadline_ns, writes_anyway } => {
                let ago_ms = event.at_ns.saturating_sub(deadline_ns) / 1_000_000;
                let reaction = if writes_anyway {
                    "it writes anyway, as a client without a check would"
                } else {
                    "it does not write"
                };
                format!("the lease of worker {worker} reports that it ended {ago_ms} ms ago; {reaction}")
            }
            Kind::Sold { read, found } if self.resumed && self.stopped == Some(worker) => {
                let forgotten = read - found;
                format!(
                    "worker {worker} writes a stock of {} over {found}: {forgotten} sales are lost",
                    read - 1
                )
            }
            Kind::Refused { fence, mark } => {
                let (low, high) = (rank(&self.fences, fence), rank(&self.fences, mark));
                format!("the shop refuses the write of worker {worker}: token {low} < {high}")
            }
            Kind::Left if self.resumed && self.stopped == Some(worker) => {
                self.stopped = None;
                return None;
            }
            _ => return None,
        };
        let seconds = event.at_ns.saturating_sub(self.began_ns) as f64 / 1e9;
        Some(format!("  {seconds:5.2} s {text}"))
    }

    /// A message for the first worker that enters while another is stopped.
    fn entered(&mut self, worker: u32, fence: Option<u64>) -> Option<String> {
        self.fences.extend(fence);
        let stopped =
            self.stopped.filter(|stopped| *stopped != worker && !self.resumed && !self.overtaken)?;
        self.overtaken = true;
        Some(match (self.strategy, fence) {
            (Strategy::Leasehold, Some(fence)) => {
                let rank = rank(&self.fences, fence);
                format!("worker {worker} enters with token {rank}: the lease of worker {stopped} has ended")
            }
            (Strategy::NaiveLock, _) => {
                format!("worker {worker} enters: the lock of worker {stopped} has expired")
            }
            _ => format!("worker {worker} goes on selling"),
        })
    }
}

/// The number of a grant in its round, from 1: a fencing token itself has 16 digits.
pub(super) fn rank(ascending: &[u64], fence: u64) -> usize {
    ascending.partition_point(|other| *other < fence) + 1
}
