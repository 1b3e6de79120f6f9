//! Readers, writers and places.

use rustix::process::Signal;

use crate::fixture::{Fixture, until};

#[test]
fn three_permits_let_exactly_three_in() {
    let fixture = Fixture::new();
    let options = ["--permits", "3", "--wait", "forever", "gate"];
    let mut inside: Vec<_> = (0..3).map(|_| fixture.start(&options, "echo in; exec sleep 1000")).collect();
    inside.iter_mut().for_each(|run| assert_eq!(run.line(), "in"));
    let refused = fixture.run(&["run", "--permits", "3", "--no-wait", "gate", "--", "true"]);
    assert_eq!(refused.code, Some(75));
    let mut fourth = fixture.start(&options, "echo in");
    until("the fourth to wait", || fixture.waiters("gate") == 1);
    assert_eq!(fixture.holders("gate"), 3);
    inside.pop().unwrap().send(Signal::TERM);
    assert_eq!(fourth.line(), "in");
    let mismatch = fixture.run(&["run", "--permits", "4", "gate", "--", "true"]);
    assert_eq!(mismatch.code, Some(64), "{}", mismatch.stderr);
    assert!(mismatch.stderr.contains("semaphore of 3"), "{}", mismatch.stderr);
}

#[test]
fn readers_share_and_let_a_waiting_writer_go_first() {
    let fixture = Fixture::new();
    let mut first = fixture.start(&["--shared", "x"], "echo in; exec sleep 1000");
    assert_eq!(first.line(), "in");
    assert_eq!(
        fixture.run(&["run", "--shared", "--no-wait", "x", "--", "true"]).code,
        Some(0),
        "readers share"
    );
    let mut writer = fixture.start(&["x"], "echo in; exec sleep 1000");
    until("the writer to wait", || fixture.waiters("x") == 1);
    let late = fixture.run(&["run", "--shared", "--no-wait", "x", "--", "true"]);
    assert_eq!(late.code, Some(75), "a reader does not overtake a waiting writer");
    first.send(Signal::TERM);
    assert_eq!(writer.line(), "in");
}
