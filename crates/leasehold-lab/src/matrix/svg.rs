//! The matrix as a picture.

use super::{COLUMNS, CellVerdict, Row, SEEDS, in_words};
use crate::svg::{Anchor, Canvas};

const WIDTH: f64 = 1000.0;
const MARGIN: f64 = 24.0;
/// Where the cells begin.
const LEFT: f64 = 168.0;
const TOP: f64 = 118.0;
const ROW: f64 = 27.0;
const CELL: f64 = 101.0;

/// Draws the matrix.
pub fn draw(rows: &[Row]) -> String {
    let bottom = TOP + rows.len() as f64 * ROW;
    let height = bottom + 58.0;
    let mut canvas = Canvas::default();
    canvas.rect("paper", [0.5, 0.5, WIDTH - 1.0, height - 1.0], 8.0);
    canvas.text("title", (MARGIN, 36.0), Anchor::Start, "What becomes of a lock when things fail");
    let about = format!(
        "{SEEDS} simulated runs a cell, the same faults in a row for all: holds by two at once / acknowledged updates lost"
    );
    canvas.text("quiet", (MARGIN, 57.0), Anchor::Start, &about);
    for (at, column) in COLUMNS.iter().enumerate() {
        let (name, fenced) = column.name.split_once(", ").unwrap_or((column.name, ""));
        let x = LEFT + at as f64 * CELL + CELL / 2.0 - 1.5;
        canvas.text("small strong", (x, TOP - 24.0), Anchor::Middle, name);
        canvas.text("small quiet", (x, TOP - 10.0), Anchor::Middle, fenced);
    }
    for (at, row) in rows.iter().enumerate() {
        let y = TOP + at as f64 * ROW;
        canvas.text("quiet", (LEFT - 10.0, y + 16.0), Anchor::End, row.fault);
        for (at, cell) in row.cells.iter().enumerate() {
            let x = LEFT + at as f64 * CELL;
            canvas.rect(class(cell.verdict), [x, y, CELL - 3.0, ROW - 3.0], 3.0);
            canvas.text("on-colour", (x + CELL / 2.0 - 1.5, y + 16.0), Anchor::Middle, &in_words(cell));
        }
    }
    legend(&mut canvas, bottom + 14.0);
    let foot = "Drawn by `cargo lab simulate matrix`; each cell can be played again: `cargo lab simulate matrix --json` names the seed.";
    canvas.text("quiet small", (MARGIN, height - 12.0), Anchor::Start, foot);
    canvas.finish(WIDTH, height, "The fault matrix", &super::text(rows))
}

fn legend(canvas: &mut Canvas, y: f64) {
    let entries = [
        (CellVerdict::Safe, "safe", 70.0),
        (CellVerdict::OnlyFenced, "safe with a fenced resource alone", 230.0),
        (CellVerdict::Unsafe, "unsafe", 0.0),
    ];
    let mut x = LEFT;
    for (verdict, words, width) in entries {
        canvas.rect(class(verdict), [x, y - 10.0, 18.0, 12.0], 2.0);
        canvas.text("small", (x + 24.0, y), Anchor::Start, words);
        x += width + 20.0;
    }
}

const fn class(verdict: CellVerdict) -> &'static str {
    match verdict {
        CellVerdict::Safe => "safe",
        CellVerdict::OnlyFenced => "fenced",
        CellVerdict::Unsafe => "unsafe",
    }
}
