use super::*;
use crate::cmd::demo::{plan::Lane, sample};

#[test]
fn who_is_stopped_who_sells_and_who_waits_is_seen_at_a_glance() {
    let record = sample::refused();
    let mut stage = Stage::new(Lane::Leasehold, &sample::plan());
    for event in record.events.iter().take(5) {
        stage.take(event);
    }
    let rows = rows(&stage, 510_000_000, Paint(false));
    assert_eq!(rows[0], format!("  stock    {}  12 of 12 · 0 sold", "█".repeat(BAR)));
    assert_eq!(rows[1], "  worker 1    0 sold  ■ STOPPED for 0.5 s between reading and writing");
    assert_eq!(rows[2], "  worker 2    0 sold  ● sells with token 2");
}

#[test]
fn orders_that_the_stock_does_not_know_of_are_red() {
    let record = sample::forgotten();
    let mut stage = Stage::new(Lane::NaiveLock, &sample::plan());
    for event in &record.events[..8] {
        stage.take(event);
    }
    assert!(bar(&stage, Paint(true)).contains("\u{1b}[1;31m2 sold"), "{}", bar(&stage, Paint(true)));
}

#[test]
fn what_is_drawn_is_taken_back_once() {
    let mut panel = Panel { rows: 3, drawn_ns: 0 };
    assert_eq!(panel.erase(), "\u{1b}[3A\u{1b}[J");
    assert_eq!(panel.erase(), "");
}
