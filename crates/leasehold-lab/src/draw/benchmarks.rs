//! The picture of the table "All stores" in docs/benchmarks.md: a group of bars for each peer.

use anyhow::{Context, Result};

use crate::svg::{Anchor, Canvas, MARGIN, WIDTH};

const TOP: f64 = 112.0;
const BAR: f64 = 12.0;
const GROUP: f64 = 3.0 * BAR + 16.0;
/// The position of the ratio 1, and the width of a doubling.
const ONE: f64 = 400.0;
const DOUBLING: f64 = 78.0;
/// The largest number of doublings that is drawn.
const DOUBLINGS_MAX: f64 = 7.0;
/// The classes of the three ratios, by their columns in the table.
const RATIOS: [(&str, usize); 3] = [("sells", 3), ("overwrites", 5), ("looks", 8)];

/// Leasehold beside one peer on one store.
struct Peer<'t> {
    label: String,
    ratios: Vec<(&'static str, &'t str)>,
}

/// The rows of the table that compare something.
fn peers(page: &str) -> Vec<Peer<'_>> {
    let lines = page.lines().skip_while(|line| *line != "## All stores").skip(1);
    let table = lines.take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("| "));
    let rows = table.map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    rows.filter_map(|cells| {
        let ratio = |(class, column): (&'static str, usize)| {
            Some((class, *cells.get(column)?)).filter(|(_, text)| text.parse::<f64>().is_ok())
        };
        let ratios: Vec<_> = RATIOS.into_iter().filter_map(ratio).collect();
        (!ratios.is_empty()).then(|| Peer { label: format!("{}: {}", cells[0], cells[1]), ratios })
    })
    .collect()
}

/// # Errors
/// If the page has no such table.
pub(super) fn draw(page: &str) -> Result<String> {
    let peers = peers(page);
    peers.first().context("no comparison below the heading `All stores`")?;
    let bottom = TOP + peers.len() as f64 * GROUP;
    let title = "Leasehold beside the peers, on the same server in the same run";
    let text =
        "How many times as fast Leasehold is: to the right of 1, faster than the peer; to the left, slower.";
    let mut canvas = Canvas::page(bottom + 52.0, title, text);
    let entries = [
        ("sells", "lock and unlock, one task", 184.0),
        ("overwrites", "sixteen tasks", 110.0),
        ("looks", "hand-over to a waiter, p50", 0.0),
    ];
    canvas.legend((MARGIN, 82.0), 24.0, &entries);
    axis(&mut canvas, bottom);
    for (at, peer) in peers.iter().enumerate() {
        group(&mut canvas, peer, TOP + at as f64 * GROUP);
    }
    let foot = "Drawn by `cargo lab draw benchmarks` from the table in docs/benchmarks.md, which says what is compared.";
    canvas.text("quiet small", (MARGIN, bottom + 38.0), Anchor::Start, foot);
    let summary = |peer: &Peer<'_>| {
        let ratios: Vec<_> = peer.ratios.iter().map(|(_, ratio)| *ratio).collect();
        format!("{} {}", peer.label, ratios.join(", "))
    };
    let summaries: Vec<_> = peers.iter().map(summary).collect();
    Ok(canvas.finish(WIDTH, bottom + 52.0, title, &summaries.join("; ")))
}

fn axis(canvas: &mut Canvas, bottom: f64) {
    for doubling in [-2.0_f64, 0.0, 2.0, 4.0, 6.0] {
        let x = ONE + doubling * DOUBLING;
        canvas.line(if doubling == 0.0 { "leader" } else { "grid" }, (x, TOP - 8.0), (x, bottom));
        canvas.text("quiet small", (x, bottom + 16.0), Anchor::Middle, &format!("{}×", doubling.exp2()));
    }
}

fn group(canvas: &mut Canvas, peer: &Peer<'_>, top: f64) {
    canvas.text("", (MARGIN, top + 1.9 * BAR), Anchor::Start, &peer.label);
    for (at, (class, text)) in peer.ratios.iter().enumerate() {
        let doublings = text.parse::<f64>().map_or(0.0, f64::log2).clamp(-2.2, DOUBLINGS_MAX);
        let (end, y) = (ONE + doublings * DOUBLING, top + at as f64 * BAR);
        canvas.rect(class, [end.min(ONE), y, (end - ONE).abs().max(1.0), BAR - 2.0], 2.0);
        canvas.text("quiet small", (end.max(ONE) + 5.0, y + BAR - 3.0), Anchor::Start, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_picture_is_that_of_the_page() {
        let read = |name: &str| {
            std::fs::read_to_string(format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
        };
        let (page, committed) = (read("benchmarks.md"), read("images/benchmarks.svg"));
        let command = "cargo lab draw benchmarks docs/benchmarks.md -o docs/images/benchmarks.svg";
        assert!(draw(&page).unwrap() == committed, "after a change of the table: {command}");
        assert!(roxmltree::Document::parse(&committed).is_ok());
    }

    #[test]
    fn a_page_without_the_table_is_refused() {
        assert!(draw("## All stores\n\n| store | who |\n").is_err());
    }
}
