use super::{
    config::{Config, Strategy},
    event::{Event, Kind},
    shop::{Access, Count, Shop},
    summary::{Round, Summary},
};

/// Twelve items, two workers.
fn config() -> Config {
    Config { stock: 12, workers: 2, seed: 1, ttl_ms: 100 }
}

fn at(ms: u64, worker: u32, kind: Kind) -> Event {
    Event { at_ns: ms * 1_000_000, worker, kind }
}

fn round(strategy: Strategy, events: Vec<Event>, orders: i64, remaining: i64) -> Round {
    Round::new(strategy, &config(), 0, events, Count { orders, remaining })
}

/// Worker 1 is stopped with token 1007, worker 2 sells with 1008, the shop refuses the late write of worker 1.
fn refused() -> Round {
    let events = vec![
        at(0, 1, Kind::Waiting),
        at(1, 1, Kind::Entered { fence: Some(1007) }),
        at(2, 2, Kind::Waiting),
        at(10, 1, Kind::Paused),
        at(101, 2, Kind::Entered { fence: Some(1008) }),
        at(110, 2, Kind::Sold { read: 12, found: 12 }),
        at(111, 2, Kind::Left),
        at(150, 1, Kind::Resumed),
        at(151, 1, Kind::LeaseLost { deadline_ns: 100_000_000, writes_anyway: true }),
        at(152, 1, Kind::Refused { fence: 1007, mark: 1008 }),
        at(153, 1, Kind::Left),
        at(160, 1, Kind::SoldOut),
        at(160, 2, Kind::SoldOut),
    ];
    round(Strategy::Leasehold, events, 12, 0)
}

/// The same with a naive lock: worker 1 overwrites the sale of worker 2, while worker 2 sells again.
fn overwritten() -> Round {
    let events = vec![
        at(1, 1, Kind::Entered { fence: None }),
        at(10, 1, Kind::Paused),
        at(101, 2, Kind::Entered { fence: None }),
        at(110, 2, Kind::Sold { read: 12, found: 12 }),
        at(111, 2, Kind::Left),
        at(112, 2, Kind::Entered { fence: None }),
        at(150, 1, Kind::Resumed),
        at(152, 1, Kind::Sold { read: 12, found: 11 }),
        at(153, 1, Kind::Left),
        at(154, 2, Kind::Sold { read: 11, found: 11 }),
        at(160, 2, Kind::Left),
    ];
    round(Strategy::NaiveLock, events, 13, 0)
}

/// No pause and no error.
fn undisturbed(strategy: Strategy) -> Round {
    let events = vec![
        at(1, 1, Kind::Entered { fence: None }),
        at(9, 1, Kind::Sold { read: 12, found: 12 }),
        at(10, 1, Kind::Left),
        at(10, 2, Kind::Entered { fence: None }),
        at(12, 2, Kind::Left),
    ];
    round(strategy, events, 12, 0)
}

fn sum_up(rounds: &[Round]) -> Summary {
    Summary::new(rounds.to_vec(), config(), 1000)
}

#[test]
fn a_round_has_the_numbers_of_its_events_and_database() {
    let naive = overwritten();
    assert_eq!((naive.orders, naive.oversold, naive.lost_updates, naive.double_holds), (13, 1, 1, 2));
    assert_eq!((naive.stale_writes_accepted, naive.paused_ms, naive.exact), (1, 140, false));
    let ours = refused();
    assert_eq!((ours.orders, ours.oversold, ours.exact), (12, 0, true));
    assert_eq!(ours.refusals, [at(152, 1, Kind::Refused { fence: 1007, mark: 1008 })]);
}

#[test]
fn a_lost_lease_ends_at_its_deadline_so_the_next_holder_is_not_a_second_one() {
    assert_eq!(refused().double_holds, 0);
}

#[test]
fn a_lease_that_overlaps_the_next_would_be_seen() {
    let mut events = refused().events;
    for event in &mut events {
        if let Kind::LeaseLost { deadline_ns, .. } = &mut event.kind {
            *deadline_ns = 102_000_000;
        }
    }
    assert_eq!(round(Strategy::Leasehold, events, 12, 0).double_holds, 1);
}

#[test]
fn leaving_and_entering_at_the_same_moment_is_no_double_hold() {
    assert_eq!(undisturbed(Strategy::NaiveLock).double_holds, 0);
}

