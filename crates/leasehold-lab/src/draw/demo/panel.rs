//! [`Panel`]: one round in the picture.

use super::history::{Demo, History, Hold, Outcome, Round, Span, Strategy};
use crate::{
    overlaps::overlaps,
    svg::{Anchor, Canvas, LEFT, MARGIN, RIGHT, Scale},
};

/// The gap between two panels.
pub(super) const GAP: f64 = 30.0;

/// Height of title, result and notes.
const HEAD: f64 = 48.0;
const ROW: f64 = 21.0;
const BAR: f64 = 17.0;
/// Height of the strip that shows double holds.
const STRIP: f64 = 16.0;
/// Height of the stock curve.
const STOCK: f64 = 38.0;
/// Narrowest bar that shows its token.
const TOKEN_WIDTH_MIN: f64 = 12.0;
/// Narrowest pause that shows its duration.
const PAUSE_WIDTH_MIN: f64 = 100.0;
/// Narrowest area that shows the long explanation.
const OVERSOLD_WIDTH_MIN: f64 = 330.0;

pub(super) fn height(workers: u32) -> f64 {
    HEAD + f64::from(workers) * ROW + STRIP + STOCK
}

/// The times of the ticks: every half second, or a multiple of it for at most twelve ticks.
pub(super) fn ticks(scale: Scale) -> impl Iterator<Item = u64> {
    let step = 500_000_000 * (scale.end / 6_000_000_000 + 1);
    (0..=scale.end / step).map(move |tick| tick * step)
}

pub(super) struct Panel<'p> {
    round: &'p Round,
    demo: &'p Demo,
    history: History,
    scale: Scale,
    top: f64,
}

impl<'p> Panel<'p> {
    pub(super) fn new(round: &'p Round, demo: &'p Demo, scale: Scale, top: f64) -> Self {
        Panel { round, demo, history: History::new(&round.events), scale, top }
    }

    pub(super) fn draw(&self, canvas: &mut Canvas) {
        self.title(canvas);
        self.rows(canvas);
        self.oversold(canvas);
        self.notes(canvas);
        for span in &self.history.waits {
            self.bar(canvas, "waits", span);
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
        let (title, method) = titles(self.round.strategy);
        canvas.text("lane", (MARGIN, y), Anchor::Start, title);
        canvas.text("quiet", (LEFT + 18.0, y), Anchor::Start, method);
        let (class, mark) = if self.round.exact { ("good", '✓') } else { ("bad", '✗') };
        let (orders, stock) = (self.round.orders, self.demo.stock);
        let result = match self.round.oversold {
            0 => format!("{mark} {orders} orders for {stock} items"),
            over => format!("{mark} {orders} orders for {stock} items: {over} oversold"),
        };
        canvas.text(&format!("lane {class}"), (RIGHT, y), Anchor::End, &result);
    }

    fn rows(&self, canvas: &mut Canvas) {
        for worker in 1..=self.demo.workers {
            canvas.track(self.row(worker), BAR, &format!("worker {worker}"));
        }
        for tick in ticks(self.scale) {
            let x = self.scale.x(tick);
            canvas.line("grid", (x, self.row(1)), (x, self.top + height(self.demo.workers)));
        }
    }

    /// Marks the time from the first order without an item.
    fn oversold(&self, canvas: &mut Canvas) {
        let Some((first_ns, _)) = self.history.stock.get(self.demo.stock as usize) else { return };
        let (x, y) = (self.at(*first_ns), self.row(1) - 2.0);
        let bottom = self.top + height(self.demo.workers);
        let end = self.at(self.round.ended_ns);
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
            Outcome::Sold | Outcome::Refused { .. } => "sells",
            Outcome::Overwrote { .. } => "overwrites",
            Outcome::Nothing => "looks",
        };
        let width = self.bar(canvas, class, &hold.span);
        if let Some(fence) =
            hold.fence.filter(|_| width >= TOKEN_WIDTH_MIN && hold.outcome != Outcome::Nothing)
        {
            let begin = self.at(hold.span.from_ns);
            let middle = if hold.lost { begin + TOKEN_WIDTH_MIN / 2.0 + 1.0 } else { begin + width / 2.0 };
            let place = (middle, self.row(hold.span.worker) + 12.0);
            canvas.text("token", place, Anchor::Middle, &self.history.rank(fence).to_string());
        }
    }

