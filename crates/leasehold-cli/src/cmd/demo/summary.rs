//! [`Summary`]: the result of a demo, counted in the shop's database and in the events of the workers.

use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    config::{Config, Strategy},
    event::{Event, Kind},
    messages::rank,
    round::Round,
};
use crate::duration::millis;

/// The result of a demo.
pub(super) struct Summary {
    /// Leasehold kept the stock exact and refused a late write, and at least one other round failed.
    pub(super) proves: bool,
    /// The result in one line.
    pub(super) line: String,
    config: Config,
    elapsed: Duration,
    rounds: Vec<(Round, RoundSummary)>,
}

/// The result of one round.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RoundSummary {
    pub(super) strategy: Strategy,
    /// Items at the start.
    pub(super) stock: i64,
    /// Orders in the database.
    pub(super) orders: i64,
    /// Items left in the database.
    pub(super) stock_left: i64,
    /// Orders without an item.
    pub(super) oversold: i64,
    /// Orders that the stock does not account for.
    pub(super) lost_updates: i64,
    /// Number of times that a worker entered while another one held the lock.
    pub(super) double_holds: usize,
    /// Sales written over a stock other than the one that was read.
    pub(super) stale_writes_accepted: usize,
    /// Writes that the shop refused.
    pub(super) stale_writes_refused: usize,
    pub(super) refusals: Vec<RefusedWrite>,
    /// Duration of the pause.
    pub(super) paused_ms: u64,
    /// Every item was sold once, and the lock had one holder at a time.
    pub(super) exact: bool,
    pub(super) elapsed_ms: u64,
}

/// A write that the shop refused.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RefusedWrite {
    pub(super) worker: u32,
    /// The token presented.
    pub(super) token: u64,
    /// The highest token that the shop had seen.
    pub(super) highest_seen: u64,
    /// Number of the token's grant in this round, from 1.
    pub(super) grant: usize,
    /// Number of the highest token's grant.
    pub(super) highest_grant: usize,
}

impl RoundSummary {
    /// Counts one round.
    pub(super) fn new(round: &Round, config: &Config) -> RoundSummary {
        let (stock, events) = (i64::from(config.stock), &round.events);
        let (orders, stock_left) = (round.count.orders, round.count.remaining);
        let double_holds = double_holds(events);
        let refusals = refused_writes(events);
        let stale = |event: &&Event| matches!(event.kind, Kind::Sold { read, found } if read != found);
        RoundSummary {
            strategy: round.strategy,
            stock,
            orders,
            stock_left,
            oversold: (orders - stock).max(0),
            lost_updates: orders - (stock - stock_left),
            double_holds,
            stale_writes_accepted: events.iter().filter(stale).count(),
            stale_writes_refused: refusals.len(),
            refusals,
            paused_ms: paused_ns(events) / 1_000_000,
            exact: orders == stock && stock_left == 0 && double_holds == 0,
            elapsed_ms: round.ended_ns.saturating_sub(round.began_ns) / 1_000_000,
        }
    }

    /// The result in one line.
    pub(super) fn result(&self) -> String {
        let seconds = self.elapsed_ms as f64 / 1e3;
        let error = if self.exact { "exact".to_string() } else { self.error() };
        format!("sold out after {seconds:.1} s: {} orders for {} items, {error}", self.orders, self.stock)
    }

    fn error(&self) -> String {
        match (self.oversold, self.lost_updates) {
            (0, lost) if lost != 0 => format!("{lost} sales lost"),
            (over, _) => format!("{over} oversold"),
        }
    }

    fn summary(&self) -> String {
        let (title, error) = (self.strategy.title(), self.error());
        match self.refusals.as_slice() {
            [] => format!("{title}: {error}"),
            [one] => {
                let (low, high) = (one.grant, one.highest_grant);
                format!("{title}: {error}, 1 stale write refused (token {low} < {high})")
            }
            many => format!("{title}: {error}, {} stale writes refused", many.len()),
        }
    }
}

impl Summary {
    /// Sums up all rounds.
    pub(super) fn new(rounds: Vec<(Round, RoundSummary)>, config: &Config, elapsed: Duration) -> Summary {
        let summaries = || rounds.iter().map(|(_, summary)| summary);
        let proves = summaries().any(|it| it.strategy != Strategy::Leasehold && !it.exact)
            && summaries()
                .any(|it| it.strategy == Strategy::Leasehold && it.exact && it.stale_writes_refused > 0);
        let line = summaries().map(RoundSummary::summary).collect::<Vec<_>>().join(" · ");
        Summary { proves, line, config: config.clone(), elapsed, rounds }
    }