#[test]
fn a_failed_control_and_a_refused_write_prove_something() {
    let summary = sum_up(&[undisturbed(Strategy::NoLock), overwritten(), refused()]);
    assert!(summary.proves);
    let line = "no lock: 0 oversold · naive lock: 1 oversold · leasehold: 0 oversold, 1 stale write refused \
                (token 1007 < 1008)";
    assert_eq!((summary.summary.as_str(), summary.text()), (line, format!("{line}\n")));
}

#[test]
fn without_a_control_that_fails_it_proves_nothing() {
    let summary = sum_up(&[undisturbed(Strategy::NoLock), undisturbed(Strategy::NaiveLock), refused()]);
    assert!(!summary.proves && summary.text().contains("proves nothing"), "{}", summary.text());
}

#[test]
fn without_a_refused_write_it_proves_nothing() {
    let summary = sum_up(&[overwritten(), undisturbed(Strategy::Leasehold)]);
    assert!(!summary.proves && summary.text().contains("proves nothing"), "{}", summary.text());
}

#[test]
fn an_oversold_leasehold_is_called_wrong() {
    let summary = sum_up(&[overwritten(), round(Strategy::Leasehold, refused().events, 13, 0)]);
    assert!(!summary.proves);
    assert!(summary.text().contains("The Leasehold round is wrong"), "{}", summary.text());
}

#[test]
fn lost_sales_are_wrong_even_if_nothing_is_oversold() {
    let round = round(Strategy::NaiveLock, overwritten().events, 11, 3);
    assert_eq!((round.oversold, round.lost_updates, round.exact), (0, 2, false));
    assert!(round.result().contains("2 sales lost"), "{}", round.result());
}

#[test]
fn an_event_reads_back_as_it_was_written() {
    for kind in [
        Kind::Ready,
        Kind::Entered { fence: None },
        Kind::Entered { fence: Some(7) },
        Kind::Sold { read: 3, found: 2 },
        Kind::Failed { message: "a\nb".into() },
    ] {
        let event = Event { at_ns: 12, worker: 3, kind };
        let line = serde_json::to_string(&event).unwrap();
        assert_eq!(line.lines().count(), 1, "{line}");
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }
}

fn shop() -> (tempfile::TempDir, Shop) {
    let home = tempfile::tempdir().unwrap();
    let shop = Shop::create(&home.path().join("shop.db"), 5).unwrap();
    (home, shop)
}

fn token(number: u64) -> leasehold::FencingToken {
    leasehold::FencingToken::new(number).unwrap()
}

#[test]
fn an_unfenced_shop_keeps_the_last_write() {
    let (_home, mut shop) = shop();
    assert_eq!(shop.read(None).unwrap(), Access::Stock(5));
    assert_eq!(shop.sell(1, 5, None).unwrap(), Access::Stock(5));
    assert_eq!(shop.sell(2, 5, None).unwrap(), Access::Stock(4), "the sale of worker 1 is overwritten");
    assert_eq!(shop.count().unwrap(), Count { orders: 2, remaining: 4 });
}

#[test]
fn a_fenced_shop_refuses_a_late_write_and_changes_nothing() {
    let (_home, mut shop) = shop();
    assert_eq!(shop.read(Some(token(17))).unwrap(), Access::Stock(5));
    assert_eq!(shop.read(Some(token(18))).unwrap(), Access::Stock(5));
    assert_eq!(shop.sell(1, 5, Some(token(17))).unwrap(), Access::Refused { fence: 17, mark: 18 });
    assert_eq!(shop.sell(2, 5, Some(token(18))).unwrap(), Access::Stock(5));
    assert_eq!(shop.read(Some(token(17))).unwrap(), Access::Refused { fence: 17, mark: 18 });
    assert_eq!(shop.count().unwrap(), Count { orders: 1, remaining: 4 });
}

#[test]
fn the_naive_lock_expires_and_anyone_can_delete_it() {
    let (_home, shop) = shop();
    assert!(shop.naive_lock(0, 100).unwrap());
    assert!(!shop.naive_lock(99, 199).unwrap());
    assert!(shop.naive_lock(100, 200).unwrap());
    shop.naive_unlock().unwrap();
    assert!(shop.naive_lock(101, 201).unwrap());
}
