//! Stores that go away or fill up while a command waits.

use std::{io::Write, process::Stdio};

use leasehold_testkit::{etcd::Member, redis::Server};
use rustix::process::Signal;

use crate::fixture::{Finished, Fixture, Running, finish};

fn server() -> Server {
    Server::start().unwrap_or_else(|error| panic!("{error}"))
}

/// The next line about the store.
fn store_line(run: &mut Running) -> String {
    loop {
        let line = run.stderr_line();
        assert!(!line.is_empty(), "it ended, and has said nothing of its store");
        if line.starts_with("waiting for the store · ") {
            return line;
        }
    }
}

/// N14. The server goes while its clients wait for a lock, for longer than one attempt may take, and comes back without the
/// lock. The control is a client that asks once.
#[test]
fn n14_a_store_that_goes_away_in_the_middle_of_a_wait_is_waited_for() {
    let (fixture, server) = (Fixture::new(), server());
    let url = format!("{}?timeout=500ms", server.url());
    let held = fixture.run(&["hold", "--store", &url, "--for", "10m", "x"]);
    assert_eq!(held.code, Some(0), "{}", held.stderr);
    let verbs: [&[&str]; 4] = [
        &["run", "--wait", "1m", "x", "--", "echo", "in"],
        &["run", "--fair", "--wait", "1m", "x", "--", "echo", "in"],
        &["elect", "x", "--", "echo", "in"],
        &["hold", "--wait", "1m", "--for", "100ms", "x"],
    ];
    let mut waiting = verbs.map(|verb| {
        let arguments = [&verb[..1], &["--store", &url], &verb[1..]].concat();
        let mut run = Running::start(&mut fixture.leasehold(&arguments));
        assert!(run.stderr_line().starts_with("waiting for `x`"));
        run
    });
    server.kill();
    for run in &mut waiting {
        let line = store_line(run);
        assert!(line.contains("store unreachable") || line.contains("no answer in time"), "{line}");
    }
    let control = fixture.run(&["run", "--no-wait", "--store", &url, "x", "--", "true"]);
    assert_eq!(control.code, Some(69), "{}", control.stderr);
    server.restart().unwrap();
    for run in waiting {
        let Finished { code, stdout, stderr } = run.end();
        assert_eq!(code, Some(0), "{stderr}");
        assert!(!stdout.is_empty());
    }
}

/// A page that is there before its store, and a watch that outlives it, go on with it. The control is the verb that asks once.
#[test]
fn views_wait_for_a_store_that_is_away() {
    let (fixture, server) = (Fixture::new(), server());
    let url = format!("{}?timeout=500ms", server.url());
    let view = |verb: &[&str]| {
        let arguments = [&verb[..1], &["--store", &url], &verb[1..]].concat();
        Running::start(&mut fixture.leasehold(&arguments))
    };
    server.kill();
    let control = fixture.run(&["list", "--store", &url]);
    assert_eq!(control.code, Some(69), "{}", control.stderr);
    let mut serve = view(&["serve", "--listen", "127.0.0.1:0"]);
    store_line(&mut serve);
    server.restart().unwrap();
    assert!(serve.stderr_line().starts_with("http://"));
    let mut watch = view(&["watch", "x"]);
    let granted = |watch: &mut Running| {
        let run = view(&["run", "x", "--", "sleep", "1000"]);
        assert!(watch.line().contains(" granted "));
        run.send(Signal::TERM);
        run.end();
        assert!(watch.line().contains(" released "));
    };
    granted(&mut watch);
    server.kill();
    store_line(&mut watch);
    server.restart().unwrap();
    granted(&mut watch);
}

/// N14. The end of such a wait is that of the wait for a lock.
#[test]
fn n14_a_wait_for_a_store_ends_when_it_was_asked_to() {
    let fixture = Fixture::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}?timeout=10m", silent.local_addr().unwrap());
    let finished = fixture.run(&["run", "--wait", "2s", "--store", &url, "x", "--", "true"]);
    assert_eq!(finished.code, Some(69), "{}", finished.stderr);
    assert!(finished.stderr.contains("the store has not answered for the whole wait"), "{}", finished.stderr);
}

/// Commands wait for a store that is full, until `make_room`.
fn waits_for_room(fixture: &Fixture, url: &str, make_room: impl FnOnce()) {
    let verbs: [&[&str]; 3] = [
        &["run", "--wait", "1m", "x", "--", "echo", "in"],
        &["elect", "--forever", "y", "--", "sh", "-c", "echo in; exec sleep 1000"],
        &["hold", "--wait", "1m", "--for", "1m", "z"],
    ];
    // The control: without a wait it is refused.
    let refused = fixture.run(&["run", "--no-wait", "--store", url, "x", "--", "true"]);
    assert_eq!(refused.code, Some(69), "{}", refused.stderr);
    assert!(refused.stderr.contains(": no room: "), "{}", refused.stderr);
    let mut waiting = verbs.map(|verb| {
        let arguments = [&verb[..1], &["--store", url], &verb[1..]].concat();
        Running::start(&mut fixture.leasehold(&arguments))
    });
    for run in &mut waiting {
        let line = store_line(run);
        assert!(line.contains(": no room: "), "{line}");
    }
    make_room();
    let [run, mut forever, hold] = waiting;
    assert_eq!(run.end().code, Some(0));
    assert_eq!(forever.line(), "in");
    forever.send(Signal::TERM);
    assert_eq!(forever.end().code, Some(143));
    assert_eq!(hold.end().code, Some(0));
}

