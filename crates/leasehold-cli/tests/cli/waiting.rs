//! Waiting is never silent, and leaves nothing behind.

use rustix::process::Signal;

use crate::{
    fixture::{Fixture, now, until},
    top::Top,
};

#[test]
fn a_wait_gives_up_in_time_and_names_the_holder() {
    let fixture = Fixture::new();
    let mut holder = fixture.start(&["--note", "nightly", "deploy"], "echo in; exec sleep 1000");
    assert_eq!(holder.line(), "in");
    let begin = now();
    let finished = fixture.run(&["run", "--wait", "2s", "deploy", "--", "true"]);
    let waited = begin.elapsed();
    assert_eq!(finished.code, Some(75));
    assert!((2.0..4.0).contains(&waited.as_secs_f64()), "{waited:?}");
    let lines: Vec<&str> = finished.stderr.lines().collect();
    let pid = holder.pid();
    assert!(lines[0].starts_with("waiting for `deploy` · "), "{lines:?}");
    assert!(lines[0].contains(" left · held by "), "{lines:?}");
    assert!(lines[0].contains(&format!("(pid {pid}, sh + 2 arguments, \"nightly\") for ")), "{lines:?}");
    assert!(lines[1].starts_with("error: `deploy` is busy: gave up after 2s · held by "), "{lines:?}");
    assert!(lines[2].starts_with("hint: "), "{lines:?}");
    assert_eq!(lines.len(), 3, "{lines:?}");
}

#[test]
fn the_end_of_a_reported_wait_is_reported() {
    let fixture = Fixture::new();
    let mut holder = fixture.start(&["x"], "echo in; exec sleep 1000");
    assert_eq!(holder.line(), "in");
    let mut waiter = fixture.start(&["x"], "echo mine");
    let line = waiter.stderr_line();
    assert!(line.starts_with("waiting for `x` · ") && line.contains(" · held by "), "{line}");
    holder.send(Signal::TERM);
    assert_eq!(holder.end().code, Some(143));
    assert_eq!(waiter.line(), "mine");
    let finished = waiter.end();
    assert_eq!(finished.code, Some(0));
    assert!(finished.stderr.starts_with("acquired `x` after "), "{}", finished.stderr);
}

/// Place and time left are rewritten in place, and gone afterwards.
#[test]
fn a_wait_on_a_terminal_is_one_line_that_goes_away() {
    let fixture = Fixture::new();
    let mut holder = fixture.start(&["x"], "echo in; exec sleep 1000");
    assert_eq!(holder.line(), "in");
    let first = fixture.start(&["--fair", "x"], "exec sleep 1000");
    until("the first waiter", || fixture.waiters("x") == 1);
    let mut terminal = Top::start(&mut fixture.leasehold(&["run", "--fair", "x", "--", "echo", "mine"]));
    terminal.until("the place", |picture| picture.contains(" · you are 2nd · "));
    drop(first);
    terminal.until("the next place", |picture| picture.contains(" · you are 1st · "));
    assert_eq!(terminal.picture.screen().contents().matches("waiting for").count(), 1);
    holder.send(Signal::TERM);
    assert_eq!(terminal.ends(), Some(0));
    assert_eq!(terminal.picture.screen().contents().trim(), "mine");
}

/// The description of the holder is cut, in columns and not in characters, so that the line stays one.
#[test]
fn the_place_and_the_time_left_are_whole_on_80_columns() {
    let (fixture, name) = (Fixture::new(), "夜間請求");
    let note = "a note that makes the description as long as it can be";
    let mut holder = fixture.start(&["--note", note, name], "echo in; exec sleep 1000");
    assert_eq!(holder.line(), "in");
    let _first = fixture.start(&["--fair", name], "exec sleep 1000");
    until("the first waiter", || fixture.waiters(name) == 1);
    let mut command = fixture.leasehold(&["run", "--fair", name, "--", "echo", "mine"]);
    let mut terminal = Top::start_sized(&mut command, 24, 80);
    terminal.until("the place and the time left", |picture| {
        let rest = picture.trim().strip_prefix("waiting for `夜間請求` · you are 2nd · ");
        rest.is_some_and(|rest| rest.contains("s left · held by "))
    });
    let shown = terminal.picture.screen().contents();
    assert!(shown.trim().lines().count() == 1 && !shown.contains("as it can be"), "{shown}");
}