    /// The result and the history of all rounds.
    pub(super) fn to_json(&self) -> Value {
        let rounds = self.rounds.iter().map(|(round, summary)| {
            let mut json = json!(summary);
            json["began_ns"] = json!(round.began_ns);
            json["ended_ns"] = json!(round.ended_ns);
            json["events"] = json!(round.events);
            json
        });
        json!({
            "proves": self.proves,
            "summary": self.line,
            "stock": self.config.stock,
            "workers": self.config.workers,
            "seed": self.config.seed,
            "ttl_ms": millis(self.config.ttl),
            "elapsed_ms": millis(self.elapsed),
            "rounds": rounds.collect::<Vec<Value>>(),
        })
    }

    /// A table of the rounds, and the result.
    pub(super) fn text(&self) -> String {
        format!("{}\n\n{}\n{}\n", self.table(), self.line, self.footnote())
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header([
            "ROUND",
            "ITEMS",
            "ORDERS",
            "OVERSOLD",
            "DOUBLE HOLDS",
            "STALE WRITES",
            "SECONDS",
            "",
        ]);
        for (_, round) in &self.rounds {
            let (accepted, refused) = (round.stale_writes_accepted, round.stale_writes_refused);
            table.add_row([
                round.strategy.title().to_string(),
                round.stock.to_string(),
                round.orders.to_string(),
                round.oversold.to_string(),
                round.double_holds.to_string(),
                format!("{accepted} accepted, {refused} refused"),
                format!("{:.1}", round.elapsed_ms as f64 / 1e3),
                if round.exact { "✓ exact" } else { "✗ wrong" }.to_string(),
            ]);
        }
        table
    }

    fn footnote(&self) -> &'static str {
        let is_exact =
            |(round, summary): &(Round, RoundSummary)| round.strategy == Strategy::Leasehold && summary.exact;
        if self.proves {
            "Tokens are numbered from the first grant of the round; --json has them in full."
        } else if self.rounds.iter().any(is_exact) {
            "This run proves nothing: no stale write occurred, or nothing failed without Leasehold. The machine may be \
             too busy; run the demo again."
        } else {
            "The Leasehold round is wrong. Please report this with the output of --json."
        }
    }
}

/// The number of times that a worker entered while another one believed that it held the lock. A lost lease ends at its
/// deadline.
fn double_holds(events: &[Event]) -> usize {
    let holds = holds(events);
    let is_double = |hold: &&Hold| {
        holds.iter().any(|other| {
            let is_earlier = (other.from_ns, other.worker) < (hold.from_ns, hold.worker);
            is_earlier && other.worker != hold.worker && hold.from_ns < other.until_ns
        })
    };
    holds.iter().filter(is_double).count()
}

/// The time in which a worker believed that it held the lock.
struct Hold {
    worker: u32,
    from_ns: u64,
    until_ns: u64,
}

fn holds(events: &[Event]) -> Vec<Hold> {
    let mut holds: Vec<Hold> = Vec::new();
    let last = |holds: &mut [Hold], worker: u32, until_ns: u64| {
        if let Some(hold) = holds.iter_mut().rfind(|hold| hold.worker == worker) {
            hold.until_ns = hold.until_ns.min(until_ns);
        }
    };
    for event in events {
        let (worker, at_ns) = (event.worker, event.at_ns);
        match event.kind {
            Kind::Entered { .. } => holds.push(Hold { worker, from_ns: at_ns, until_ns: u64::MAX }),
            Kind::LeaseLost { deadline_ns, .. } => last(&mut holds, worker, deadline_ns),
            Kind::Left => last(&mut holds, worker, at_ns),
            _ => {}
        }
    }
    holds
}

fn refused_writes(events: &[Event]) -> Vec<RefusedWrite> {
    let fence = |event: &Event| match event.kind {
        Kind::Entered { fence } => fence,
        _ => None,
    };
    let mut fences: Vec<u64> = events.iter().filter_map(fence).collect();
    fences.sort_unstable();
    let refused = |event: &Event| {
        let Kind::Refused { fence: token, mark: highest_seen } = event.kind else { return None };
        let (grant, highest_grant) = (rank(&fences, token), rank(&fences, highest_seen));
        Some(RefusedWrite { worker: event.worker, token, highest_seen, grant, highest_grant })
    };
    events.iter().filter_map(refused).collect()
}

fn paused_ns(events: &[Event]) -> u64 {
    let time = |kind: Kind| events.iter().find(|event| event.kind == kind).map(|event| event.at_ns);
    let (paused, resumed) = (time(Kind::Paused), time(Kind::Resumed));
    resumed.unwrap_or_default().saturating_sub(paused.unwrap_or_default())
}
