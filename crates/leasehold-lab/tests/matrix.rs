//! The committed matrix is the one that the program makes. After a change:
//! `LEASEHOLD_BLESS=1 cargo test --package leasehold-lab --test matrix`.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use leasehold_lab::matrix::{CellVerdict, SEEDS, compute, draw};

fn compare(name: &str, made: &str) {
    let path = format!("{}/../../docs/images/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("LEASEHOLD_BLESS").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "docs/images/{name} is not what the program makes");
}

#[test]
fn the_committed_matrix_is_what_the_program_makes_and_ours_is_never_red() {
    let rows = compute(SEEDS);
    for row in &rows {
        for cell in &row.cells {
            let is_ours = cell.column.starts_with("Leasehold");
            assert!(!is_ours || cell.verdict != CellVerdict::Unsafe, "{} {cell:?}", row.fault);
            assert!(!cell.column.ends_with("fenced") || cell.updates_lost == 0, "{} {cell:?}", row.fault);
        }
        let controls = row.cells.iter().filter(|cell| !cell.column.starts_with("Leasehold"));
        assert!(
            controls.clone().any(|cell| cell.verdict == CellVerdict::Unsafe),
            "{}: no control fails",
            row.fault
        );
    }
    compare("matrix.json", &format!("{}\n", serde_json::to_string_pretty(&rows).unwrap()));
    compare("matrix.svg", &draw(&rows));
}
