//! [`Verdict`]: what a run shows. Everything in it is counted from the shop's database and from what workers reported.

use std::path::PathBuf;

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;

use super::{
    director::Record,
    history::{History, Outcome},
    plan::{Lane, Plan},
    view::Paint,
};

/// What a run shows.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    /// Whether Leasehold's lane is exact, refused a stale write, and at least one of the others failed.
    pub(crate) proves: bool,
    /// The same in a sentence.
    pub(crate) summary: String,
    /// Items on the shelf at the beginning of each lane.
    pub(crate) stock: u32,
    /// Processes in each lane.
    pub(crate) workers: u32,
    /// Seed of the payment times.
    pub(crate) seed: u64,
    /// How long a lock lives without news of its holder, in milliseconds.
    pub(crate) ttl_ms: u128,
    /// How long it all took, in milliseconds.
    pub(crate) elapsed_ms: u128,
    /// The picture, if one was asked for.
    pub(crate) svg: Option<PathBuf>,
    /// One a lane.
    pub(crate) lanes: Vec<LaneVerdict>,
}

/// What one lane shows.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LaneVerdict {
    /// Which.
    pub(crate) lane: Lane,
    /// Items at the beginning.
    pub(crate) stock: i64,
    /// Orders in the shop's database.
    pub(crate) orders: i64,
    /// Items left by its account.
    pub(crate) stock_left: i64,
    /// Orders without an item.
    pub(crate) oversold: i64,
    /// Orders that the stock forgot.
    pub(crate) lost_updates: i64,
    /// How often somebody entered while somebody else was still in.
    pub(crate) double_holds: usize,
    /// Sales written over a stock that was not what had been read.
    pub(crate) stale_writes_accepted: usize,
    /// Writes that the shop refused.
    pub(crate) stale_writes_refused: usize,
    /// Each of these.
    pub(crate) refusals: Vec<RefusedWrite>,
    /// How long somebody was stopped, in milliseconds.
    pub(crate) paused_ms: u64,
    /// Every item sold, and each once, never two in the shop.
    pub(crate) exact: bool,
    /// How long the lane took, in milliseconds.
    pub(crate) elapsed_ms: u64,
}

/// A write that the shop refused.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RefusedWrite {
    /// By whom.
    pub(crate) worker: u32,
    /// The fencing token presented.
    pub(crate) token: u64,
    /// The highest that the shop had seen.
    pub(crate) highest_seen: u64,
    /// Which grant of the lane the token is, from 1.
    pub(crate) grant: usize,
    /// The same of the highest.
    pub(crate) highest_grant: usize,
}

impl LaneVerdict {
    /// Judges a lane.
    pub(crate) fn of(record: &Record, plan: &Plan) -> LaneVerdict {
        let history = History::of(&record.events);
        let stock = i64::from(plan.stock);
        let (orders, stock_left) = (record.count.orders, record.count.remaining);
        let oversold = (orders - stock).max(0);
        let lost_updates = orders - (stock - stock_left);
        let double_holds = history.double_holds();
        let refusals = refused_writes(&history);
        let stale = |outcome: Outcome| matches!(outcome, Outcome::Overwrote { .. });
        LaneVerdict {
            lane: record.lane,
            stock,
            orders,
            stock_left,
            oversold,
            lost_updates,
            double_holds,
            stale_writes_accepted: history.holds.iter().filter(|hold| stale(hold.outcome)).count(),
            stale_writes_refused: refusals.len(),
            refusals,
            paused_ms: history.pauses.iter().map(|it| (it.until_ns - it.from_ns) / 1_000_000).sum(),
            exact: orders == stock && stock_left == 0 && double_holds == 0,
            elapsed_ms: record.ended_ns.saturating_sub(record.began_ns) / 1_000_000,
        }
    }

    /// What the shop came to, in a line.
    pub(crate) fn result(&self) -> String {
        let seconds = self.elapsed_ms as f64 / 1e3;
        let wrong = match (self.oversold, self.lost_updates) {
            (0, 0) => "exact".to_owned(),
            (0, lost) => format!("{lost} sales forgotten"),
            (over, _) => format!("{over} oversold"),
        };
        format!("sold out after {seconds:.1} s: {} orders for {} items, {wrong}", self.orders, self.stock)
    }

