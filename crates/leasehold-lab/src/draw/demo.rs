//! The picture of a demo: one panel per round, one row per process.

mod history;
mod panel;
#[cfg(test)]
mod tests;

use crate::svg::{Anchor, Canvas};
use history::{Demo, Round};
use panel::Panel;

/// Width of the picture.
const WIDTH: f64 = 1000.0;
/// Margin.
const MARGIN: f64 = 24.0;
/// Left end of the time axis.
const LEFT: f64 = 112.0;
/// Right end of the time axis.
const RIGHT: f64 = WIDTH - MARGIN;
/// Top of the first panel.
const TOP: f64 = 112.0;
/// Gap between two panels.
const GAP: f64 = 30.0;

/// Maps times of a round to positions, the same for all rounds.
#[derive(Clone, Copy, Debug)]
struct Scale {
    nanos: u64,
}

impl Scale {
    /// A scale for the longest round.
    fn new(rounds: &[Round]) -> Scale {
        let length = |round: &Round| round.ended_ns.saturating_sub(round.began_ns);
        Scale { nanos: rounds.iter().map(length).max().unwrap_or(0).max(1) }
    }

    /// The position of a time since the start.
    fn x(self, nanos: u64) -> f64 {
        LEFT + (RIGHT - LEFT) * (nanos.min(self.nanos) as f64 / self.nanos as f64)
    }

    /// Times of the ticks: every half second, or a multiple of it for at most twelve ticks.
    fn ticks(self) -> impl Iterator<Item = u64> {
        let step = 500_000_000 * (self.nanos / 6_000_000_000 + 1);
        (0..=self.nanos / step).map(move |tick| tick * step)
    }
}

/// Draws a demo.
pub(super) fn draw(demo: &Demo) -> String {
    let scale = Scale::new(&demo.rounds);
    let panel_height = panel::height(demo.workers);
    let bottom = TOP + demo.rounds.len() as f64 * (panel_height + GAP) - GAP;
    let height = bottom + 52.0;
    let mut canvas = Canvas::default();
    canvas.rect("paper", [0.5, 0.5, WIDTH - 1.0, height - 1.0], 8.0);
    head(&mut canvas, demo);
    legend(&mut canvas);
    for (index, round) in demo.rounds.iter().enumerate() {
        let top = TOP + index as f64 * (panel_height + GAP);
        Panel::new(round, demo, scale, top).draw(&mut canvas);
    }
    axis(&mut canvas, scale, bottom);
    let foot = "Drawn from the history of `leasehold demo --json`. Orders are counted in the shop's database; tokens are \
                numbered from the first grant.";
    canvas.text("quiet small", (MARGIN, height - 14.0), Anchor::Start, foot);
    canvas.finish(WIDTH, height, "The effect of one stopped process on a shop", &demo.summary)
}

fn head(canvas: &mut Canvas, demo: &Demo) {
    let title = "One process is stopped in the middle of a sale";
    canvas.text("title", (MARGIN, 36.0), Anchor::Start, title);
    let text = format!(
        "{} processes sell {} items: read the stock, take the payment, write the stock. One is stopped before it \
         writes, for longer than its lock lives ({} s).",
        demo.workers,
        demo.stock,
        demo.ttl_ms as f64 / 1e3
    );
    canvas.text("quiet", (MARGIN, 57.0), Anchor::Start, &text);
}

fn legend(canvas: &mut Canvas) {
    let entries: [(&str, &str, f64); 6] = [
        ("sells", "sells (number: fencing token)", 190.0),
        ("overwrites", "sells, and overwrites other sales", 216.0),
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
        canvas.text("quiet small", (scale.x(tick), y + 16.0), Anchor::Middle, &seconds);
    }
}
