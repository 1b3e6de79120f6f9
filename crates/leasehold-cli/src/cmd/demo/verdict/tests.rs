use super::*;
use crate::cmd::demo::sample;

fn judge(records: &[Record]) -> Verdict {
    let plan = sample::plan();
    let lanes = records.iter().map(|record| LaneVerdict::of(record, &plan)).collect();
    Verdict::of(lanes, &plan, 1000, None)
}

#[test]
fn what_is_counted_is_what_is_said() {
    let lane = LaneVerdict::of(&sample::forgotten(), &sample::plan());
    assert_eq!((lane.orders, lane.oversold, lane.lost_updates, lane.double_holds), (13, 1, 1, 2));
    assert_eq!((lane.stale_writes_accepted, lane.paused_ms, lane.exact), (1, 140, false));
    let lane = LaneVerdict::of(&sample::refused(), &sample::plan());
    assert_eq!((lane.orders, lane.oversold, lane.stale_writes_refused, lane.exact), (12, 0, 1, true));
    assert_eq!((lane.refusals[0].grant, lane.refusals[0].highest_grant), (1, 2));
}

#[test]
fn a_failed_control_and_a_refused_write_prove_something() {
    let verdict = judge(&[sample::undisturbed(Lane::NoLock), sample::forgotten(), sample::refused()]);
    assert!(verdict.proves);
    let summary = "no lock: 0 oversold · naive lock: 1 oversold · leasehold: 0 oversold, 1 stale write refused \
                   (token 1 < 2)";
    assert_eq!(verdict.summary, summary);
    let text = verdict.text(Paint(false));
    assert!(text.contains(summary) && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn without_a_control_that_fails_it_proves_nothing() {
    let calm = [sample::undisturbed(Lane::NoLock), sample::undisturbed(Lane::NaiveLock), sample::refused()];
    let verdict = judge(&calm);
    assert!(!verdict.proves);
    assert!(verdict.text(Paint(false)).contains("proves nothing"));
}

#[test]
fn without_a_refused_write_it_proves_nothing() {
    let verdict = judge(&[sample::forgotten(), sample::undisturbed(Lane::Leasehold)]);
    assert!(!verdict.proves);
    assert!(verdict.text(Paint(false)).contains("proves nothing"));
}

#[test]
fn an_oversold_leasehold_is_called_wrong() {
    let mut ours = sample::refused();
    ours.count.orders += 1;
    let verdict = judge(&[sample::forgotten(), ours]);
    assert!(!verdict.proves);
    assert!(verdict.text(Paint(false)).contains("Leasehold's lane is wrong"));
}

#[test]
fn sales_that_the_stock_forgot_are_wrong_also_when_nothing_is_oversold_yet() {
    let mut record = sample::forgotten();
    (record.count.orders, record.count.remaining) = (11, 3);
    let lane = LaneVerdict::of(&record, &sample::plan());
    assert_eq!((lane.oversold, lane.lost_updates, lane.exact), (0, 2, false));
    assert!(lane.result().contains("2 sales forgotten"), "{}", lane.result());
}
