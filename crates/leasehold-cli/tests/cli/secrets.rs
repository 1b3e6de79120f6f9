//! A password goes to its server and nowhere else.

use leasehold_testkit::redis::Server;

use crate::fixture::{Finished, Fixture, Running, children, command_line, finish};

const CANARY: &str = "c4nary-p4ss-7f3a";

#[track_caller]
fn clean(what: &str, text: &str) {
    assert!(!text.contains(CANARY), "{what}: {text}");
}

/// X6. Every verb, at every level of logging, in words and in JSON, when it works and when it fails; the list of processes,
/// the environment that the command gets from us, what is kept in the store. The password is in none of them.
#[test]
fn x6_the_canary_is_found_nowhere() {
    let fixture = Fixture::new();
    let server = Server::builder().password(CANARY).start().unwrap();
    let url = format!("redis://:{CANARY}@{}", server.address());
    let wrong = format!("redis://:{CANARY}x@{}", server.address());
    let closed = format!("redis://:{CANARY}@127.0.0.1:1?timeout=100ms");
    let verbs: [&[&str]; 12] = [
        &["run", "-n", "x", "--", "true"],
        &["run", "-n", "--json", "x", "--", "true"],
        &["run", "--no-wait", "--note", "a note", "x", "--", "false"],
        &["inspect", "x"],
        &["inspect", "--json", "x"],
        &["list"],
        &["list", "--json"],
        &["hold", "-n", "held", "--for", "10m"],
        &["force-release", "--yes", "held"],
        &["check", "leasehold:x:1:x"],
        &["doctor"],
        &["doctor", "--json"],
    ];
    for level in ["off", "trace"] {
        for (verb, store) in verbs.iter().flat_map(|verb| [&url, &wrong, &closed].map(|store| (verb, store)))
        {
            let mut command = fixture.leasehold(verb);
            let Finished { code, stdout, stderr } =
                finish(command.env("LEASEHOLD_STORE", store).env("LEASEHOLD_LOG", level));
            clean(&format!("{verb:?} {level} {code:?}"), &format!("{stdout}{stderr}"));
            let works = !matches!(code, Some(64 | 69));
            assert!(works || *store != url, "the password works: {verb:?} {code:?} {stderr}");
        }
    }
    // From the variable the command has it already, as it has all variables of its user; from an option it gets it masked.
    let mut named = fixture.leasehold(&["run", "--store", &url, "x", "--", "env"]);
    let environment = finish(named.env_remove("LEASEHOLD_STORE")).stdout;
    clean("the environment of the command", &environment);
    assert!(environment.contains("LEASEHOLD_STORE=redis://:***@"), "{environment}");
    let mut run = Running::start(
        fixture
            .leasehold(&["run", "x", "--", "sh", "-c", "echo $$; exec sleep 600"])
            .env("LEASEHOLD_STORE", &url),
    );
    let command = run.pids()[0];
    for pid in children(run.pid()).into_iter().chain([run.pid(), command]) {
        clean("the list of processes", &command_line(pid));
    }
    let kept = "local all = '' for _, key in ipairs(redis.call('KEYS', '*')) do all = all .. key .. redis.call('DUMP', key) end return all";
    let kept = server.command(&["EVAL", kept, "0"]).unwrap();
    clean("the store", &format!("{kept:?}"));
    // The control: where it has to be, it is found.
    let seen = std::fs::read(format!("/proc/{}/environ", run.pid())).unwrap();
    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.contains(CANARY), "the control: the looking finds what is there");
}

/// X10. The note of a holder is read by all clients of the store. It names the program and the number of its arguments; the whole
/// line is written on request only, and without what looks like a secret.
#[test]
fn x10_the_arguments_of_a_command_are_not_in_the_note() {
    let fixture = Fixture::new();
    let line = format!("echo; : --password {CANARY}; exec sleep 600");
    let (query, json) = (format!("https://x/?api_key={CANARY}"), format!(r#"{{"password": "{CANARY}"}}"#));
    let (header, quoted) = (format!("Authorization: Bearer {CANARY}"), format!("DB_PASSWD='a {CANARY}'"));
    let plain = "echo; exec sleep 600";
    let commands: [&[&str]; 6] = [
        &["sh", "-c", &line],
        &["sh", "-c", plain, "x", "--password", CANARY],
        &["sh", "-c", plain, "x", &query],
        &["sh", "-c", plain, "x", &json],
        &["sh", "-c", plain, "x", "-H", &header],
        &["sh", "-c", plain, "x", &quoted],
    ];
    for (mode, shown) in [("program", "arguments"), ("full", "sh -c echo;")] {
        for command in commands {
            let arguments = [&["run", "--note-command", mode, "x", "--"], command].concat();
            let mut run = Running::start(&mut fixture.leasehold(&arguments));
            run.line();
            let looks = [&["inspect", "x"][..], &["inspect", "--json", "x"], &["list"], &["list", "--json"]];
            for look in looks {
                let Finished { stdout, stderr, .. } = fixture.run(look);
                clean(&format!("{look:?} of {command:?}"), &format!("{stdout}{stderr}"));
                assert!(stdout.contains(shown), "{look:?} of {command:?}: {stdout}");
            }
        }
    }
    // The control: what a user writes into the note himself is there for all to read.
    let mut run =
        Running::start(&mut fixture.leasehold(&["run", "--note", CANARY, "x", "--", "sh", "-c", plain]));
    run.line();
    assert!(fixture.run(&["inspect", "x"]).stdout.contains(CANARY), "the control: a note is seen by others");
}
