//! The state of a store in Prometheus' text format.

use std::{fmt::Write, time::Duration};

use leasehold::store::Snapshot;

use super::site::State;

/// A metric: name, type, and help. Their names are a contract: docs/book/observability.md.
type Metric = (&'static str, &'static str, &'static str);

const UP: Metric = ("leasehold_up", "gauge", "Whether the last scan of the store succeeded.");
const LOCKS: Metric = ("leasehold_locks", "gauge", "Locks that are held or waited for.");
const HOLDERS: Metric = ("leasehold_holders", "gauge", "Holds, delays after lost holds included.");
const WAITERS: Metric = ("leasehold_waiters", "gauge", "Claims that wait in a queue of the store.");
const CONTENDED: Metric = ("leasehold_contended_locks", "gauge", "Locks that are waited for.");
const OLDEST_HOLD: Metric = ("leasehold_oldest_hold_seconds", "gauge", "Age of the longest hold.");
const OLDEST_WAIT: Metric = ("leasehold_oldest_wait_seconds", "gauge", "Age of the longest wait.");
const CHANGES: Metric = (
    "leasehold_changes_seen_total",
    "counter",
    "Changes that two scans showed: a lower bound of those that happened.",
);
const SCANS: Metric = ("leasehold_scans_total", "counter", "Scans of the store, by outcome.");
const SCAN: Metric = ("leasehold_scan_duration_seconds", "gauge", "Length of the last scan that succeeded.");
const CUT: Metric =
    ("leasehold_scan_truncated", "gauge", "Whether there are more locks than the limit of a scan.");
const STREAMS: Metric = ("leasehold_streams", "gauge", "Open streams of events.");
const BUILD: Metric = ("leasehold_build_info", "gauge", "The version of leasehold.");

/// The whole page. Locks are counted by the longest of `groups` that begins their names, never by their names.
pub(super) fn page(state: &State, groups: &[String], streams: usize) -> String {
    let mut page = String::new();
    let board = &state.board;
    metric(&mut page, UP, [(String::new(), f64::from(state.error.is_none() && board.at.is_some()))]);
    let mut by_group = vec![Vec::new(); groups.len() + 1];
    for lock in &board.locks {
        let longest = |at: &usize| lock.name.as_str().starts_with(&groups[*at]).then_some(groups[*at].len());
        let group = (0..groups.len()).filter(|at| longest(at).is_some()).max_by_key(longest);
        by_group[group.unwrap_or(groups.len())].push(lock);
    }
    let mut grouped = |which: Metric, value: fn(&[&Snapshot]) -> f64| {
        let labels = groups.iter().map(|group| label("group", group)).chain([label("group", "")]);
        metric(&mut page, which, labels.zip(by_group.iter().map(|locks| value(locks))));
    };
    grouped(LOCKS, |locks| locks.len() as f64);
    grouped(HOLDERS, |locks| locks.iter().map(|lock| lock.holders.len()).sum::<usize>() as f64);
    grouped(WAITERS, |locks| locks.iter().map(|lock| lock.waiters.len()).sum::<usize>() as f64);
    grouped(CONTENDED, |locks| locks.iter().filter(|lock| !lock.waiters.is_empty()).count() as f64);
    grouped(OLDEST_HOLD, |locks| {
        oldest(locks.iter().flat_map(|lock| &lock.holders).filter_map(|one| one.age))
    });
    grouped(OLDEST_WAIT, |locks| {
        oldest(locks.iter().flat_map(|lock| &lock.waiters).filter_map(|one| one.age))
    });
    let changes = state.changes.iter().map(|(kind, count)| (label("change", kind.word()), *count as f64));
    metric(&mut page, CHANGES, changes);
    let scans = [("ok", state.scans), ("error", state.failures)];
    metric(&mut page, SCANS, scans.map(|(outcome, count)| (label("outcome", outcome), count as f64)));
    metric(&mut page, SCAN, [(String::new(), board.took().as_secs_f64())]);
    metric(&mut page, CUT, [(String::new(), f64::from(board.is_cut()))]);
    metric(&mut page, STREAMS, [(String::new(), streams as f64)]);
    metric(&mut page, BUILD, [(label("version", env!("CARGO_PKG_VERSION")), 1.0)]);
    page
}

fn oldest(ages: impl Iterator<Item = Duration>) -> f64 {
    ages.max().unwrap_or_default().as_secs_f64()
}

fn metric(page: &mut String, (name, kind, help): Metric, samples: impl IntoIterator<Item = (String, f64)>) {
    let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        let _ = writeln!(page, "{name}{labels} {value}");
    }
}

fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{{{name}=\"{value}\"}}")
}
