//! Commands under a lock that a Memcached server keeps.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use leasehold_testkit::memcached::Server;

use crate::fixture::{Fixture, finish, until, until_dead};

fn server(args: &[&str]) -> Server {
    Server::with(args).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_command_runs_under_a_lock_and_the_next_is_told_who_has_it() {
    let (fixture, server) = (Fixture::new(), server(&[]));
    let url = server.url();
    let script = "echo $$; echo $LEASEHOLD_FENCING_TOKEN; while :; do sleep 0.02; done";
    let mut run = fixture.start(&["--store", &url, "--ttl", "6s", "nightly"], script);
    let child = run.pids()[0];
    let token: u64 = run.line().trim().parse().unwrap();
    let busy = fixture.run(&["run", "--store", &url, "--no-wait", "nightly", "--", "true"]);
    assert_eq!(busy.code, Some(75), "{}", busy.stderr);
    assert!(busy.stderr.contains(&format!("pid {}", run.pid())), "{}", busy.stderr);
    assert!(busy.stderr.contains("start it with -M"), "{}", busy.stderr);
    let listed = fixture.run(&["list", "--store", &url, "night"]);
    assert!(listed.stdout.contains("nightly"), "{}", listed.stdout);
    let forced = fixture.run(&["force-release", "--store", &url, "--yes", "nightly"]);
    assert_eq!(forced.code, Some(0), "{}", forced.stderr);
    let next =
        fixture.run(&["run", "--store", &url, "nightly", "--", "sh", "-c", "echo $LEASEHOLD_FENCING_TOKEN"]);
    assert!(next.stdout.trim().parse::<u64>().unwrap() > token, "{}", next.stdout);
    let finished = run.end();
    assert_eq!(finished.code, Some(79), "thrown out: {}", finished.stderr);
    until_dead(child);
}

#[test]
fn a_server_that_is_not_there_is_69_a_stranger_is_75_and_a_senseless_ttl_is_refused() {
    let (fixture, server) = (Fixture::new(), server(&[]));
    let nobody =
        fixture.run(&["run", "-n", "--store", "memcached://127.0.0.1:1?timeout=300ms", "x", "--", "true"]);
    assert_eq!(nobody.code, Some(69), "{}", nobody.stderr);
    assert!(nobody.stderr.contains("127.0.0.1:1"), "{}", nobody.stderr);
    assert_eq!(server.command("add x 0 60 2\r\nme").unwrap(), "STORED");
    let busy = fixture.run(&["run", "--store", &server.url(), "--no-wait", "x", "--", "true"]);
    assert_eq!(busy.code, Some(75), "{}", busy.stderr);
    let shown = fixture.run(&["inspect", "--store", &server.url(), "x"]);
    assert!(shown.stdout.contains("another library: value me"), "{}", shown.stdout);
    for ttl in ["500ms", "31d"] {
        let refused = fixture.run(&["run", "--store", &server.url(), "--ttl", ttl, "y", "--", "true"]);
        assert!(refused.code != Some(0) && refused.stderr.contains("time to live"), "{}", refused.stderr);
    }
}

#[test]
fn doctor_says_what_loses_locks() {
    let fixture = Fixture::new();
    let evicting = server(&[]);
    evicting.command("flush_all").unwrap();
    let found = fixture.run(&["doctor", "--store", &evicting.url()]);
    assert_eq!(found.code, Some(78), "{}", found.stdout);
    assert!(found.stdout.contains("found    1 critical, 3 warning, 2 ok"), "{}", found.stdout);
    assert!(
        found.stdout.contains("start it with -M") && found.stdout.contains("emptied 1 times"),
        "{}",
        found.stdout
    );
    let firm = server(&["-M"]);
    let found = fixture.run(&["doctor", "--store", &firm.url()]);
    assert!(found.stdout.contains("found    0 critical, 2 warning, 5 ok"), "{}", found.stdout);
    let without_cas = server(&["-M", "-C"]);
    let found = fixture.run(&["doctor", "--store", &without_cas.url()]);
    assert_eq!(found.code, Some(78), "{}", found.stdout);
    assert!(found.stdout.contains("started with -C"), "{}", found.stdout);
}

/// N17. One name, two servers. The control: each of them grants the lock to a client that takes the address that answers first.
#[test]
fn n17_a_name_of_two_servers_is_refused() {
    let (fixture, here) = (Fixture::new(), server(&[]));
    let port = here.port().to_string();
    let there = leasehold_testkit::process::Process::start("memcached", |command| {
        command.args(["-u", "nobody", "-l", "127.0.0.2", "-p", &port, "-U", "0"]);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    });
    let _there = there.unwrap();
    let at = |address: &str| TcpStream::connect(format!("{address}:{port}"));
    until("the second server", || at("127.0.0.2").is_ok());
    let grants = |address: &str| {
        let mut stream = at(address).unwrap();
        stream.write_all(b"add naive 0 60 2\r\nme\r\n").unwrap();
        let mut answer = [0; 8];
        stream.read_exact(&mut answer).unwrap();
        &answer == b"STORED\r\n"
    };
    assert!(grants("127.0.0.1") && grants("127.0.0.2"), "the control: two holders");
    let hosts = fixture.path("hosts");
    let run = |lines: &str| {
        std::fs::write(&hosts, lines).unwrap();
        let mut command = std::process::Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c"]);
        command
            .arg("mount --bind \"$0\" /etc/hosts && exec \"$@\"")
            .arg(&hosts)
            .arg(env!("CARGO_BIN_EXE_leasehold"));
        let store = format!("memcached://locks.test:{port}");
        finish(command.args(["run", "--no-wait", "--store", &store, "x", "--", "true"]))
    };
    let refused = run("127.0.0.1 locks.test\n127.0.0.2 locks.test\n");
    assert_eq!(refused.code, Some(78), "{}", refused.stderr);
    assert!(refused.stderr.contains("which are two servers"), "{}", refused.stderr);
    // An address at which nobody listens is none of a second server.
    for lines in ["127.0.0.1 locks.test\n127.0.0.3 locks.test\n", "127.0.0.2 locks.test\n"] {
        let one = run(lines);
        assert_eq!(one.code, Some(0), "{}", one.stderr);
    }
}
