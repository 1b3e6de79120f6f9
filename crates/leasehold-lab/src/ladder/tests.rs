//! Results for tests.

use super::result::{Activity, Expectation, ExperimentResult, Span};

fn span(client: char, activity: Activity, from_ms: u64, until_ms: u64) -> Span {
    Span { client, activity, from_ns: from_ms * 1_000_000, until_ns: until_ms * 1_000_000 }
}

/// A naive lock that failed.
pub(super) fn two_holders() -> ExperimentResult {
    let mut result = ExperimentResult::new(
        (5, "+ compare-and-delete in Lua"),
        "work outlives the lease",
        Expectation::TwoHolders,
    );
    result.counts.refused_attempts = 3;
    result.counts.late_writes_accepted = 1;
    result.counts.lost_updates = 1;
    let spans = vec![
        span('A', Activity::Holds, 0, 100),
        span('B', Activity::Waits, 0, 60),
        span('B', Activity::Holds, 60, 110),
    ];
    result.finish(spans)
}

/// Leasehold.
pub(super) fn refused() -> ExperimentResult {
    let mut result =
        ExperimentResult::new((8, "Leasehold, fenced resource"), "the connection is cut", Expectation::Told);
    result.counts.refused_attempts = 1;
    result.counts.late_writes_refused = 1;
    result.counts.told_ms_before_deadline = Some(20.0);
    let spans = vec![span('A', Activity::Holds, 0, 100), span('B', Activity::Holds, 120, 160)];
    result.finish(spans)
}
