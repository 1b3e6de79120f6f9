//! Histories made by hand: good ones, and for every rule and every part of it a bad one that this rule alone rejects.

use std::{collections::BTreeSet, time::Duration};

use leasehold_lab::{
    checker::{Assumptions, Figures, Report, Rule, check},
    history::{Event, EventKind},
    resource::Fence,
};

use crate::story::{
    ask, ask_shared, busy, event, extend, fail, gone, grant, healed, increment, last, lost, read, release,
    sorted, write,
};

const SECOND: u64 = 1_000_000;

fn judge(events: Vec<Event>) -> Report {
    check(&sorted(events), &Assumptions { heal_bound: Duration::from_secs(1), ..Assumptions::default() })
}

fn accepts(events: Vec<Event>) -> Figures {
    let report = judge(events);
    assert_eq!(report.broken, [], "a good history");
    report.figures
}

/// Rejected by this rule and by no other, with these words.
fn rejects(rule: Rule, words: &str, events: Vec<Event>) -> Report {
    let report = judge(events);
    let rules: BTreeSet<Rule> = report.broken.iter().map(|violation| violation.rule).collect();
    assert_eq!(rules, BTreeSet::from([rule]), "{:?}", report.broken);
    let said = report.broken.iter().find(|violation| violation.text.contains(words));
    let said = said.unwrap_or_else(|| panic!("nothing says {words:?}: {:?}", report.broken));
    assert!(!said.events.is_empty() && said.to_string().starts_with(&rule.to_string()));
    report
}

#[test]
fn one_after_the_other_is_good() {
    let all = [increment(0, 1, 0), increment(10, 2, 1), increment(20, 3, 2), vec![last(99, 3)]].concat();
    let figures = accepts(all);
    assert_eq!((figures.grants, figures.writes, figures.updates_lost, figures.double_holds), (3, 3, 0, 0));
}

#[test]
fn readers_overlap_and_a_writer_after_them_does_not() {
    let figures = accepts(vec![
        ask_shared(0, 1),
        ask_shared(0, 2),
        grant(5, 1, 1, 900),
        grant(6, 2, 2, 900),
        ask(7, 3),
        release(20, 1),
        release(30, 2),
        grant(40, 3, 3, 900),
        release(50, 3),
    ]);
    assert_eq!(figures.double_holds, 0);
}

#[test]
fn a_hold_that_was_lost_or_ran_out_stands_in_nobodys_way() {
    accepts(vec![
        ask(0, 1),
        grant(1, 1, 1, 900),
        lost(50, 1),
        ask(2, 2),
        grant(60, 2, 2, 100),
        ask(3, 3),
        grant(100, 3, 3, 200),
        // It finds out long after.
        release(500, 2),
        extend(120, 3, 300),
        ask(150, 4),
        grant(301, 4, 4, 400),
    ]);
}

#[test]
fn the_dead_hold_nothing() {
    // A store may know that a process is dead, and need not wait for the deadline.
    let figures = accepts(vec![ask(0, 1), grant(1, 1, 1, 900), gone(50, 1), ask(2, 2), grant(60, 2, 2, 900)]);
    assert_eq!((figures.double_holds, figures.gone), (0, 1));
}

#[test]
fn unknown_writes_may_count_or_not() {
    let unknown = |final_value| {
        let mut all = increment(0, 1, 0);
        all.extend([ask(10, 2), grant(11, 2, 2, 100), read(12, 2, 1), write(13, 2, 2, None), gone(14, 2)]);
        all.push(last(200, final_value));
        all
    };
    assert_eq!(accepts(unknown(1)).gone, 1);
    accepts(unknown(2));
    rejects(Rule::Resource, "only 2 writes", unknown(3));
    rejects(Rule::Resource, "ended at 0", unknown(0));
}

#[test]
fn a_refused_stale_write_is_what_should_happen() {
    let figures = accepts(stale_write(Some(false)));
    assert_eq!((figures.writes, figures.writes_refused, figures.updates_lost), (1, 1, 0));
}

/// Attempt 1 sleeps through its lease between its read and its write; attempt 2 has claimed the resource.
fn stale_write(accepted: Option<bool>) -> Vec<Event> {
    vec![
        ask(0, 1),
        grant(1, 1, 1, 100),
        read(2, 1, 0),
        ask(3, 2),
        grant(110, 2, 2, 200),
        read(111, 2, 0),
        write(120, 1, 1, None),
        write(121, 1, 1, accepted),
        write(130, 2, 1, None),
        write(131, 2, 1, Some(accepted != Some(true))),
        last(300, 1),
    ]
}

