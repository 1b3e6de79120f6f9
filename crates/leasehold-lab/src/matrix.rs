//! The fault matrix: what becomes of each way to lock under each fault.

mod svg;

use serde::Serialize;

use crate::{config::RunConfig, model::Strategy, resource::Fence, run::play, scenario::Scenario};

pub use svg::draw;

/// The seeds of a cell.
pub const SEEDS: u64 = 40;

/// The rows: scenarios of one fault each.
const ROWS: [&str; 14] = [
    "delay",
    "loss",
    "disorder",
    "one-way-cut",
    "partition",
    "pause",
    "pause-asking",
    "suspend",
    "crash",
    "server-restart",
    "server-forgets",
    "server-clock-jumps",
    "clock-rate",
    "storm",
];

/// A way to lock, on a number of servers, with a fence or without.
#[derive(Clone, Copy, Debug)]
struct Column {
    name: &'static str,
    /// `None`: Leasehold.
    strategy: Option<Strategy>,
    nodes: u32,
    fence: Fence,
}

const fn rung(name: &'static str, strategy: Strategy, nodes: u32) -> Column {
    Column { name, strategy: Some(strategy), nodes, fence: Fence::None }
}

/// Leasehold: half of the seeds run work under the lease, half check it before they write.
const fn ours(name: &'static str, nodes: u32, fence: Fence) -> Column {
    Column { name, strategy: None, nodes, fence }
}

const COLUMNS: [Column; 8] = [
    rung("bare DEL", Strategy::BareDelete, 1),
    rung("owner-checked", Strategy::OwnerChecked, 1),
    rung("with watchdog", Strategy::Watchdog, 1),
    rung("Redlock ×3", Strategy::Redlock, 3),
    ours("Leasehold", 1, Fence::None),
    ours("Leasehold, fenced", 1, Fence::ByClaim),
    ours("Leasehold ×3", 3, Fence::None),
    ours("Leasehold ×3, fenced", 3, Fence::ByClaim),
];

/// The verdict of a cell.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CellVerdict {
    /// No two held at once, and no update was lost.
    #[default]
    Safe,
    /// Two held at once, or a late write was accepted: results are right with fencing alone.
    OnlyFenced,
    /// Updates were lost.
    Unsafe,
}

/// The counts of a cell over all its seeds.
#[derive(Clone, Default, Debug, Serialize)]
pub struct Cell {
    /// The column.
    pub column: &'static str,
    /// The verdict.
    pub verdict: CellVerdict,
    /// Grants.
    pub grants: u64,
    /// Grants during another hold.
    pub double_holds: u64,
    /// Acknowledged updates that are not in the result.
    pub updates_lost: u64,
    /// Late accesses that the resource refused.
    pub refused: u64,
    /// The first seed that failed.
    pub seed: Option<u64>,
    /// The command that plays it.
    pub command: Option<String>,
}

/// One fault.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The scenario.
    pub fault: &'static str,
    /// Its faults.
    pub about: &'static str,
    /// The cells.
    pub cells: Vec<Cell>,
}

/// Plays all runs.
pub fn compute(seeds: u64) -> Vec<Row> {
    ROWS.iter().filter_map(|name| Scenario::named(name)).map(|scenario| row(scenario, seeds)).collect()
}

fn row(scenario: &'static Scenario, seeds: u64) -> Row {
    let cells = COLUMNS.iter().map(|column| cell(scenario, column, seeds)).collect();
    Row { fault: scenario.name, about: scenario.about, cells }
}

fn cell(scenario: &'static Scenario, column: &Column, seeds: u64) -> Cell {
    let mut cell = Cell { column: column.name, ..Cell::default() };
    for seed in 0..seeds {
        let strategy = column.strategy.unwrap_or(RunConfig::of(scenario, seed).strategy);
        let config = RunConfig {
            nodes: column.nodes,
            faults: scenario.faults_of(seed, column.nodes, scenario.clients),
            ..RunConfig::with(scenario, seed, strategy, column.fence)
        };
        let figures = play(config.clone()).figures;
        cell.grants += figures.grants;
        cell.double_holds += figures.double_holds;
        cell.updates_lost += figures.updates_lost;
        cell.refused += figures.writes_refused + figures.reads_refused;
        if cell.seed.is_none() && figures.double_holds + figures.updates_lost > 0 {
            cell.seed = Some(seed);
            cell.command = Some(config.command());
        }
    }
    cell.verdict = verdict(column, &cell);
    cell
}

fn verdict(column: &Column, cell: &Cell) -> CellVerdict {
    let is_right = cell.updates_lost == 0;
    match (column.strategy, column.fence) {
        _ if is_right && cell.double_holds == 0 => CellVerdict::Safe,
        // What counts with a fence is the result.
        (None, Fence::ByClaim) if is_right => CellVerdict::Safe,
        (None, Fence::None) => CellVerdict::OnlyFenced,
        _ => CellVerdict::Unsafe,
    }
}

/// The matrix as text.
pub fn text(rows: &[Row]) -> String {
    let mut text = format!("{:20}", "");
    COLUMNS.iter().for_each(|column| text += &format!(" {:>20}", column.name));
    text += "\n";
    for row in rows {
        text += &format!("{:20}", row.fault);
        row.cells.iter().for_each(|cell| text += &format!(" {:>20}", in_words(cell)));
        text += "\n";
    }
    text + "double holds / updates lost; `ok` where there was neither\n"
}

fn in_words(cell: &Cell) -> String {
    match (cell.double_holds, cell.updates_lost) {
        (0, 0) => "ok".to_string(),
        (double, lost) => format!("{double} / {lost}"),
    }
}
