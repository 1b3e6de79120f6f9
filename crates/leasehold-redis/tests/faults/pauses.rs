//! Clients that stand still at the worst moment, or end without a word.

use std::{process::Command, time::Duration};

use leasehold_testkit::{
    proxy::Proxy,
    redis::{Reply, Server},
    wait,
};

use crate::{
    common,
    fixture::{LATE, SOON, at, engine, eventually, holder, lock, run, try_lock, ttl},
    resource::{Check, Resource},
    worker::Worker,
};

/// Longer than it takes to come to the pause, on a busy machine; the pause is as long as it takes to end.
const TTL: &str = "1500";

/// When the second holder writes: before the first one wakes, or after.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Second {
    WritesFirst,
    WritesLast,
}

/// The answer to the first worker's late write, and how many updates that were acknowledged are missing in the end.
fn late_write(server: &Server, key: &str, check: Check, second: Second) -> (String, i64) {
    let mut first = Worker::start(&server.address());
    first.ask(&format!("lock {key} {TTL}"));
    first.tell(&format!("add {key}:value {} unchecked", check.word()));
    first.await_stopped();
    run(async {
        let hold = lock(&engine(&at(server)), key, &ttl(30_000)).await;
        let token = hold.lease().fencing_token().unwrap().get();
        let mut resource = Resource::at(&server.address(), &format!("{key}:value"), check);
        let value = resource.read(token);
        let mut acknowledged = 0;
        if second == Second::WritesFirst {
            acknowledged += i64::from(resource.write(token, value + 1));
        }
        first.go_on();
        let said = first.hear();
        if second == Second::WritesLast {
            acknowledged += i64::from(resource.write(token, value + 1));
        }
        acknowledged += i64::from(said == "written");
        (said, acknowledged - resource.read(token))
    })
}

/// C1. A holder stands still for longer than its lease: it knows when it wakes, and stops. One that counts on a time to live
/// and does not look goes on: see the two cases below, which are the controls.
#[test]
fn c1_a_holder_that_slept_through_its_lease_stops_at_its_next_look() {
    let server = Server::start().unwrap();
    let mut first = Worker::start(&server.address());
    let token: u64 = first.ask(&format!("lock orders {TTL}")).parse().unwrap();
    first.tell("add orders:value nothing checked");
    first.await_stopped();
    run(async {
        let hold = lock(&engine(&at(&server)), "orders", &ttl(30_000)).await;
        assert!(hold.lease().fencing_token().unwrap().get() > token);
        first.go_on();
        assert_eq!(first.hear(), "lost", "not a word was written to a resource that would have taken it");
        assert_eq!(first.ask("check"), "false");
        assert!(hold.lease().check().is_ok());
    });
    let (said, lost) = late_write(&server, "control", Check::Nothing, Second::WritesFirst);
    assert_eq!((said.as_str(), lost), ("written", 1), "the control: it does not look, and an update is lost");
}

/// C2. The pause comes between the last look and the write. No client can help that: the resource has to.
#[test]
fn c2_a_write_that_comes_after_the_pause_is_refused_by_its_token() {
    let server = Server::start().unwrap();
    for (at, check) in [Check::Writes, Check::Claims].into_iter().enumerate() {
        let (said, lost) = late_write(&server, &format!("orders-{at}"), check, Second::WritesFirst);
        assert_eq!((said.as_str(), lost), ("refused", 0), "{check:?}");
    }
    let (said, lost) = late_write(&server, "control", Check::Nothing, Second::WritesFirst);
    assert_eq!((said.as_str(), lost), ("written", 1), "the control: unfenced, an update is lost");
}

/// C3. The late write comes after the second holder has read and before it has written. Tokens on writes alone do not help:
/// the second has to claim the resource with its token before it reads.
#[test]
fn c3_a_late_write_between_read_and_write_is_refused_when_the_resource_was_claimed() {
    let server = Server::start().unwrap();
    let (said, lost) = late_write(&server, "orders", Check::Claims, Second::WritesLast);
    assert_eq!((said.as_str(), lost), ("refused", 0));
    for (at, check) in [Check::Nothing, Check::Writes].into_iter().enumerate() {
        let (said, lost) = late_write(&server, &format!("control-{at}"), check, Second::WritesLast);
        assert_eq!((said.as_str(), lost), ("written", 1), "the control: {check:?} loses an update");
    }
}

