//! A command while being the leader.

use rustix::process::Signal;

use crate::fixture::{Fixture, Running, until};

#[test]
fn the_next_leads_when_the_first_has_ended() {
    let fixture = Fixture::new();
    let elect = |script: &str| {
        Running::start(
            &mut fixture.leasehold(&["elect", "--value", "10.0.0.7", "boss", "--", "sh", "-c", script]),
        )
    };
    let mut first = elect("echo leads; exec sleep 1000");
    assert_eq!(first.line(), "leads");
    let mut second = elect("echo leads; exit 6");
    until("a candidate", || fixture.waiters("boss") == 1);
    first.send(Signal::TERM);
    assert_eq!(second.line(), "leads");
    assert_eq!(first.end().code, Some(143));
    assert_eq!(second.end().code, Some(6));
}

#[test]
fn forever_campaigns_again_until_a_signal_comes() {
    let fixture = Fixture::new();
    let arguments = ["elect", "--forever", "boss", "--", "sh", "-c", "echo leads; sleep 0.05"];
    let mut run = Running::start(&mut fixture.leasehold(&arguments));
    assert_eq!((run.line(), run.line()), ("leads".to_string(), "leads".to_string()));
    run.send(Signal::TERM);
    assert_eq!(run.end().code, Some(143));
    assert_eq!(fixture.holders("boss"), 0);
}

/// Each campaign waits for as long as was asked, and no longer.
#[test]
fn forever_with_a_limit_gives_up_when_another_leads() {
    let fixture = Fixture::new();
    let elect = |limit: &str, script: &str| {
        let arguments = ["elect", "--forever", "--wait", limit, "boss", "--", "sh", "-c", script];
        Running::start(&mut fixture.leasehold(&arguments))
    };
    let mut leader = elect("1m", "echo leads; exec sleep 1000");
    assert_eq!(leader.line(), "leads");
    let busy = elect("300ms", "echo leads").end();
    assert_eq!((busy.code, busy.stdout.as_str()), (Some(75), ""), "{}", busy.stderr);
    let mut patient = elect("1m", "echo leads; sleep 0.05");
    until("a candidate", || fixture.waiters("boss") == 1);
    leader.send(Signal::TERM);
    assert_eq!((patient.line(), patient.line()), ("leads".to_string(), "leads".to_string()));
    patient.send(Signal::TERM);
    assert_eq!(patient.end().code, Some(143));
}
