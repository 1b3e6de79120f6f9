//! [`Panel`]: one lane of the picture.

use leasehold_lab::svg::{Anchor, Canvas};

use super::{GAP, LEFT, MARGIN, RIGHT, Scale};
use crate::cmd::demo::{
    director::Record,
    history::{History, Hold, Outcome, Span},
    plan::{Lane, Plan},
    verdict::LaneVerdict,
};

/// Title, result and notes.
const HEAD: f64 = 48.0;
/// From one row to the next.
const ROW: f64 = 21.0;
/// A bar in a row.
const BAR: f64 = 17.0;
/// The strip that shows when two were in.
const STRIP: f64 = 16.0;
/// The stock.
const STOCK: f64 = 38.0;
/// A bar narrower than this has no room for its token.
const TOKEN_WIDTH_MIN: f64 = 12.0;
/// A pause shorter than this has no room for its length.
const PAUSE_WIDTH_MIN: f64 = 100.0;
/// A stretch shorter than this has no room for the long explanation.
const OVERSOLD_WIDTH_MIN: f64 = 330.0;
/// The least that can be seen.
const WIDTH_MIN: f64 = 1.2;

/// How high a panel is.
pub(crate) fn height(workers: u32) -> f64 {
    HEAD + f64::from(workers) * ROW + STRIP + STOCK
}

/// One lane of the picture.
pub(crate) struct Panel<'p> {
    record: &'p Record,
    verdict: &'p LaneVerdict,
    plan: &'p Plan,
    history: History,
    scale: Scale,
    top: f64,
}

impl<'p> Panel<'p> {
    /// A panel that begins at `top`.
    pub(crate) fn new(
        record: &'p Record,
        verdict: &'p LaneVerdict,
        plan: &'p Plan,
        scale: Scale,
        top: f64,
    ) -> Self {
        Panel { record, verdict, plan, history: History::of(&record.events), scale, top }
    }

    /// Draws it.
    pub(crate) fn draw(&self, canvas: &mut Canvas) {
        self.title(canvas);
        self.rows(canvas);
        self.oversold(canvas);
        self.notes(canvas);
        for span in &self.history.waits {
            self.bar(canvas, "waits", span, BAR);
        }
        for hold in &self.history.holds {
            self.hold(canvas, hold);
        }
        for pause in &self.history.pauses {
            self.pause(canvas, pause);
        }
        self.strip(canvas);
        self.stock(canvas);
        if let Some((x, hold)) = self.late_write().filter(|(_, hold)| is_refused(hold)) {
            canvas.cross((x, self.row(hold.span.worker) + BAR / 2.0));
        }
    }

    fn title(&self, canvas: &mut Canvas) {
        let y = self.top + 14.0;
        canvas.line("rule", (MARGIN, self.top - GAP / 2.0 + 3.0), (RIGHT, self.top - GAP / 2.0 + 3.0));
        let title = capital(self.record.lane.title());
        canvas.text("lane", (MARGIN, y), Anchor::Start, &title);
        canvas.text("quiet", (LEFT + 18.0, y), Anchor::Start, self.record.lane.method());
        let (class, mark) = if self.verdict.exact { ("good", '✓') } else { ("bad", '✗') };
        let (orders, stock) = (self.verdict.orders, self.verdict.stock);
        let result = match self.verdict.oversold {
            0 => format!("{mark} {orders} orders for {stock} items"),
            over => format!("{mark} {orders} orders for {stock} items: {over} oversold"),
        };
        canvas.text(&format!("lane {class}"), (RIGHT, y), Anchor::End, &result);
    }

    fn rows(&self, canvas: &mut Canvas) {
        for worker in 1..=self.plan.workers {
            let y = self.row(worker);
            canvas.rect("track", [LEFT, y, RIGHT - LEFT, BAR], 2.0);
            canvas.text("quiet", (LEFT - 10.0, y + 13.0), Anchor::End, &format!("worker {worker}"));
        }
        for tick in self.scale.ticks() {
            let x = self.scale.place(tick);
            canvas.line("grid", (x, self.row(1)), (x, self.top + height(self.plan.workers)));
        }
    }

