//! The picture of a demo: one panel per round, one row per process.

mod history;
mod panel;
#[cfg(test)]
mod tests;

use crate::svg::{Anchor, Canvas, MARGIN, Scale, WIDTH};
use history::{Demo, Round};
use panel::{GAP, Panel};

const TOP: f64 = 112.0;

/// The scale of all rounds, by the longest.
fn scale(rounds: &[Round]) -> Scale {
    let length = |round: &Round| round.ended_ns.saturating_sub(round.began_ns);
    Scale { end: rounds.iter().map(length).max().unwrap_or(0) }
}

pub(super) fn draw(demo: &Demo) -> String {
    let scale = scale(&demo.rounds);
    let panel_height = panel::height(demo.workers);
    let bottom = TOP + demo.rounds.len() as f64 * (panel_height + GAP) - GAP;
    let height = bottom + 52.0;
    let text = format!(
        "{} processes sell {} items: read the stock, take the payment, write the stock. One is stopped before it \
         writes, for longer than its lock lives ({} s).",
        demo.workers,
        demo.stock,
        demo.ttl_ms as f64 / 1e3
    );
    let mut canvas = Canvas::page(height, "One process is stopped in the middle of a sale", &text);
    let entries = [
        ("sells", "sells (number: fencing token)", 190.0),
        ("overwrites", "sells, and overwrites other sales", 216.0),
        ("waits", "waits", 62.0),
        ("paused", "stopped (SIGSTOP)", 130.0),
        ("double", "two at once", 96.0),
        ("refused", "late write refused", 0.0),
    ];
    canvas.legend((MARGIN, 82.0), 20.0, &entries);
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

fn axis(canvas: &mut Canvas, scale: Scale, y: f64) {
    for tick in panel::ticks(scale) {
        let seconds = format!("{:.1} s", tick as f64 / 1e9);
        canvas.text("quiet small", (scale.x(tick), y + 16.0), Anchor::Middle, &seconds);
    }
}