/// Spans and events of the library, one object a line.
#[test]
fn the_log_is_json_when_asked_for() {
    let fixture = Fixture::new();
    let mut command = fixture.leasehold(&["run", "night", "--", "true"]);
    command.env("LEASEHOLD_LOG", "debug").env("LEASEHOLD_LOG_FORMAT", "json");
    let finished = crate::fixture::finish(&mut command);
    assert_eq!(finished.code, Some(0));
    let lines: Vec<serde_json::Value> = finished
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect();
    let granted = lines.iter().find(|line| line["fields"]["message"] == "granted").expect("the grant");
    assert_eq!((&granted["level"], &granted["span"]["name"]), (&"DEBUG".into(), &"lock.acquire".into()));
    assert_eq!(
        (&granted["span"]["lock.name"], &granted["span"]["lock.backend"]),
        (&"night".into(), &"sqlite".into())
    );
}

#[test]
fn a_short_wait_is_not_worth_a_word() {
    let fixture = Fixture::new();
    let finished = fixture.run(&["run", "x", "--", "true"]);
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_store_that_does_not_answer_is_reported_soon() {
    let fixture = Fixture::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let store = format!("redis://{}?timeout=20s", silent.local_addr().unwrap());
    let begin = now();
    let mut run = fixture.start(&["--store", &store, "x"], "true");
    assert!(run.stderr_line().starts_with("waiting for the store · "));
    assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
}

#[test]
fn a_signal_leaves_the_queue() {
    let fixture = Fixture::new();
    let mut holder = fixture.start(&["x"], "echo in; exec sleep 1000");
    assert_eq!(holder.line(), "in");
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut waiter = fixture.start(&["--fair", "x"], "echo never");
        assert!(waiter.stderr_line().contains("`x` · you are 1st · "), "the place is told");
        assert_eq!(fixture.waiters("x"), 1);
        waiter.send(signal);
        let finished = waiter.end();
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(code), ""));
        assert_eq!(fixture.waiters("x"), 0, "left at once, not after the ttl");
    }
}

#[test]
fn a_killed_waiter_leaves_the_queue_too() {
    let fixture = Fixture::new();
    let mut holder = fixture.start(&["x"], "echo in; exec sleep 1000");
    assert_eq!(holder.line(), "in");
    let waiter = fixture.start(&["--fair", "x"], "echo never");
    until("the waiter", || fixture.waiters("x") == 1);
    waiter.send(Signal::KILL);
    until("an empty queue", || fixture.waiters("x") == 0);
}

#[test]
fn events_are_one_json_line_each() {
    let fixture = Fixture::new();
    let mut holder = fixture.start(&["x"], "echo in; exec sleep 1000");
    assert_eq!(holder.line(), "in");
    let mut waiter = fixture.start(&["--json", "x"], "exit 3");
    let waiting: serde_json::Value = serde_json::from_str(&waiter.stderr_line()).unwrap();
    assert_eq!((&waiting["event"], &waiting["lock"]), (&"waiting".into(), &"x".into()));
    assert_eq!(waiting["holder"]["pid"], holder.pid());
    holder.send(Signal::TERM);
    let finished = waiter.end();
    assert_eq!(finished.code, Some(3));
    let events: Vec<serde_json::Value> =
        finished.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["acquired", "released", "exit"]);
    assert!(events[0]["fencing_token"].as_u64().unwrap() > 0);
    assert_eq!(events[2]["exit_code"], 3);
}
