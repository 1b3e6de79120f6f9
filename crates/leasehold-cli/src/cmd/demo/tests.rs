use std::time::Duration;

use super::{
    config::{Config, Strategy},
    event::{Event, Kind},
    messages::Messages,
    round::Round,
    shop::{Count, Reading, Sale, Shop},
    summary::{RoundSummary, Summary},
};

/// Twelve items, two workers.
fn config() -> Config {
    Config { stock: 12, workers: 2, seed: 1, ttl: Duration::from_millis(100) }
}

fn at(ms: u64, worker: u32, kind: Kind) -> Event {
    Event { at_ns: ms * 1_000_000, worker, kind }
}

fn round(strategy: Strategy, events: Vec<Event>, orders: i64, remaining: i64) -> Round {
    let ended_ns = events.last().map_or(0, |event| event.at_ns);
    Round { strategy, began_ns: 0, ended_ns, events, count: Count { orders, remaining } }
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

fn count(round: &Round) -> RoundSummary {
    RoundSummary::new(round, &config())
}

fn sum_up(rounds: &[Round]) -> Summary {
    let rounds = rounds.iter().map(|round| (round.clone(), count(round))).collect();
    Summary::new(rounds, &config(), Duration::from_secs(1))
}

#[test]
fn a_summary_has_the_numbers_of_its_round() {
    let naive = count(&overwritten());
    assert_eq!((naive.orders, naive.oversold, naive.lost_updates, naive.double_holds), (13, 1, 1, 2));
    assert_eq!((naive.stale_writes_accepted, naive.paused_ms, naive.exact), (1, 140, false));
    let ours = count(&refused());
    assert_eq!((ours.orders, ours.oversold, ours.stale_writes_refused, ours.exact), (12, 0, 1, true));
    assert_eq!((ours.refusals[0].token, ours.refusals[0].highest_seen), (1007, 1008));
    assert_eq!((ours.refusals[0].grant, ours.refusals[0].highest_grant), (1, 2));
}

#[test]
fn a_lost_lease_ends_at_its_deadline_so_the_next_holder_is_not_a_second_one() {
    assert_eq!(count(&refused()).double_holds, 0);
}

#[test]
fn a_lease_that_overlaps_the_next_would_be_seen() {
    let mut round = refused();
    for event in &mut round.events {
        if let Kind::LeaseLost { deadline_ns, .. } = &mut event.kind {
            *deadline_ns = 102_000_000;
        }
    }
    assert_eq!(count(&round).double_holds, 1);
}

#[test]
fn leaving_and_entering_at_the_same_moment_is_no_double_hold() {
    assert_eq!(count(&undisturbed(Strategy::NaiveLock)).double_holds, 0);
}

#[test]
fn a_failed_control_and_a_refused_write_prove_something() {
    let summary = sum_up(&[undisturbed(Strategy::NoLock), overwritten(), refused()]);
    assert!(summary.proves);
    let line = "no lock: 0 oversold · naive lock: 1 oversold · leasehold: 0 oversold, 1 stale write refused \
                (token 1 < 2)";
    assert_eq!(summary.line, line);
    assert!(summary.text().contains(line));
    let json = summary.to_json();
    assert_eq!(
        json["rounds"][2]["events"][3],
        serde_json::json!({ "at_ns": 10_000_000, "worker": 1, "event": "paused" })
    );
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
    let mut ours = refused();
    ours.count.orders += 1;
    let summary = sum_up(&[overwritten(), ours]);
    assert!(!summary.proves);
    assert!(summary.text().contains("The Leasehold round is wrong"), "{}", summary.text());
}

#[test]
fn lost_sales_are_wrong_even_if_nothing_is_oversold() {
    let mut round = overwritten();
    (round.count.orders, round.count.remaining) = (11, 3);
    let summary = count(&round);
    assert_eq!((summary.oversold, summary.lost_updates, summary.exact), (0, 2, false));
    assert!(summary.result().contains("2 sales lost"), "{}", summary.result());
}

fn messages(round: &Round) -> Vec<String> {
    let mut messages = Messages::new(round.strategy);
    round.events.iter().filter_map(|event| messages.message(event)).collect()
}

#[test]
fn a_refused_write_is_told_in_five_lines() {
    let expected = [
        "   0.01 s worker 1 has read the stock and is stopped before it writes (SIGSTOP)",
        "   0.10 s worker 2 enters with token 2: the lease of worker 1 has ended",
        "   0.15 s worker 1 continues (SIGCONT)",
        "   0.15 s the lease of worker 1 reports that it ended 51 ms ago; it writes anyway, as a client without a check \
         would",
        "   0.15 s the shop refuses the write of worker 1: token 1 < 2",
    ];
    assert_eq!(messages(&refused()), expected);
}

#[test]
fn an_overwritten_sale_is_told_with_both_stocks() {
    let told = messages(&overwritten());
    assert_eq!(told[1], "   0.10 s worker 2 enters: the lock of worker 1 has expired");
    assert_eq!(told[3], "   0.15 s worker 1 writes a stock of 11 over 11: 1 sales are lost");
    assert_eq!(told.len(), 4);
}

#[test]
fn a_round_without_a_pause_has_no_messages() {
    assert_eq!(messages(&undisturbed(Strategy::NaiveLock)), Vec::<String>::new());
}

#[test]
fn an_event_is_one_line_and_reads_back() {
    for kind in [
        Kind::Ready,
        Kind::Entered { fence: None },
        Kind::Entered { fence: Some(7) },
        Kind::Sold { read: 3, found: 2 },
        Kind::Failed { message: "a\nb".into() },
    ] {
        let event = Event { at_ns: 12, worker: 3, kind };
        let line = event.line().unwrap();
        assert_eq!(line.lines().count(), 1, "{line}");
        assert_eq!(Event::parse(&line).unwrap(), event);
    }
}

#[test]
fn a_line_that_is_no_event_is_quoted() {
    assert!(Event::parse("hello").unwrap_err().to_string().contains("`hello`"));
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
    assert_eq!(shop.stock().unwrap(), 5);
    assert_eq!(shop.sell(1, 5).unwrap(), 5);
    assert_eq!(shop.sell(2, 5).unwrap(), 4, "the sale of worker 1 is overwritten");
    assert_eq!(shop.count().unwrap(), Count { orders: 2, remaining: 4 });
}

#[test]
fn a_fenced_shop_refuses_a_late_write_and_changes_nothing() {
    let (_home, mut shop) = shop();
    assert_eq!(shop.claim(token(17)).unwrap(), Reading::Stock(5));
    assert_eq!(shop.claim(token(18)).unwrap(), Reading::Stock(5));
    assert_eq!(shop.sell_fenced(1, 5, token(17)).unwrap(), Sale::Refused { mark: 18 });
    assert_eq!(shop.sell_fenced(2, 5, token(18)).unwrap(), Sale::Written { found: 5 });
    assert_eq!(shop.claim(token(17)).unwrap(), Reading::Refused { mark: 18 });
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
