//! The commands of operators: inspect, list, hold, release, force-release, check.

use std::{io::Write, process::Stdio};

use crate::fixture::{Fixture, finish, now, until};

#[test]
fn a_ticket_is_the_only_thing_on_stdout_and_outlives_its_process() {
    let fixture = Fixture::new();
    let held = fixture.run(&["hold", "--for", "10m", "--note", "maintenance", "x"]);
    assert_eq!((held.code, held.stderr.as_str(), held.stdout.lines().count()), (Some(0), "", 1));
    let ticket = held.stdout.trim();
    let busy = fixture.run(&["run", "--no-wait", "x", "--", "true"]);
    assert_eq!(busy.code, Some(75));
    assert!(busy.stderr.contains("\"maintenance\""), "{}", busy.stderr);
    let left = fixture.inspect("x")["holders"][0]["left_ms"].as_u64().unwrap();
    assert!((590_000..=600_000).contains(&left), "{left}");
    assert_eq!(fixture.run(&["hold", "--for", "300ms", "short"]).code, Some(0));
    until("the end of a short hold", || fixture.holders("short") == 0);
    let released = fixture.run(&["release", ticket]);
    assert_eq!((released.code, released.stdout.as_str()), (Some(0), ""));
    assert_eq!(fixture.run(&["run", "--no-wait", "x", "--", "true"]).code, Some(0));
    let again = fixture.run(&["release", ticket]);
    assert_eq!(again.code, Some(79), "{}", again.stderr);
}

#[test]
fn a_ticket_is_read_from_stdin() {
    let fixture = Fixture::new();
    let ticket = fixture.run(&["hold", "--for", "1m", "x"]).stdout;
    let mut release = fixture.leasehold(&["release", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    release.stdin.take().unwrap().write_all(ticket.as_bytes()).unwrap();
    assert_eq!(release.wait().unwrap().code(), Some(0));
    let rubbish = fixture.run(&["release", "rubbish"]);
    assert_eq!(rubbish.code, Some(64), "{}", rubbish.stderr);
}

#[test]
fn hold_at_least_keeps_the_lock_and_not_the_caller() {
    let fixture = Fixture::new();
    let begin = now();
    let quick = fixture.run(&["run", "--hold-at-least", "10m", "x", "--", "sh", "-c", "exit 4"]);
    assert_eq!((quick.code, quick.stderr.as_str()), (Some(4), ""));
    assert!(begin.elapsed().as_secs() < 20);
    assert_eq!(fixture.run(&["run", "--on-busy", "skip", "-n", "x", "--", "false"]).code, Some(0));
    let left = fixture.inspect("x")["holders"][0]["left_ms"].as_u64().unwrap();
    assert!((500_000..=600_000).contains(&left), "{left}");
    // It counts from the grant, not from the end of the command.
    let slow = fixture.run(&["run", "--hold-at-least", "10m", "w", "--", "sleep", "1.5"]);
    let left = fixture.inspect("w")["holders"][0]["left_ms"].as_u64().unwrap();
    assert!(slow.code == Some(0) && left <= 598_500, "{left}");
    let short = fixture.run(&["run", "--hold-at-least", "100ms", "y", "--", "sleep", "0.2"]);
    assert_eq!((short.code, fixture.holders("y")), (Some(0), 0));
    assert_eq!(
        fixture.run(&["run", "--ttl", "200ms", "--hold-at-least", "300ms", "z", "--", "true"]).code,
        Some(0)
    );
    until("the end of the minimum", || fixture.holders("z") == 0);
}

#[test]
fn inspect_and_list_say_who() {
    let fixture = Fixture::new();
    let free = fixture.run(&["inspect", "x"]);
    assert_eq!(free.code, Some(0));
    assert!(free.stdout.contains("state    free\n"), "{}", free.stdout);
    let mut holder = fixture.start(&["--note", "why not", "x"], "echo in; exec sleep 1000");
    assert_eq!(holder.line(), "in");
    let page = fixture.run(&["inspect", "x"]).stdout;
    for part in [
        "lock     x\n".to_string(),
        "state    1 holding, 0 waiting\n".to_string(),
        format!(" · pid {}\n", holder.pid()),
        "  command  sh + 2 arguments\n".to_string(),
        "  note     why not\n".to_string(),
        "  exclusive · for ".to_string(),
        format!("to release it by force: leasehold force-release --store {} x\n", fixture.store()),
    ] {
        assert!(page.contains(&part), "{part:?} in {page}");
    }
    let table = fixture.run(&["list"]).stdout;
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.lines().next().unwrap().trim_start().starts_with("NAME"), "{table}");
    let none = fixture.run(&["list", "nothing-begins-so"]);
    assert_eq!((none.code, none.stdout.as_str()), (Some(0), ""));
    assert!(none.stderr.starts_with("no lock is in use in sqlite:"), "{}", none.stderr);
}

#[test]
fn force_release_needs_a_yes_where_nobody_can_be_asked() {
    let fixture = Fixture::new();
    let refused = fixture.run(&["force-release", "x"]);
    assert_eq!(refused.code, Some(64));
    assert!(refused.stderr.contains("hint: there is no terminal to ask at: add --yes"), "{}", refused.stderr);
    let nobody = fixture.run(&["force-release", "--yes", "x"]);
    assert_eq!(nobody.code, Some(0));
    assert!(nobody.stderr.starts_with("`x` was not held"), "{}", nobody.stderr);
}

#[test]
fn check_knows_the_stale_from_the_valid() {
    let fixture = Fixture::new();
    let mut holder = fixture.start(&["x"], "echo $LEASEHOLD_SEQUENCER; exec sleep 1000");
    let sequencer = holder.line();
    let valid = fixture.run(&["check", &sequencer]);
    assert_eq!(valid.code, Some(0), "{}", valid.stderr);
    assert!(valid.stdout.starts_with("valid: it still holds `x` with fencing token "), "{}", valid.stdout);
    holder.send(rustix::process::Signal::TERM);
    holder.end();
    // Somebody holds it again, by another token: a check of the name alone would call it valid.
    let mut next = fixture.start(&["x"], "echo $LEASEHOLD_SEQUENCER; exec sleep 1000");
    assert_ne!(next.line(), sequencer);
    let stale = fixture.run(&["check", "--json", &sequencer]);
    assert_eq!(stale.code, Some(1));
    next.send(rustix::process::Signal::TERM);
    next.end();
    assert!(stale.stdout.contains("\"valid\":false"), "{}", stale.stdout);
    assert_eq!(fixture.run(&["check", "rubbish"]).code, Some(64));
}

#[test]
fn completions_and_manual_are_printed() {
    let fixture = Fixture::new();
    for shell in ["bash", "zsh", "fish"] {
        let finished = finish(&mut fixture.leasehold(&["completions", shell]));
        assert!(finished.code == Some(0) && finished.stdout.contains("force-release"), "{shell}");
    }
    let page = fixture.run(&["man"]).stdout;
    assert!(page.contains(".TH leasehold") && page.contains("hold\\-at\\-least"), "{page}");
    assert!(!fixture.path("locks.db").exists(), "no store is opened for that");
}
