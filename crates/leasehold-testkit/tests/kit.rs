//! The kit does what its tests rely on.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::{path::Path, time::Duration};

use leasehold_testkit::{
    memcached,
    proxy::{FaultRule, Proxy},
    redis::{Cluster, Replicated, Sentinels, Server},
    wait,
};

const SOON: Duration = Duration::from_secs(60);

fn set_and_get(server: &Server) {
    server.command(&["SET", "k", "v"]).unwrap().accepted().unwrap();
    assert_eq!(server.command(&["GET", "k"]).unwrap().text(), Some("v"));
}

#[test]
fn a_server_answers_and_leaves_neither_process_nor_directory() {
    let server = Server::start().unwrap();
    set_and_get(&server);
    let (pid, directory) = (server.pid(), server.directory().to_path_buf());
    drop(server);
    assert!(!Path::new(&format!("/proc/{pid}")).exists() && !directory.exists());
}

#[test]
fn a_killed_server_comes_back_empty_and_a_durable_one_with_its_data() {
    let (forgetful, durable) = (Server::start().unwrap(), Server::builder().aof().start().unwrap());
    for server in [&forgetful, &durable] {
        set_and_get(server);
        server.kill();
        assert!(!server.is_running());
        server.restart().unwrap();
    }
    assert!(forgetful.command(&["GET", "k"]).unwrap().is_nil());
    assert_eq!(durable.command(&["GET", "k"]).unwrap().text(), Some("v"));
}

#[test]
fn a_paused_server_is_silent_and_goes_on() {
    let server = Server::start().unwrap();
    let mut connection = server.connect().unwrap();
    server.pause().unwrap();
    connection.set_read_timeout(Duration::from_millis(100)).unwrap();
    connection.send(&["PING"]).unwrap();
    assert!(connection.reply().is_err());
    server.resume().unwrap();
    set_and_get(&server);
}

#[test]
fn a_clock_jumps_and_keys_end_with_it() {
    let server = Server::builder().clock_shim().start().unwrap();
    let seconds = || server.command(&["TIME"]).unwrap().items()[0].int().unwrap();
    server.command(&["SET", "k", "v", "PX", "30000"]).unwrap();
    let before = seconds();
    server.jump_clock(40.0).unwrap();
    assert!((39..=42).contains(&(seconds() - before)), "{before} {}", seconds());
    assert!(server.command(&["GET", "k"]).unwrap().is_nil());
    server.jump_clock(-100.0).unwrap();
    assert!(seconds() < before);
}

#[test]
fn a_proxy_passes_counts_holds_swallows_and_cuts() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    let connect = || leasehold_testkit::redis::Connection::open(&proxy.address()).unwrap();
    let mut connection = connect();
    for _ in 0..3 {
        connection.call(&["INCR", "n"]).unwrap();
    }
    assert_eq!((proxy.round_trips(), proxy.connections(), proxy.open_connections()), (3, 1, 1));
    connection.set_read_timeout(Duration::from_millis(100)).unwrap();
    proxy.hold_replies();
    connection.send(&["INCR", "n"]).unwrap();
    assert!(connection.reply().is_err());
    proxy.pass();
    connection.set_read_timeout(SOON).unwrap();
    assert_eq!(connection.reply().unwrap().int(), Some(4), "held, not lost");
    let fault = proxy.on_request(|bytes| bytes.windows(4).any(|it| it == b"INCR"), FaultRule::ForwardThenCut);
    connection.send(&["INCR", "n"]).unwrap();
    assert!(connection.reply().is_err() && fault.wait_fired(SOON));
    assert_eq!(server.command(&["GET", "n"]).unwrap().int(), Some(5), "done, and nobody told");
    let fault = proxy.on_request(|bytes| bytes.windows(4).any(|it| it == b"INCR"), FaultRule::DropThenCut);
    let mut connection = connect();
    connection.send(&["INCR", "n"]).unwrap();
    assert!(connection.reply().is_err() && fault.wait_fired(SOON));
    assert_eq!(server.command(&["GET", "n"]).unwrap().int(), Some(5), "never delivered");
    let fault = proxy.on_request(|bytes| bytes.windows(4).any(|it| it == b"INCR"), FaultRule::Hold);
    let mut connection = connect();
    connection.send(&["INCR", "n"]).unwrap();
    assert!(fault.wait_fired(SOON));
    drop(connection);
    assert_eq!(server.command(&["GET", "n"]).unwrap().int(), Some(5), "held");
    fault.release();
    assert!(wait::until(SOON, || server.command(&["GET", "n"]).unwrap().int() == Some(6)), "delivered late");
}

#[test]
fn replicas_follow_through_their_links_and_can_be_cut_off() {
    let kit = Replicated::start(2).unwrap();
    kit.link(0).blackhole();
    kit.master().command(&["SET", "k", "v"]).unwrap();
    let has = |at: usize| kit.replica(at).command(&["GET", "k"]).unwrap().text() == Some("v");
    assert!(wait::until(SOON, || has(1)) && !has(0));
    kit.failover_to(1).unwrap();
    kit.replica(1).command(&["SET", "k", "w"]).unwrap().accepted().unwrap();
}

#[test]
fn sentinels_move_the_master_when_asked_and_when_it_dies() {
    let kit = Sentinels::start().unwrap();
    let first = kit.master_port().unwrap();
    let second = kit.failover().unwrap();
    assert_ne!(first, second);
    kit.await_agreement().unwrap();
    kit.server_at(second).unwrap().kill();
    assert_ne!(kit.await_other_than(second).unwrap(), second);
}

#[test]
fn a_cluster_sends_to_the_owner_and_a_slot_moves() {
    let kit = Cluster::start().unwrap();
    let slot = kit.slot_of("k").unwrap();
    let owner = kit.master_of(slot).unwrap();
    let other = (owner + 1) % 3;
    set_and_get(kit.node(owner));
    let reply = kit.node(other).command(&["GET", "k"]).unwrap();
    assert!(reply.error().is_some_and(|error| error.starts_with("MOVED")), "{reply:?}");
    kit.begin_move(slot, owner, other).unwrap();
    assert_eq!(kit.move_keys(slot, owner, other).unwrap(), 1);
    let reply = kit.node(owner).command(&["GET", "k"]).unwrap();
    assert!(reply.error().is_some_and(|error| error.starts_with("ASK")), "{reply:?}");
    kit.finish_move(slot, owner, other).unwrap();
    assert_eq!(kit.node(other).command(&["GET", "k"]).unwrap().text(), Some("v"));
}

#[test]
fn a_memcached_starts_sleeps_forgets_and_ends_with_its_value() {
    let (one, two) = (memcached::Server::start().unwrap(), memcached::Server::with(&["-M"]).unwrap());
    assert_ne!(one.port(), two.port());
    assert_eq!(one.command("add k 0 60 1\r\nv").unwrap(), "STORED");
    let mut connection = one.connect().unwrap();
    assert_eq!(connection.get("k").unwrap().as_deref(), Some("v"));
    assert_eq!(connection.get("other").unwrap(), None);
    let (pid, port) = (one.pid(), one.port());
    assert_eq!(connection.stats().unwrap()["pid"], pid.to_string());
    one.pause().unwrap();
    assert!(one.is_running());
    one.resume().unwrap();
    one.restart().unwrap();
    assert!(one.port() == port && one.pid() != pid && connection.command("get k").is_err());
    assert_eq!(one.connect().unwrap().get("k").unwrap(), None);
    one.kill();
    assert!(!one.is_running() && one.connect().is_err());
    assert!(memcached::Server::with(&["--no-such-argument"]).is_err());
}