/// C4. The client is stopped after it has asked and before it reads the answer, which waits in its socket. When it wakes, the
/// lease that it was granted is over, and another has the lock.
#[test]
fn c4_an_answer_that_was_read_too_late_is_no_lock() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    let mut workers = [Worker::start(&proxy.address()), Worker::start(&proxy.address())];
    workers[0].ask("lock warm 30000");
    proxy.hold_replies();
    for (worker, line) in workers.iter_mut().zip(["try orders 1000", "naive control 1000"]) {
        worker.tell(line);
    }
    let granted = || ["orders", "control"].iter().all(|key| holder(&server, key).is_some());
    assert!(wait::until(SOON, granted), "both are granted, and not told");
    workers.iter().for_each(Worker::pause);
    proxy.pass();
    let over = || ["orders", "control"].iter().all(|key| holder(&server, key).is_none());
    assert!(wait::until(SOON, over), "both grants are over");
    run(async {
        let other = engine(&at(&server));
        let _orders = lock(&other, "orders", &ttl(30_000)).await;
        let _control = lock(&other, "control", &ttl(30_000)).await;
        workers.iter().for_each(Worker::resume);
        let said = workers[0].hear();
        assert!(said == "busy" || said.starts_with("error"), "{said}");
        assert_eq!(workers[1].hear(), "true", "the control: it believes the answer, beside another holder");
    });
}

/// C13. A service is started again under the same name on the same host, while its predecessor still runs somewhere. Ids are
/// of acquisitions and not of hosts, so the old one releases nothing of the new one.
#[test]
fn c13_a_predecessor_releases_nothing_of_its_successor() {
    let server = Server::start().unwrap();
    let (mut old, mut new) = (Worker::start(&server.address()), Worker::start(&server.address()));
    old.ask("lock orders 500");
    old.pause();
    let first: u64 = new.ask("lock orders 30000").parse().unwrap();
    let owner = holder(&server, "orders");
    old.resume();
    assert_ne!(old.ask("release"), "released", "its own lease is over, and it has no other");
    assert_eq!((holder(&server, "orders"), new.ask("check").as_str()), (owner, "true"));
    assert!(first > 0 && new.ask("release") == "released");
    // The control calls itself by its host, as many do, and compares before it deletes, as it should.
    let compare =
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";
    server.command(&["SET", "naive", "host:1", "PX", "30000"]).unwrap();
    let freed = server.command(&["EVAL", compare, "1", "naive", "host:1"]).unwrap();
    assert_eq!(freed, Reply::Int(1), "the control: the predecessor frees its successor's lock");
}

/// C5, C14. Killed, or aborted in the middle of dropping its guard: the lock is free within its time to live.
#[test]
fn c14_an_abort_in_drop_frees_the_lock_within_its_ttl() {
    let server = Server::start().unwrap();
    run(async {
        let env = common::env();
        for end in ["kill", "abort"] {
            let mut worker = Worker::start(&server.address());
            let key = format!("orders-{end}");
            worker.ask(&format!("keep {key} {TTL}"));
            // The control has no time to live, and its holder ends in the same moment.
            server.command(&["SETNX", &format!("control-{end}"), "worker"]).unwrap();
            if end == "abort" {
                worker.tell("abort");
                worker.await_end();
            } else {
                worker.kill();
            }
            let begin = env.now();
            let hold = lock(&engine(&at(&server)), &key, &ttl(30_000)).await;
            let took = env.now().since(begin);
            assert!(took < Duration::from_millis(TTL.parse::<u64>().unwrap()) + LATE * 2, "{end}: {took:?}");
            assert!(hold.lease().check().is_ok());
            let left = server.command(&["PTTL", &format!("control-{end}")]).unwrap();
            assert_eq!(left, Reply::Int(-1), "the control: locked for ever");
        }
    });
}

