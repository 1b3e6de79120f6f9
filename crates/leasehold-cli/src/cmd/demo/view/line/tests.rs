use super::*;
use crate::cmd::demo::{director::Record, sample};

fn lines(record: &Record) -> Vec<String> {
    let mut stage = Stage::new(record.lane, &sample::plan());
    let line = |event| {
        stage.take(event);
        of(event, &mut stage, Paint(false))
    };
    record.events.iter().filter_map(line).collect()
}

#[test]
fn the_story_of_a_refused_write_is_told_in_five_lines() {
    let told = lines(&sample::refused());
    let expected = [
        "   0.01 s worker 1 has read the stock and is stopped before it writes (SIGSTOP)",
        "   0.10 s worker 2 enters with token 2: the lease of worker 1 has ended",
        "   0.15 s worker 1 goes on (SIGCONT)",
        "   0.15 s worker 1 is told by its own lease that it ended 51 ms ago: that would have stopped it already; we \
         let it write anyway, as a worker that does not look",
        "   0.15 s the shop refuses the write of worker 1: token 1 < 2",
    ];
    assert_eq!(told, expected);
}

#[test]
fn the_story_of_forgotten_sales_names_both_stocks() {
    let told = lines(&sample::forgotten());
    assert_eq!(told[1], "   0.10 s worker 2 enters: the lock of worker 1 has expired");
    assert_eq!(told[3], "   0.15 s worker 1 writes a stock of 11 over 11: 1 sales are forgotten");
    assert_eq!(told.len(), 4);
}

#[test]
fn a_day_without_a_pause_is_not_worth_a_line() {
    assert_eq!(lines(&sample::undisturbed(Lane::NaiveLock)), Vec::<String>::new());
}