    /// From the first order on that there was no item for.
    fn oversold(&self, canvas: &mut Canvas) {
        let Some(first) = self.history.stock.get(self.plan.stock as usize) else { return };
        let (x, y) = (self.at(first.at_ns), self.row(1) - 2.0);
        let bottom = self.top + height(self.plan.workers);
        let end = self.at(self.record.ended_ns);
        canvas.rect("oversold", [x, y, end - x, bottom - y], 0.0);
        canvas.line("edge", (x, y), (x, bottom));
        let text = if end - x > OVERSOLD_WIDTH_MIN {
            "all items are sold; every order from here on is too many"
        } else {
            "oversold"
        };
        canvas.text("small bad", (x + 5.0, bottom - STOCK + 3.0), Anchor::Start, text);
    }

    fn hold(&self, canvas: &mut Canvas, hold: &Hold) {
        let class = match hold.outcome {
            Outcome::Sold => "sells",
            Outcome::Overwrote { .. } => "overwrites",
            Outcome::Nothing => "looks",
            Outcome::Refused(_) => "sells",
        };
        let width = self.bar(canvas, class, &hold.span, BAR);
        if let Some(fence) =
            hold.fence.filter(|_| width >= TOKEN_WIDTH_MIN && hold.outcome != Outcome::Nothing)
        {
            let begin = self.at(hold.span.from_ns);
            let middle = if hold.lost { begin + TOKEN_WIDTH_MIN / 2.0 + 1.0 } else { begin + width / 2.0 };
            let place = (middle, self.row(hold.span.worker) + 12.0);
            canvas.text("token", place, Anchor::Middle, &self.history.rank(fence).to_string());
        }
    }

    /// The stretch in which the process stood still, and when its lock ended under it.
    fn pause(&self, canvas: &mut Canvas, pause: &Span) {
        self.bar(canvas, "paused", pause, BAR);
        let y = self.row(pause.worker);
        let (begin, mut end) = (self.at(pause.from_ns), self.at(pause.until_ns));
        if let Some((end_ns, _)) = self.lock_end(pause) {
            end = self.at(end_ns);
            canvas.line("expiry", (end, y), (end, y + BAR));
        }
        if end - begin > PAUSE_WIDTH_MIN {
            let label = format!("stopped for {:.1} s", (pause.until_ns - pause.from_ns) as f64 / 1e9);
            canvas.text("on-colour", ((begin + end) / 2.0, y + 12.5), Anchor::Middle, &label);
        }
    }

    /// What is said above the rows. The lines that lead down to them go behind their bars.
    fn notes(&self, canvas: &mut Canvas) {
        let y = self.top + 36.0;
        let Some(pause) = self.history.pauses.first() else { return };
        let row = self.row(pause.worker);
        if let Some((end_ns, what)) = self.lock_end(pause) {
            let x = self.at(end_ns);
            canvas.text("small quiet", (x - 6.0, y), Anchor::End, what);
            canvas.path("leader", &[(x - 3.0, y - 4.0), (x, y - 4.0), (x, row)]);
        }
        let Some((x, hold)) = self.late_write() else { return };
        let (class, text) = match hold.outcome {
            Outcome::Refused(refusal) => {
                let (low, high) = (self.history.rank(refusal.fence), self.history.rank(refusal.mark));
                ("small strong good", format!("it wakes and writes: refused, token {low} < {high}"))
            }
            Outcome::Overwrote { read, found } => {
                let lost = read - found;
                (
                    "small strong bad",
                    format!("it wakes and writes {} over {found}: {lost} sales forgotten", read - 1),
                )
            }
            Outcome::Sold | Outcome::Nothing => return,
        };
        canvas.path("leader", &[(x + 3.0, y - 4.0), (x, y - 4.0), (x, row)]);
        canvas.text(class, (x + 6.0, y), Anchor::Start, &text);
    }

    /// When the lock of a stopped worker ended, if there was one.
    fn lock_end(&self, pause: &Span) -> Option<(u64, &'static str)> {
        let within = |hold: &&Hold| hold.span.worker == pause.worker && hold.span.from_ns <= pause.from_ns;
        let hold = self.history.holds.iter().rfind(within)?;
        match self.record.lane {
            Lane::NoLock => None,
            Lane::NaiveLock => {
                let ttl_ns = u64::try_from(self.plan.ttl.as_nanos()).ok()?;
                Some((hold.span.from_ns + ttl_ns, "its lock expires"))
            }
            Lane::Leasehold => hold.lost.then_some((hold.span.until_ns, "its lease ends")),
        }
        .filter(|(end_ns, _)| *end_ns < pause.until_ns)
    }

