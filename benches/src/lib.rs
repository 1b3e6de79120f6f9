//! Shared by the benches: times as a table.

use std::time::Duration;

/// Durations of one thing, measured many times.
#[derive(Clone, Default, Debug)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Adds one.
    pub fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// The value that `share` of the samples do not exceed.
    pub fn quantile(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        let last = sorted.len().saturating_sub(1);
        sorted.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    }

    /// The middle one.
    pub fn median(&self) -> Duration {
        self.quantile(0.5)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// A row of the table that all benches print.
    pub fn row(&self, label: &str) -> String {
        let micros = |share| self.quantile(share).as_secs_f64() * 1e6;
        let (p50, p99, max) = (micros(0.5), micros(0.99), micros(1.0));
        format!("| {label} | {} | {p50:.1} | {p99:.1} | {max:.1} |", self.count())
    }

    /// The head of that table.
    pub fn head() -> &'static str {
        "| what | samples | p50 µs | p99 µs | max µs |\n|---|---|---|---|---|"
    }
}
