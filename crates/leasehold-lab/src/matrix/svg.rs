//! The matrix as a picture.

use super::{COLUMNS, CellVerdict, Row, SEEDS, in_words};
use crate::svg::{Anchor, Canvas, MARGIN, WIDTH};

/// Where the cells begin.
const LEFT: f64 = 168.0;
const TOP: f64 = 118.0;
const ROW: f64 = 27.0;
const CELL: f64 = 101.0;

/// Draws the matrix.
pub fn draw(rows: &[Row]) -> String {
    let bottom = TOP + rows.len() as f64 * ROW;
    let height = bottom + 58.0;
    let about = format!(
        "{SEEDS} simulated runs a cell, the same faults in a row for all: holds by two at once / acknowledged updates lost"
    );
    let mut canvas = Canvas::page(height, "What becomes of a lock when things fail", &about);
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
    let entries = [
        (class(CellVerdict::Safe), "safe", 70.0),
        (class(CellVerdict::OnlyFenced), "safe with a fenced resource alone", 230.0),
        (class(CellVerdict::Unsafe), "unsafe", 0.0),
    ];
    canvas.legend((LEFT, bottom + 14.0), 20.0, &entries);
    let foot = "Drawn by `cargo lab simulate matrix`; each cell can be played again: `cargo lab simulate matrix --json` names the seed.";
    canvas.text("quiet small", (MARGIN, height - 12.0), Anchor::Start, foot);
    canvas.finish(WIDTH, height, "The fault matrix", &super::text(rows))
}

const fn class(verdict: CellVerdict) -> &'static str {
    match verdict {
        CellVerdict::Safe => "safe",
        CellVerdict::OnlyFenced => "fenced",
        CellVerdict::Unsafe => "unsafe",
    }
}
