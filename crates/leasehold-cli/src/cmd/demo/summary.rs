//! [`Summary`]: the result of a demo, counted in the shop's database and in the events of the workers.

use serde::Serialize;

use super::{
    config::{Config, Strategy},
    event::{Event, Kind},
    shop::Count,
};

/// The result of a demo.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    /// Leasehold kept the stock exact and refused a late write, and at least one other round failed.
    pub(super) proves: bool,
    pub(super) summary: String,
    #[serde(flatten)]
    pub(super) config: Config,
    pub(super) elapsed_ms: u64,
    pub(super) rounds: Vec<Round>,
}

/// The result and the history of one round.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Round {
    pub(super) strategy: Strategy,
    pub(super) orders: i64,
    pub(super) stock_left: i64,
    /// Orders without an item.
    pub(super) oversold: i64,
    /// Orders that the stock does not account for.
    pub(super) lost_updates: i64,
    pub(super) double_holds: usize,
    /// Sales written over a stock other than the one that was read.
    pub(super) stale_writes_accepted: usize,
    pub(super) refusals: Vec<Event>,
    pub(super) paused_ms: u64,
    /// Every item was sold once, and the lock had one holder at a time.
    pub(super) exact: bool,
    pub(super) began_ns: u64,
    pub(super) ended_ns: u64,
    pub(super) events: Vec<Event>,
}

impl Round {
    pub(super) fn new(
        strategy: Strategy,
        config: &Config,
        began_ns: u64,
        events: Vec<Event>,
        count: Count,
    ) -> Round {
        let (stock, orders, stock_left) = (i64::from(config.stock), count.orders, count.remaining);
        let double_holds = double_holds(&events);
        let refused = |event: &&Event| matches!(event.kind, Kind::Refused { .. });
        let stale = |event: &&Event| matches!(event.kind, Kind::Sold { read, found } if read != found);
        Round {
            strategy,
            orders,
            stock_left,
            oversold: (orders - stock).max(0),
            lost_updates: orders - (stock - stock_left),
            double_holds,
            stale_writes_accepted: events.iter().filter(stale).count(),
            refusals: events.iter().filter(refused).cloned().collect(),
            paused_ms: paused_ns(&events) / 1_000_000,
            exact: orders == stock && stock_left == 0 && double_holds == 0,
            began_ns,
            ended_ns: events.last().map_or(began_ns, |event| event.at_ns),
            events,
        }
    }

    pub(super) fn result(&self) -> String {
        let seconds = self.ended_ns.saturating_sub(self.began_ns) as f64 / 1e9;
        let (orders, stale, double) = (self.orders, self.stale_writes_accepted, self.double_holds);
        let error = if self.exact { "exact".to_string() } else { self.error() };
        format!(
            "sold out after {seconds:.1} s: {orders} orders, {error} ({stale} stale writes accepted, {double} double \
             holds)"
        )
    }

    fn error(&self) -> String {
        match (self.oversold, self.lost_updates) {
            (0, lost) if lost != 0 => format!("{lost} sales lost"),
            (over, _) => format!("{over} oversold"),
        }
    }

    fn summary(&self) -> String {
        let result = format!("{}: {}", self.strategy.titles().0, self.error());
        match self.refusals.first().map(|event| &event.kind) {
            Some(Kind::Refused { fence, mark }) => {
                let count = self.refusals.len();
                format!("{result}, {count} stale write refused (token {fence} < {mark})")
            }
            _ => result,
        }
    }

    fn is_kept(&self) -> bool {
        self.strategy == Strategy::Leasehold && self.exact
    }
}

impl Summary {
    pub(super) fn new(rounds: Vec<Round>, config: Config, elapsed_ms: u64) -> Summary {
        let has_control = rounds.iter().any(|round| round.strategy != Strategy::Leasehold && !round.exact);
        let has_refusal = rounds.iter().any(|round| round.is_kept() && !round.refusals.is_empty());
        let summary = rounds.iter().map(Round::summary).collect::<Vec<_>>().join(" · ");
        Summary { proves: has_control && has_refusal, summary, config, elapsed_ms, rounds }
    }

    pub(super) fn text(&self) -> String {
        let note = if self.proves {
            ""
        } else if self.rounds.iter().any(Round::is_kept) {
            "This run proves nothing: no stale write occurred, or nothing failed without Leasehold. The machine may be \
             too busy; run the demo again.\n"
        } else {
            "The Leasehold round is wrong. Please report this with the output of --json.\n"
        };
        format!("{}\n{note}", self.summary)
    }
}

/// The number of times that a worker entered while another one believed that it held the lock.
fn double_holds(events: &[Event]) -> usize {
    let holds = holds(events);
    let is_double = |(worker, from_ns, _): &&Hold| {
        holds.iter().any(|(other, other_from_ns, until_ns)| {
            let is_earlier = (other_from_ns, other) < (from_ns, worker);
            is_earlier && other != worker && from_ns < until_ns
        })
    };
    holds.iter().filter(is_double).count()
}

/// A worker, and the start and the end of the time in which it believed that it held the lock.
type Hold = (u32, u64, u64);

/// All holds. A lost lease ends at its deadline.
fn holds(events: &[Event]) -> Vec<Hold> {
    let mut holds: Vec<Hold> = Vec::new();
    for event in events {
        let end_ns = match event.kind {
            Kind::Entered { .. } => {
                holds.push((event.worker, event.at_ns, u64::MAX));
                continue;
            }
            Kind::LeaseLost { deadline_ns, .. } => deadline_ns,
            Kind::Left => event.at_ns,
            _ => continue,
        };
        if let Some((_, _, until_ns)) = holds.iter_mut().rfind(|(worker, _, _)| *worker == event.worker) {
            *until_ns = end_ns.min(*until_ns);
        }
    }
    holds
}

fn paused_ns(events: &[Event]) -> u64 {
    let time = |kind: Kind| events.iter().find(|event| event.kind == kind).map(|event| event.at_ns);
    let (paused, resumed) = (time(Kind::Paused), time(Kind::Resumed));
    resumed.unwrap_or_default().saturating_sub(paused.unwrap_or_default())
}