    /// What the stopped worker wrote when it woke, and where on the paper.
    fn late_write(&self) -> Option<(f64, &Hold)> {
        let pause = self.history.pauses.first()?;
        let late = |hold: &&Hold| {
            hold.span.worker == pause.worker && hold.wrote_ns.is_some_and(|at| at >= pause.until_ns)
        };
        let hold = self.history.holds.iter().filter(late).min_by_key(|hold| hold.wrote_ns)?;
        // The cross stands beside the end of the pause, not on it.
        let aside = if is_refused(hold) { 9.0 } else { 0.0 };
        Some((self.at(hold.wrote_ns?) + aside, hold))
    }

    /// A red strip wherever two or more believed that they were alone.
    fn strip(&self, canvas: &mut Canvas) {
        let y = self.row(self.plan.workers + 1);
        canvas.text("quiet small", (LEFT - 10.0, y + 8.0), Anchor::End, "two at once");
        for (from_ns, until_ns) in crowded(&self.history.holds) {
            let x = self.at(from_ns);
            canvas.rect("double", [x, y + 2.0, (self.at(until_ns) - x).max(WIDTH_MIN), 4.0], 0.0);
        }
    }

    /// The stock as it was written; where it rises, sales were forgotten.
    fn stock(&self, canvas: &mut Canvas) {
        let bottom = self.top + height(self.plan.workers);
        let (full, room) = (f64::from(self.plan.stock), STOCK - 6.0);
        let level = |stock: i64| bottom - room * (stock as f64 / full).clamp(0.0, 1.0);
        canvas.text("quiet small", (LEFT - 10.0, bottom - room + 9.0), Anchor::End, "stock");
        let mut now = i64::from(self.plan.stock);
        let mut points = vec![(self.at(self.record.began_ns), level(now))];
        let mut rises = Vec::new();
        for written in &self.history.stock {
            let x = self.at(written.at_ns);
            points.extend([(x, level(now)), (x, level(written.stock))]);
            if written.stock > now {
                rises.push([(x, level(now)), (x, level(written.stock))]);
            }
            now = written.stock;
        }
        points.push((self.at(self.record.ended_ns), level(now)));
        let mut under = points.clone();
        under.extend([(self.at(self.record.ended_ns), bottom), (LEFT, bottom)]);
        canvas.path("under", &under);
        canvas.path("stock", &points);
        for rise in rises {
            canvas.path("rise", &rise);
        }
        canvas.line("rule", (LEFT, bottom), (RIGHT, bottom));
    }

    fn bar(&self, canvas: &mut Canvas, class: &str, span: &Span, height: f64) -> f64 {
        let (x, end) = (self.at(span.from_ns), self.at(span.until_ns));
        // A hair of paper between two bars that touch.
        let width = (end - x - 0.8).max(WIDTH_MIN);
        canvas.rect(class, [x, self.row(span.worker), width, height], 2.0);
        width
    }

    fn at(&self, moment_ns: u64) -> f64 {
        self.scale.place(moment_ns.saturating_sub(self.record.began_ns))
    }

    fn row(&self, worker: u32) -> f64 {
        self.top + HEAD + (f64::from(worker) - 1.0) * ROW
    }
}

/// The stretches in which two or more held, merged.
pub(crate) fn crowded(holds: &[Hold]) -> Vec<(u64, u64)> {
    let mut turns: Vec<(u64, i32)> = Vec::with_capacity(holds.len() * 2);
    for hold in holds {
        turns.extend([(hold.span.from_ns, 1), (hold.span.until_ns, -1)]);
    }
    // Who leaves at the same moment leaves first.
    turns.sort_unstable();
    let (mut inside, mut since, mut spans) = (0, 0, Vec::new());
    for (at_ns, turn) in turns {
        let before = inside;
        inside += turn;
        match (before, inside) {
            (1, 2) => since = at_ns,
            (2, 1) if at_ns > since => spans.push((since, at_ns)),
            _ => {}
        }
    }
    spans
}

fn is_refused(hold: &Hold) -> bool {
    matches!(hold.outcome, Outcome::Refused(_))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