#[test]
fn order_rejects_a_token_that_was_granted_twice() {
    let report = rejects(
        Rule::Order,
        "token 5 of x was granted",
        vec![ask(0, 1), grant(10, 1, 5, 90), release(20, 1), ask(5, 2), grant(30, 2, 5, 90), release(40, 2)],
    );
    assert_eq!(report.broken.len(), 1);
}

#[test]
fn order_rejects_a_grant_inside_a_hold_that_was_not_answered_yet() {
    // Token 1 was taken before token 2 and was given back at 20, but token 2 was answered at 5.
    let events =
        vec![ask(1, 1), ask(1, 2), grant(5, 2, 2, 90), release(6, 2), grant(10, 1, 1, 90), release(20, 1)];
    rejects(Rule::Order, "before the hold of attempt 1 was over", events);
}

#[test]
fn order_rejects_readers_with_a_writer_between_them() {
    // The reader with token 3 was answered before the reader with token 1 was over, and writer 2 lay between them.
    let events = vec![
        ask_shared(0, 1),
        ask(0, 2),
        ask_shared(0, 3),
        grant(1, 1, 1, 90),
        grant(10, 3, 3, 90),
        release(11, 3),
        release(20, 1),
        grant(30, 2, 2, 90),
        release(31, 2),
    ];
    rejects(Rule::Order, "before the hold", events);
}

#[test]
fn order_rejects_what_no_process_can_have_seen() {
    rejects(Rule::Order, "never begun", vec![grant(1, 1, 1, 90)]);
    rejects(Rule::Order, "begins twice", vec![ask(1, 1), ask(2, 1), grant(3, 1, 1, 90)]);
}

#[test]
fn exclusion_rejects_two_holders() {
    let twice = vec![ask(0, 1), grant(1, 1, 1, 90), ask(2, 2), grant(10, 2, 2, 95), release(50, 2)];
    let report = rejects(Rule::Exclusion, "held x until 90 us", twice.clone());
    assert_eq!((report.figures.double_holds, report.figures.double_held_us), (1, 40));

    let no_clocks = Assumptions { clocks: false, ..Assumptions::default() };
    let no_memory = Assumptions { memory: false, ..Assumptions::default() };
    for assumptions in [no_clocks, no_memory] {
        let report = check(&sorted(twice.clone()), &assumptions);
        assert!(report.is_good(), "counted, where leases cannot exclude: {:?}", report.broken);
        assert_eq!(report.figures.double_holds, 1);
    }
}

#[test]
fn exclusion_rejects_a_writer_among_readers() {
    let events = vec![
        ask_shared(0, 1),
        ask_shared(0, 2),
        grant(1, 1, 1, 90),
        grant(2, 2, 2, 50),
        ask(3, 3),
        grant(60, 3, 3, 120),
    ];
    let report = rejects(Rule::Exclusion, "attempt 1 held x", events);
    assert_eq!((report.figures.double_holds, report.figures.double_held_us), (1, 30));
}

#[test]
fn exclusion_knows_of_renewals() {
    let renewed = vec![ask(0, 1), grant(1, 1, 1, 50), extend(40, 1, 90), ask(2, 2), grant(60, 2, 2, 120)];
    rejects(Rule::Exclusion, "until 90 us", renewed);
}

#[test]
fn who_knows_no_deadline_holds_for_ever() {
    let forever = |at_us, attempt: u64| {
        let what = EventKind::Grant { attempt, token: None, deadline_us: None };
        [ask(at_us, attempt), event(at_us + 1, attempt, what)]
    };
    let mut events = [forever(0, 1), forever(10, 2), forever(20, 3)].concat();
    events.extend([release(15, 1), gone(500, 2), read(600, 3, 0)]);
    let assumptions = Assumptions { tokens: false, clocks: false, fence: Fence::None, ..Default::default() };
    let figures = check(&sorted(events), &assumptions).figures;
    // 1 and 2 from 11 to 15, 2 and 3 from 21 until 2 was ended.
    assert_eq!((figures.double_holds, figures.double_held_us), (2, 4 + 479));
}

#[test]
fn tokens_rejects_a_fall() {
    let events =
        vec![ask(0, 1), grant(1, 1, 7, 90), release(2, 1), ask(3, 2), grant(4, 2, 6, 90), release(5, 2)];
    rejects(Rule::Tokens, "was granted token 7, and got 6", events);
}