#[test]
fn r11_commands_wait_for_room_in_redis() {
    let server =
        Server::builder().arg("maxmemory", "3mb").arg("maxmemory-policy", "noeviction").start().unwrap();
    for at in 0..100 {
        server.command(&["SET", &format!("fill {at}"), &"x".repeat(4096)]).unwrap();
    }
    server.command(&["CONFIG", "SET", "maxmemory", "1mb"]).unwrap();
    waits_for_room(&Fixture::new(), &format!("{}?timeout=500ms", server.url()), || {
        server.command(&["CONFIG", "SET", "maxmemory", "100mb"]).unwrap();
    });
}

#[test]
fn r11_commands_wait_for_room_in_etcd() {
    let member = Member::builder().arg("--quota-backend-bytes=4194304").start().unwrap();
    let lump = "x".repeat(100_000);
    while member.ctl(&["put", "lump", &lump]).is_ok() {}
    waits_for_room(&Fixture::new(), &format!("etcd://{}?timeout=1s", member.address()), || {
        let shown = member.ctl(&["get", "--write-out=fields", "lump"]).unwrap();
        let revision = shown.lines().find_map(|line| line.strip_prefix("\"Revision\" : ")).unwrap();
        for words in [&["compaction", revision.trim()][..], &["defrag"], &["alarm", "disarm"]] {
            member.ctl(words).unwrap();
        }
    });
}

/// On a file system of its own, in a mount namespace.
#[test]
fn r11_commands_wait_for_room_on_the_disk_of_sqlite() {
    let fixture = Fixture::new();
    let directory = fixture.path("small");
    std::fs::create_dir(&directory).unwrap();
    let script = "mount -t tmpfs -o size=400k tmpfs \"$1\" && cd \"$1\" && export LEASEHOLD_STORE=\"sqlite:$1/locks.db?timeout=500ms\" \
                  && \"$2\" run y -- true && ! dd if=/dev/zero of=filler bs=512 2>/dev/null || exit 1
                  \"$2\" run --no-wait --note \"$3\" x -- true; echo $?
                  \"$2\" run --wait 1m --note \"$3\" x -- echo in &
                  read go; rm filler; wait";
    let mut command = std::process::Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(&directory);
    command.arg(env!("CARGO_BIN_EXE_leasehold")).arg("x".repeat(1000)).stdin(Stdio::piped());
    let mut run = Running::start(&mut command);
    let mut go = run.stdin();
    assert_eq!(run.line(), "69", "the control: without a wait it is refused");
    let line = store_line(&mut run);
    assert!(line.contains(": no room: database or disk is full"), "{line}");
    writeln!(go).unwrap();
    assert_eq!(run.line(), "in");
}

/// No error repeats itself: of every store that is away or cannot be used, by every verb.
#[test]
fn errors_do_not_repeat_themselves() {
    let fixture = Fixture::new();
    let three = "127.0.0.1:1,127.0.0.1:2,127.0.0.1:3";
    let missing = format!("sqlite:{}/none/locks.db", fixture.path("x").display());
    for url in [
        "redis://127.0.0.1:1",
        "rediss://127.0.0.1:1",
        "redis+sentinel://127.0.0.1:1/m",
        "redis+cluster://127.0.0.1:1",
        "redis+unix:///nonexistent/socket",
        "memcached://127.0.0.1:1",
        "etcd://127.0.0.1:1",
        "zookeeper://127.0.0.1:1?timeout=200ms",
        "redis://no-such-host.invalid",
        "etcd://no-such-host.invalid",
        &missing,
        &format!("redlock://{three}"),
        "quorum:redis://127.0.0.1:1;etcd://127.0.0.1:1;memcached://127.0.0.1:1",
        "quorum:redis://127.0.0.1:1;etcd://127.0.0.1:1;zookeeper://127.0.0.1:1?timeout=200ms",
    ] {
        for verb in
            ["run --no-wait x -- true", "inspect x", "list", "force-release --yes x", "hold -n --for 1m x"]
        {
            let mut words = verb.split(' ');
            let mut command = fixture.leasehold(&[words.next().unwrap(), "--store", url]);
            let finished = finish(command.args(words));
            assert!(finished.code.is_some_and(|code| code >= 64), "{url} {verb}: {}", finished.stderr);
            assert!(!finished.stderr.contains("(after 0ms)"), "{url} {verb}: {}", finished.stderr);
            for line in finished.stderr.lines() {
                // Each member of a quorum says its own.
                for part in line.split("; ") {
                    let part = part.split_once("needed").map_or(part, |(_, members)| members);
                    for phrase in ["store unreachable", "no answer in time", "rejected by the store", url] {
                        let count = part.matches(phrase).count();
                        assert!(count <= 1, "{url} {verb}: `{phrase}` {count} times: {part}");
                    }
                }
            }
        }
    }
}
