//! Outcomes as they come, for tests.

use crate::simulate::ladder::{
    case::{Doing, Expectation, Outcome, Span},
    resource::Resource,
    rungs::RUNGS,
};

fn span(who: char, doing: Doing, from_ms: u64, until_ms: u64) -> Span {
    Span { who, doing, from_ns: from_ms * 1_000_000, until_ns: until_ms * 1_000_000 }
}

/// A naive lock that failed.
pub(crate) fn two_holders() -> Outcome {
    let mut outcome = Outcome::new(&RUNGS[4], "work outlives the lease", Expectation::TwoHolders);
    outcome.counts.refused_attempts = 3;
    let spans = vec![
        span('A', Doing::Holds, 0, 100),
        span('B', Doing::Waits, 0, 60),
        span('B', Doing::Holds, 60, 110),
    ];
    let mut resource = Resource::default();
    let (first, second) = (resource.read(), resource.read());
    resource.write(first);
    resource.write(second);
    outcome.finish(spans, &resource, 110_000_000)
}

/// Leasehold.
pub(crate) fn refused() -> Outcome {
    let mut outcome = Outcome::new(&RUNGS[7], "the connection is cut", Expectation::Told);
    outcome.counts.refused_attempts = 1;
    outcome.counts.told_ms_before_deadline = Some(20.0);
    let spans = vec![span('A', Doing::Holds, 0, 100), span('B', Doing::Holds, 120, 160)];
    let mut resource = Resource::default();
    resource.late_refused = 1;
    outcome.finish(spans, &resource, 160_000_000)
}