#[test]
fn tokens_rejects_a_token_that_changes_is_missing_or_too_large() {
    rejects(Rule::Tokens, "changed", vec![ask(0, 1), grant(1, 1, 7, 90), grant(5, 1, 8, 95)]);
    let none = event(1, 1, EventKind::Grant { attempt: 1, token: None, deadline_us: Some(90) });
    rejects(Rule::Tokens, "is missing", vec![ask(0, 1), none]);
    rejects(Rule::Tokens, "2^53", vec![ask(0, 1), grant(1, 1, 1 << 53, 90)]);
    accepts(vec![ask(0, 1), grant(1, 1, (1 << 53) - 1, 90)]);
}

#[test]
fn resource_rejects_a_stale_write_after_a_claim() {
    let report = rejects(Rule::Resource, "had seen token 2 and accepted", stale_write(Some(true)));
    assert_eq!(report.broken.len(), 1, "the value is right, by luck: {:?}", report.broken);
}

#[test]
fn resource_rejects_a_stale_write_after_a_write() {
    // Also where only writes are fenced.
    let mut events = increment(200, 2, 0);
    events.extend([ask(0, 1), grant(1, 1, 1, 100), read(2, 1, 0), last(900, 2)]);
    events.extend([write(220, 1, 2, None), write(221, 1, 2, Some(true))]);
    rejects(Rule::Resource, "had seen token 2 and accepted", events.clone());
    let on_write = Assumptions { fence: Fence::OnWrite, ..Assumptions::default() };
    assert_eq!(check(&sorted(events.clone()), &on_write).broken.len(), 1);
    let unfenced = Assumptions { fence: Fence::None, ..Assumptions::default() };
    assert!(check(&sorted(events), &unfenced).is_good());
}

#[test]
fn resource_rejects_a_lost_update_that_no_other_rule_can_see() {
    // Fence on the write alone: the stale write comes before the first write of the next holder (faults.md C3).
    let mut events = stale_write(Some(true));
    events.retain(|event| !matches!(event.kind, EventKind::Write { attempt: 2, .. }));
    events.extend([write(130, 2, 1, None), write(131, 2, 1, Some(true))]);
    let report = rejects(Rule::Resource, "lost an update: 1 was acknowledged twice", events.clone());
    assert_eq!(report.figures.updates_lost, 1);
    let on_write = Assumptions { fence: Fence::OnWrite, ..Assumptions::default() };
    let report = check(&sorted(events), &on_write);
    assert!(report.is_good() && report.figures.updates_lost == 1, "counted: {report:?}");
}

#[test]
fn resource_rejects_results_that_do_not_add_up() {
    let two = [increment(0, 1, 0), increment(10, 2, 1)].concat();
    let with = |value| [two.clone(), vec![last(99, value)]].concat();
    accepts(with(2));
    let report = rejects(Rule::Resource, "acknowledged 2 and ended at 1", with(1));
    assert_eq!(report.figures.updates_lost, 1);
    rejects(Rule::Resource, "only 2 writes", with(3));
    let mut skipped = [increment(0, 1, 0), increment(10, 2, 2)].concat();
    skipped.push(last(99, 3));
    rejects(Rule::Resource, "ended at 3, and only 2 writes", skipped);
}

#[test]
fn liveness_rejects_a_waiter_that_is_left_alone() {
    let left = vec![healed(10), ask(5, 1), ask(20, 2), busy(30, 2), healed(2 * SECOND)];
    accepts(left);
    let left = vec![healed(10), ask(5, 1), last(2 * SECOND, 0)];
    let report = rejects(Rule::Liveness, "attempt 1 on x was not answered by 1000010 us", left.clone());
    assert_eq!(report.broken.len(), 1);
    accepts([left.clone(), vec![gone(7, 1)]].concat());
    accepts([left, vec![fail(SECOND, 1, true)]].concat());
}

#[test]
fn liveness_rejects_a_free_lock_that_is_refused() {
    let mut events = increment(0, 1, 0);
    events.extend([healed(10), ask(20, 2), busy(SECOND, 2), last(SECOND, 1)]);
    accepts(events.clone());
    events.extend([ask(3 * SECOND, 3), busy(3 * SECOND + 5, 3)]);
    rejects(Rule::Liveness, "nobody held it after 10 us", events.clone());
    // Somebody may have held it, nobody knows.
    accepts([events.clone(), vec![ask(2 * SECOND, 4), fail(5 * SECOND / 2, 4, true)]].concat());
    rejects(Rule::Liveness, "nobody held", [events, vec![ask(30, 4), fail(40, 4, false)]].concat());
}