    /// Why it came so.
    pub(crate) fn reason(&self) -> String {
        match self.lane {
            _ if self.exact => self.exact_reason(),
            Lane::NoLock => format!(
                "{} of {} sales wrote over a stock that others had changed since it was read.",
                self.stale_writes_accepted, self.orders
            ),
            Lane::NaiveLock => format!(
                "the lock ran out under a stopped worker, which woke, wrote what it had read long ago and deleted a \
                 lock that was not its own any more: {} times somebody came in while another was there.",
                self.double_holds
            ),
            Lane::Leasehold => "this must not be: please report it with --json and --svg.".to_owned(),
        }
    }

    fn exact_reason(&self) -> String {
        match self.refusals.first() {
            Some(refused) => format!(
                "the lease of the stopped worker {} ended, the next one entered, and the shop refused the late write: \
                 token {} < {}.",
                refused.worker, refused.grant, refused.highest_grant
            ),
            None => "nothing went wrong this time.".to_owned(),
        }
    }

    fn summary(&self) -> String {
        let title = self.lane.title();
        let wrong = match (self.oversold, self.lost_updates) {
            (0, lost) if lost != 0 => format!("{lost} sales forgotten"),
            (over, _) => format!("{over} oversold"),
        };
        match self.refusals.as_slice() {
            [] => format!("{title}: {wrong}"),
            [one] => format!(
                "{title}: {wrong}, 1 stale write refused (token {} < {})",
                one.grant, one.highest_grant
            ),
            many => format!("{title}: {wrong}, {} stale writes refused", many.len()),
        }
    }
}

fn refused_writes(history: &History) -> Vec<RefusedWrite> {
    let write = |refusal: &super::history::Refusal| RefusedWrite {
        worker: refusal.worker,
        token: refusal.fence,
        highest_seen: refusal.mark,
        grant: history.rank(refusal.fence),
        highest_grant: history.rank(refusal.mark),
    };
    history.refusals().iter().map(write).collect()
}

impl Verdict {
    /// Judges a run.
    pub(crate) fn of(
        lanes: Vec<LaneVerdict>,
        plan: &Plan,
        elapsed_ms: u128,
        svg: Option<PathBuf>,
    ) -> Verdict {
        let ours = |it: &&LaneVerdict| it.lane == Lane::Leasehold;
        let kept = lanes.iter().find(ours).is_some_and(|it| it.exact && it.stale_writes_refused > 0);
        let controls_failed = lanes.iter().any(|it| it.lane != Lane::Leasehold && !it.exact);
        let summary = lanes.iter().map(LaneVerdict::summary).collect::<Vec<_>>().join(" · ");
        Verdict {
            proves: kept && controls_failed,
            summary,
            stock: plan.stock,
            workers: plan.workers,
            seed: plan.seed,
            ttl_ms: plan.ttl.as_millis(),
            elapsed_ms,
            svg,
            lanes,
        }
    }

    /// The table and a sentence each, for people.
    pub(crate) fn text(&self, paint: Paint) -> String {
        let mut text = format!("{}\n", self.table());
        for lane in &self.lanes {
            let title =
                if lane.exact { paint.green(lane.lane.title()) } else { paint.red(lane.lane.title()) };
            text += &format!("{title}: {}\n", lane.reason());
        }
        text += &format!("\n{}\n", paint.bold(&self.summary));
        text += self.footnote();
        text
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["", "items", "orders", "oversold", "two at once", "stale writes", "seconds", ""]);
        for lane in &self.lanes {
            let stale = match (lane.stale_writes_accepted, lane.stale_writes_refused) {
                (taken, 0) => format!("{taken} taken"),
                (0, refused) => format!("{refused} refused"),
                (taken, refused) => format!("{taken} taken, {refused} refused"),
            };
            table.add_row([
                lane.lane.title().to_owned(),
                lane.stock.to_string(),
                lane.orders.to_string(),
                lane.oversold.to_string(),
                lane.double_holds.to_string(),
                stale,
                format!("{:.1}", lane.elapsed_ms as f64 / 1e3),
                if lane.exact { "✓ exact" } else { "✗ wrong" }.to_owned(),
            ]);
        }
        table
    }

    fn footnote(&self) -> &'static str {
        if self.proves {
            "Tokens are counted from the first grant here; in full they have 16 digits, see --json.\n"
        } else if self.lanes.iter().any(|it| it.lane == Lane::Leasehold && it.exact) {
            "This run proves nothing: no stale write came up, or nothing went wrong without Leasehold either. Is the \
             machine very busy? Run it again.\n"
        } else {
            "Leasehold's lane is wrong. That must not be: please report it.\n"
        }
    }
}

#[cfg(test)]
mod tests;
