use super::*;

fn holds(client: char, from_ns: u64, until_ns: u64) -> Span {
    Span { client, activity: Activity::Holds, from_ns, until_ns }
}

#[test]
fn only_those_who_hold_are_counted_and_a_handover_is_no_overlap() {
    let waits = Span { activity: Activity::Waits, ..holds('B', 0, 100) };
    assert_eq!(overlaps(&[holds('A', 0, 50), waits, holds('B', 50, 80)]), (1, vec![]));
    let spans = [holds('A', 0, 50), holds('B', 30, 80), holds('C', 40, 60)];
    assert_eq!(overlaps(&spans), (3, vec![(30, 60)]));
    assert_eq!(overlaps(&[]), (0, vec![]));
}

fn failed() -> Counts {
    Counts {
        holders_at_once: 2,
        together_ms: 312.4,
        refused_attempts: 7,
        late_writes_accepted: 1,
        lost_updates: 1,
        ..Counts::default()
    }
}

fn refused() -> Counts {
    Counts {
        holders_at_once: 1,
        refused_attempts: 1,
        late_writes_refused: 1,
        told_ms_before_deadline: Some(20.0),
        ..Counts::default()
    }
}

#[test]
fn a_failure_shows_something_only_when_it_was_counted() {
    assert!(failed().meet(Expectation::TwoHolders) && !failed().meet(Expectation::ForeignRelease));
    assert!(Counts { foreign_releases: 1, ..failed() }.meet(Expectation::ForeignRelease));
    assert!(!failed().meet(Expectation::Kept) && !failed().meet(Expectation::Told));
    assert!(!failed().meet(Expectation::LockedForEver));
    // A lock that never refused anybody was no lock.
    assert!(!Counts { refused_attempts: 0, ..failed() }.meet(Expectation::TwoHolders));
    assert!(!Counts { told_ms_before_deadline: Some(1.0), ..failed() }.meet(Expectation::TwoHolders));
}

#[test]
fn leasehold_has_kept_its_word_only_when_told_in_time_alone_and_refused() {
    assert!(refused().meet(Expectation::Told) && refused().meet(Expectation::Forgotten));
    for broken in [
        Counts { told_ms_before_deadline: Some(-0.1), ..refused() },
        Counts { told_ms_before_deadline: None, ..refused() },
        Counts { late_writes_refused: 0, ..refused() },
        Counts { late_writes_accepted: 1, ..refused() },
        Counts { lost_updates: 1, ..refused() },
    ] {
        assert!(!broken.meet(Expectation::Told) && !broken.meet(Expectation::Forgotten), "{broken:?}");
    }
    let two = Counts { holders_at_once: 2, ..refused() };
    assert!(!two.meet(Expectation::Told) && two.meet(Expectation::Forgotten));
}

#[test]
fn what_happened_is_said_in_words() {
    assert_eq!(failed().words(), "2 holders at once for 312 ms, late write accepted, 1 update lost");
    assert_eq!(failed().told_words(Expectation::TwoHolders), "no");
    assert_eq!(refused().words(), "never 2 holders at once, late write refused, 0 updates lost");
    assert_eq!(refused().told_words(Expectation::Told), "yes, 20 ms before the deadline");
    let locked = Counts { locked_for_ever: true, watched_ms: 600, ..refused() };
    assert_eq!(locked.words(), "locked for ever: TTL -1, 1 attempts refused in 600 ms");
}