    /// The time in which the process was stopped, and the end of its lock.
    fn pause(&self, canvas: &mut Canvas, pause: &Span) {
        self.bar(canvas, "paused", pause);
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

    /// Explanations above the rows, with lines to the bars.
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
            Outcome::Refused { fence, mark } => {
                let (low, high) = (self.history.rank(fence), self.history.rank(mark));
                ("small strong good", format!("it continues and writes: refused, token {low} < {high}"))
            }
            Outcome::Overwrote { read, found } => {
                let lost = read - found;
                (
                    "small strong bad",
                    format!("it continues and writes {} over {found}: {lost} sales lost", read - 1),
                )
            }
            Outcome::Sold | Outcome::Nothing => return,
        };
        canvas.path("leader", &[(x + 3.0, y - 4.0), (x, y - 4.0), (x, row)]);
        canvas.text(class, (x + 6.0, y), Anchor::Start, &text);
    }

    /// The time at which the lock of a stopped worker ended.
    fn lock_end(&self, pause: &Span) -> Option<(u64, &'static str)> {
        let within = |hold: &&Hold| hold.span.worker == pause.worker && hold.span.from_ns <= pause.from_ns;
        let hold = self.history.holds.iter().rfind(within)?;
        match self.round.strategy {
            Strategy::NoLock => None,
            Strategy::NaiveLock => {
                Some((hold.span.from_ns + self.demo.ttl_ms * 1_000_000, "its lock expires"))
            }
            Strategy::Leasehold => hold.lost.then_some((hold.span.until_ns, "its lease ends")),
        }
        .filter(|(end_ns, _)| *end_ns < pause.until_ns)
    }

    /// The late write of the stopped worker, and its position.
    fn late_write(&self) -> Option<(f64, &Hold)> {
        let pause = self.history.pauses.first()?;
        let late = |hold: &&Hold| {
            hold.span.worker == pause.worker && hold.wrote_ns.is_some_and(|at| at >= pause.until_ns)
        };
        let hold = self.history.holds.iter().filter(late).min_by_key(|hold| hold.wrote_ns)?;
        // The cross is beside the end of the pause, not on it.
        let aside = if is_refused(hold) { 9.0 } else { 0.0 };
        Some((self.at(hold.wrote_ns?) + aside, hold))
    }

    /// A red strip while two or more workers believed that they held the lock.
    fn strip(&self, canvas: &mut Canvas) {
        let y = self.row(self.demo.workers + 1);
        canvas.text("quiet small", (LEFT - 10.0, y + 8.0), Anchor::End, "two at once");
        for (from_ns, until_ns) in double_holds(&self.history.holds) {
            let span = (self.since_start(from_ns), self.since_start(until_ns));
            self.scale.bar(canvas, "double", span, (y + 2.0, 4.0));
        }
    }

    /// The stock as it was written; a rise means that sales were lost.
    fn stock(&self, canvas: &mut Canvas) {
        let bottom = self.top + height(self.demo.workers);
        let (full, room) = (f64::from(self.demo.stock), STOCK - 6.0);
        let level = |stock: i64| bottom - room * (stock as f64 / full).clamp(0.0, 1.0);
        canvas.text("quiet small", (LEFT - 10.0, bottom - room + 9.0), Anchor::End, "stock");
        let mut now = i64::from(self.demo.stock);
        let mut points = vec![(self.at(self.round.began_ns), level(now))];
        let mut rises = Vec::new();
        for &(at_ns, stock) in &self.history.stock {
            let x = self.at(at_ns);
            points.extend([(x, level(now)), (x, level(stock))]);
            if stock > now {
                rises.push([(x, level(now)), (x, level(stock))]);
            }
            now = stock;
        }
        points.push((self.at(self.round.ended_ns), level(now)));
        let mut under = points.clone();
        under.extend([(self.at(self.round.ended_ns), bottom), (LEFT, bottom)]);
        canvas.path("under", &under);
        canvas.path("stock", &points);
        for rise in rises {
            canvas.path("rise", &rise);
        }
        canvas.line("rule", (LEFT, bottom), (RIGHT, bottom));
    }

    fn bar(&self, canvas: &mut Canvas, class: &str, span: &Span) -> f64 {
        let times = (self.since_start(span.from_ns), self.since_start(span.until_ns));
        self.scale.bar(canvas, class, times, (self.row(span.worker), BAR))
    }

    fn since_start(&self, time_ns: u64) -> u64 {
        time_ns.saturating_sub(self.round.began_ns)
    }

    fn at(&self, time_ns: u64) -> f64 {
        self.scale.x(self.since_start(time_ns))
    }

    fn row(&self, worker: u32) -> f64 {
        self.top + HEAD + (f64::from(worker) - 1.0) * ROW
    }
}

/// The periods in which two or more workers held the lock.
pub(super) fn double_holds(holds: &[Hold]) -> Vec<(u64, u64)> {
    overlaps(holds.iter().map(|hold| (hold.span.from_ns, hold.span.until_ns))).1
}

fn is_refused(hold: &Hold) -> bool {
    matches!(hold.outcome, Outcome::Refused { .. })
}

fn titles(strategy: Strategy) -> (&'static str, &'static str) {
    match strategy {
        Strategy::NoLock => ("No lock", "nothing excludes the workers from each other"),
        Strategy::NaiveLock => ("Naive lock", "SET NX EX, then DEL without an owner check"),
        Strategy::Leasehold => ("Leasehold", "a mutex, and a shop that checks fencing tokens"),
    }
}