/// A8. A child gets no connection of its parent, and does not keep its parent's lock alive. Rust starts programs by fork and
/// exec; a fork that goes on in both halves needs `unsafe`, and SAFETY.md says what becomes of it.
#[test]
fn a8_a_child_inherits_neither_connection_nor_lock() {
    let server = Server::start().unwrap();
    let mut worker = Worker::start(&server.address());
    worker.ask(&format!("keep orders {TTL}"));
    let child = worker.ask("child");
    let sleeper = Sleeper(child.clone());
    assert!(sockets(&worker.id().to_string()) > 0, "the worker is connected");
    assert_eq!(sockets(&child), 0, "the child is not");
    // The control: a socket that is meant to be handed on is seen.
    let stream = std::net::TcpStream::connect(server.address()).unwrap();
    let mut control = Command::new("sleep");
    let mut control = control.arg("600").stdin(std::os::fd::OwnedFd::from(stream)).spawn().unwrap();
    let seen = sockets(&control.id().to_string());
    control.kill().unwrap();
    control.wait().unwrap();
    assert_eq!(seen, 1, "the control: a socket that is inherited is found");
    worker.kill();
    run(async {
        let env = common::env();
        let other = engine(&at(&server));
        eventually(&env, "the lock of a dead parent", || async {
            try_lock(&other, "orders", &ttl(30_000)).await.is_ok_and(|hold| hold.is_some())
        })
        .await;
    });
    assert!(std::path::Path::new(&format!("/proc/{child}")).exists(), "the child lives on");
    drop(sleeper);
}

/// A child of a process that was killed; it must not outlive the test.
struct Sleeper(String);

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", &self.0]).status();
    }
}

/// How many sockets a process has.
fn sockets(id: &str) -> usize {
    let descriptors = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().flatten();
    let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

/// K1. The client's calendar jumps by an hour, forward and back: nothing happens to its lease.
#[test]
fn k1_a_client_whose_calendar_jumps_keeps_its_lease_and_its_deadline() {
    let server = Server::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let clock = leasehold_testkit::clock::Clock::create(directory.path()).unwrap();
    let mut worker = Worker::start_with(&server.address(), |command| {
        command.envs(clock.variables());
    });
    worker.ask("keep orders 30000");
    assert_eq!((worker.ask("check").as_str(), worker.ask("wall").as_str()), ("true", "true"));
    clock.jump(3_600.0).unwrap();
    assert_eq!(worker.ask("check"), "true");
    assert!(worker.ask("remaining").parse::<u64>().unwrap() > 15_000);
    assert_eq!(worker.ask("wall"), "false", "the control: a deadline of the calendar has passed at once");
    clock.jump(-7_200.0).unwrap();
    assert_eq!(worker.ask("check"), "true");
    assert!(worker.ask("remaining").parse::<u64>().unwrap() <= 30_000, "not a moment longer");
    assert_eq!(worker.ask("wall"), "true", "the control: it would hold for an hour too long");
    assert_eq!(worker.ask("release"), "released");
}

/// R3. No descriptor is left in the process: a new client gets an error, what is held is renewed, and everything works again
/// when there is room.
#[test]
fn r3_without_descriptors_what_is_held_is_renewed_and_new_clients_get_an_error() {
    let server = Server::start().unwrap();
    let mut worker = Worker::start_by("ulimit -n 64 && exec \"$@\"", &server.address(), |_| {});
    worker.ask("keep orders 1500");
    assert_eq!(worker.ask("starve"), "starved true refused true held true later true");
    assert_eq!(worker.ask("check"), "true");
    // The control holds by a time to live alone; in the time that the worker was starved it has ended.
    let mut naive = crate::fixture::Naive::at(&server.address());
    assert!(naive.lock("naive", "me", 1_500));
    assert!(wait::until(SOON, || holder(&server, "naive").is_none()), "the control: nobody renewed it");
    assert_eq!(worker.ask("release"), "released");
}
