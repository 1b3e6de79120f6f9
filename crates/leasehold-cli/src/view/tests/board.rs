use leasehold::store::{Mode, Stance};

use super::*;

pub(crate) fn lock(name: &str, tag: u32, waiting: usize, left: u64) -> Snapshot {
    let one = |tag, stance| Contender {
        tag,
        stance,
        mode: Some(Mode::Exclusive),
        expires_in: Some(Duration::from_secs(left)),
        age: Some(Duration::from_secs(100 - left)),
        fence: None,
        note: Some(format!(r#"{{"host":"host-{tag}"}}"#).into()),
    };
    Snapshot {
        name: LockName::new(name).unwrap(),
        holders: vec![one(tag, Stance::Holding)],
        waiters: (0..waiting).map(|at| one(1000 + at as u32, Stance::Waiting)).collect(),
        fence: None,
        members: Vec::new(),
    }
}

pub(crate) fn scan(at: u64, locks: Vec<Snapshot>) -> Scan {
    Scan {
        locks,
        at: Moment::from_nanos(at * 1_000_000_000),
        took: Duration::from_millis(3),
        pause: Duration::from_secs(1),
        is_cut: false,
        counter: Counter::Shared,
    }
}

#[test]
fn changes_and_grants_are_counted_between_two_scans() {
    let mut board = Board::default();
    let first = board.update(scan(1, vec![lock("a", 1, 0, 9), lock("b", 2, 1, 9)]));
    assert_eq!((first.changes.len(), first.fresh.len()), (0, 2));
    let news = board.update(scan(3, vec![lock("b", 3, 0, 9), lock("c", 4, 0, 9)]));
    assert_eq!((news.fresh, news.gone.len()), (vec![0, 1], 1));
    let found = news.changes;
    let words: Vec<String> = found
        .iter()
        .map(|(name, change)| format!("{name} {} {}", change.kind.word(), change.who.tag))
        .collect();
    assert_eq!(words, ["b released 2", "b granted 3", "b left 1000", "c granted 4", "a released 1"]);
    assert_eq!(board.to_json(&[])["grants_per_second"], 1.0);
    assert!(
        board.summary().contains("2 locks · 2 holding · 0 waiting · 1.0 grants/s seen"),
        "{}",
        board.summary()
    );
}

#[test]
fn a_holder_that_renewed_before_and_does_not_is_in_jeopardy() {
    let mut board = Board::default();
    let lefts = [(1, 9), (3, 9), (5, 7), (7, 5), (9, 3), (10, 2)];
    let mut late =
        |(at, left)| board.update(scan(at, vec![lock("a", 1, 0, left), lock("b", 2, 0, 9)])).changes.len();
    assert_eq!(lefts.map(&mut late), [0, 0, 0, 0, 1, 0]);
}

#[test]
fn locks_behind_the_limit_are_not_taken_for_released() {
    let mut board = Board::default();
    board.update(scan(1, vec![lock("a", 1, 0, 9), lock("b", 2, 0, 9), lock("z", 3, 0, 9)]));
    let cut = Scan { is_cut: true, ..scan(2, vec![lock("b", 2, 0, 9)]) };
    let found = board.update(cut).changes;
    assert!(found.len() == 1 && found[0].0.as_str() == "a", "{found:?}");
    assert!(board.summary().starts_with("1+ locks"), "{}", board.summary());
}

#[test]
fn rows_are_sorted_and_filtered() {
    let mut board = Board::default();
    board.update(scan(1, vec![lock("a", 1, 0, 9), lock("b", 2, 2, 7), lock("c", 3, 1, 8)]));
    let names = |filter: &str, sort| {
        board.shown(filter, sort).iter().map(|lock| lock.name.to_string()).collect::<Vec<_>>().join("")
    };
    assert_eq!(names("", Sort::Name), "abc");
    assert_eq!(names("", Sort::Waiting), "bca");
    assert_eq!(names("", Sort::Left), "bca");
    assert_eq!(names("", Sort::Age), "bca");
    assert_eq!((names("host-3", Sort::Name), names("b", Sort::Name)), ("c".into(), "b".into()));
}

#[test]
fn a_pushed_state_replaces_that_of_the_scan() {
    let mut board = Board::default();
    board.update(scan(1, vec![lock("a", 1, 0, 9), lock("c", 3, 1, 8)]));
    board.replace(lock("b", 2, 0, 9));
    board.replace(lock("c", 5, 0, 9));
    board.replace(free(&lock("a", 1, 0, 9)));
    board.replace(free(&lock("d", 1, 0, 9)));
    let tags: Vec<u32> = board.locks.iter().map(|lock| lock.holders[0].tag).collect();
    assert_eq!(tags, [2, 5]);
}

#[test]
fn only_what_changed_or_was_renewed_is_fresh() {
    let mut board = Board::default();
    board.update(scan(1, vec![lock("a", 1, 0, 9), lock("b", 2, 0, 9), lock("c", 3, 1, 9)]));
    let news = board.update(scan(3, vec![lock("a", 1, 0, 7), lock("b", 2, 0, 9), lock("c", 3, 2, 7)]));
    assert_eq!((news.fresh, news.gone.len(), news.changes.len()), (vec![1, 2], 0, 1));
}
