use super::*;
use crate::cmd::demo::{plan::Lane, sample};

#[test]
fn a_lost_lease_ends_at_its_deadline_so_the_next_holder_is_not_a_second_one() {
    let history = History::of(&sample::refused().events);
    assert_eq!(history.double_holds(), 0);
    let late = history.holds.iter().find(|hold| hold.lost).unwrap();
    assert_eq!((late.span.from_ns, late.span.until_ns), (1_000_000, 100_000_000));
    assert_eq!(late.wrote_ns, Some(152_000_000));
    let refusal = Refusal { worker: 1, at_ns: 152_000_000, fence: 1007, mark: 1008 };
    assert_eq!(history.refusals(), [refusal]);
    assert_eq!((history.rank(1007), history.rank(1008)), (1, 2));
}

#[test]
fn a_lease_that_overlaps_the_next_would_be_seen() {
    let mut record = sample::refused();
    for event in &mut record.events {
        if let Kind::LeaseLost { deadline_ns, .. } = &mut event.kind {
            *deadline_ns = 102_000_000;
        }
    }
    assert_eq!(History::of(&record.events).double_holds(), 1);
}

#[test]
fn a_naive_holder_believes_until_it_has_written() {
    let history = History::of(&sample::forgotten().events);
    assert_eq!(history.double_holds(), 2);
    let overwrote = Outcome::Overwrote { read: 12, found: 11 };
    assert!(history.holds.iter().any(|hold| hold.outcome == overwrote && hold.span.worker == 1));
    assert_eq!(history.stock.iter().map(|it| it.stock).collect::<Vec<_>>(), [11, 11, 10]);
    assert_eq!(history.pauses, [Span { worker: 1, from_ns: 10_000_000, until_ns: 150_000_000 }]);
}

#[test]
fn leaving_and_entering_at_the_same_moment_is_no_double_hold() {
    assert_eq!(History::of(&sample::undisturbed(Lane::NaiveLock).events).double_holds(), 0);
}
