//! The picture of a run: a panel for each lane, a row for each process, drawn from what they reported.

mod panel;

use leasehold_lab::svg::{Anchor, Canvas};
use panel::Panel;

use super::{director::Record, plan::Plan, verdict::LaneVerdict};

/// The picture's width.
const WIDTH: f64 = 1000.0;
/// Free space around.
const MARGIN: f64 = 24.0;
/// Where time begins.
const LEFT: f64 = 112.0;
/// Where time ends.
const RIGHT: f64 = WIDTH - MARGIN;
/// Where the first panel begins.
const TOP: f64 = 112.0;
/// Between two panels.
const GAP: f64 = 30.0;

/// From moments of a lane to places on the paper, the same for all lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    nanos: u64,
}

impl Scale {
    /// A scale for the longest of the lanes.
    fn of(records: &[Record]) -> Scale {
        let length = |record: &Record| record.ended_ns.saturating_sub(record.began_ns);
        Scale { nanos: records.iter().map(length).max().unwrap_or(0).max(1) }
    }

    /// Where so long after the beginning is.
    fn place(self, nanos: u64) -> f64 {
        LEFT + (RIGHT - LEFT) * (nanos.min(self.nanos) as f64 / self.nanos as f64)
    }

    /// Every half second, or every so many that there are at most twelve.
    fn ticks(self) -> impl Iterator<Item = u64> {
        let step = 500_000_000 * (self.nanos / 6_000_000_000 + 1);
        (0..=self.nanos / step).map(move |tick| tick * step)
    }
}

/// Draws a run.
pub(crate) fn draw(records: &[Record], lanes: &[LaneVerdict], plan: &Plan) -> String {
    let scale = Scale::of(records);
    let panel_height = panel::height(plan.workers);
    let bottom = TOP + records.len() as f64 * (panel_height + GAP) - GAP;
    let height = bottom + 52.0;
    let mut canvas = Canvas::default();
    canvas.rect("paper", [0.5, 0.5, WIDTH - 1.0, height - 1.0], 8.0);
    head(&mut canvas, plan);
    legend(&mut canvas);
    for (index, (record, verdict)) in records.iter().zip(lanes).enumerate() {
        let top = TOP + index as f64 * (panel_height + GAP);
        Panel::new(record, verdict, plan, scale, top).draw(&mut canvas);
    }
    axis(&mut canvas, scale, bottom);
    let foot = "Drawn by `leasehold demo --svg` from what the processes reported; orders are counted in the shop's \
                database, tokens (16 digits) from the first grant.";
    canvas.text("quiet small", (MARGIN, height - 14.0), Anchor::Start, foot);
    let summary: Vec<String> =
        lanes.iter().map(|lane| format!("{}: {}", lane.lane.title(), lane.result())).collect();
    canvas.finish(WIDTH, height, "What one stopped process does to a shop", &summary.join(". "))
}

fn head(canvas: &mut Canvas, plan: &Plan) {
    let title = "One process falls asleep in the middle of a sale";
    canvas.text("title", (MARGIN, 36.0), Anchor::Start, title);
    let text = format!(
        "{} processes sell {} items: read the stock, take the payment, write the stock. One is stopped before it \
         writes, for longer than its lock lives ({} s).",
        plan.workers,
        plan.stock,
        plan.ttl.as_secs_f64()
    );
    canvas.text("quiet", (MARGIN, 57.0), Anchor::Start, &text);
}

fn legend(canvas: &mut Canvas) {
    let entries: [(&str, &str, f64); 6] = [
        ("sells", "sells (number: fencing token)", 190.0),
        ("overwrites", "sells, and overwrites others' sales", 216.0),
        ("waits", "waits", 62.0),
        ("paused", "stopped (SIGSTOP)", 130.0),
        ("double", "two at once", 96.0),
        ("refused", "late write refused", 0.0),
    ];
    let (mut x, y) = (MARGIN, 82.0);
    for (class, text, width) in entries {
        match class {
            "refused" => canvas.cross((x + 9.0, y - 4.0)),
            "double" => canvas.rect(class, [x, y - 6.0, 18.0, 4.0], 2.0),
            _ => canvas.rect(class, [x, y - 10.0, 18.0, 12.0], 2.0),
        }
        canvas.text("small", (x + 24.0, y), Anchor::Start, text);
        x += width + 20.0;
    }
}

fn axis(canvas: &mut Canvas, scale: Scale, y: f64) {
    for tick in scale.ticks() {
        let seconds = format!("{:.1} s", tick as f64 / 1e9);
        canvas.text("quiet small", (scale.place(tick), y + 16.0), Anchor::Middle, &seconds);
    }
}

#[cfg(test)]
mod tests;
