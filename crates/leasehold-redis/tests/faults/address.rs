//! A server that moves to another address under the same name.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use leasehold_testkit::{
    process::Process,
    redis::{Connection, Server},
    wait,
};

use crate::{
    fixture::{LATE, Naive, SOON},
    worker::Worker,
};

const NAME: &str = "locks.test";

/// Gives the worker a list of hosts of its own, in a namespace of its own.
const WITH_HOSTS: &str = "exec unshare --map-root-user --mount sh -c 'mount --bind \"$HOSTS\" /etc/hosts && exec \"$@\"' sh \"$@\"";

/// A server at an address of 127.0.0.0/8 and a port that another one has at its own.
fn server_at(address: &str, directory: &Path, more: &[&str]) -> Process {
    let (host, port) = address.rsplit_once(':').unwrap();
    let server = Process::start("redis-server", |command| {
        command.args(["--bind", host, "--port", port, "--save", "", "--dir"]).arg(directory).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    });
    assert!(wait::until(SOON, || Naive::reaches(address)), "the server at {address}");
    server.unwrap()
}

fn call(address: &str, command: &[&str]) -> leasehold_testkit::redis::Reply {
    Connection::open(address).unwrap().call(command).unwrap()
}

/// N13. The name leads to another address after the server has moved: the next connection goes there. A client that resolved
/// the name once and for all never finds it again.
#[test]
fn n13_a_server_that_moves_is_found_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let hosts = directory.path().join("hosts");
    std::fs::write(&hosts, format!("127.0.0.2 {NAME}\n")).unwrap();
    let first = Server::builder().address([127, 0, 0, 2].into()).start().unwrap();
    let address = format!("{NAME}:{}", first.port());
    let mut worker = Worker::start_by(WITH_HOSTS, &address, |command: &mut Command| {
        command.env("HOSTS", &hosts);
    });
    worker.ask("lock orders 30000");
    assert_eq!(worker.ask("release"), "released");
    let pinned = first.address();
    assert!(Naive::reaches(&pinned));

    let moved = format!("127.0.0.3:{}", first.port());
    let mut second = server_at(&moved, directory.path(), &[]);
    first.kill();
    // In place: what is mounted is the file and not its name.
    std::fs::write(&hosts, format!("127.0.0.3 {NAME}\n")).unwrap();
    worker.ask("lock orders 30000");
    assert!(!Naive::at(&moved).lock("orders", "other", 30_000), "it is the second server that has the lock");
    assert_eq!(worker.ask("release"), "released");
    assert!(!Naive::reaches(&pinned), "the control: the address of the first connection is dead");
    second.terminate().unwrap();
}

/// The server behind a name is demoted and lives on, as where a managed service fails over: the connection to it is ended,
/// and the lease is renewed at the server to which the name leads now.
#[test]
fn a_demoted_server_is_left_for_the_one_that_has_the_name() {
    let directory = tempfile::tempdir().unwrap();
    let hosts = directory.path().join("hosts");
    std::fs::write(&hosts, format!("127.0.0.2 {NAME}\n")).unwrap();
    let first = Server::builder().address([127, 0, 0, 2].into()).start().unwrap();
    let (port, moved) = (first.port().to_string(), format!("127.0.0.3:{}", first.port()));
    let mut second = server_at(&moved, directory.path(), &["--replicaof", "127.0.0.2", &port]);
    let mut worker = Worker::start_by(WITH_HOSTS, &format!("{NAME}:{port}"), |command: &mut Command| {
        command.env("HOSTS", &hosts);
    });
    let mut naive = Naive::at(&first.address());
    worker.ask("keep orders 3000");
    let has_it = || call(&moved, &["EXISTS", "orders"]).int() == Some(1);
    assert!(wait::until(SOON, has_it), "the replica has the lock");
    std::fs::write(&hosts, format!("127.0.0.3 {NAME}\n")).unwrap();
    call(&moved, &["REPLICAOF", "NO", "ONE"]).accepted().unwrap();
    first.command(&["REPLICAOF", "127.0.0.3", &port]).unwrap().accepted().unwrap();
    let mut age = || worker.ask("age").parse::<u64>().unwrap();
    let demoted = age();
    let old_enough = || age() > demoted + 4_000;
    assert!(wait::until(SOON, old_enough), "longer than a lease without renewals");
    assert_eq!(worker.ask("check"), "true");
    assert_eq!(worker.ask("release"), "released");
    assert_eq!(call(&moved, &["EXISTS", "orders"]).int(), Some(0));
    // The control: a connection that is kept is read-only for ever.
    assert!(!naive.lock("other", "me", 30_000), "the control");
    assert!(Naive::at(&moved).lock("other", "me", 30_000));
    second.terminate().unwrap();
}

/// Two servers behind one name would both grant the lock. Who finds two is refused, and who finds one of them silent does
/// not go to the other; an address at which nobody listens is none.
#[test]
fn a_name_of_two_servers_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let hosts = directory.path().join("hosts");
    let first = Server::builder().address([127, 0, 0, 2].into()).start().unwrap();
    let other = format!("127.0.0.3:{}", first.port());
    let mut second = server_at(&other, directory.path(), &[]);
    let ask = |addresses: &[&str]| {
        let lines = addresses.iter().map(|address| format!("{address} {NAME}\n"));
        std::fs::write(&hosts, lines.collect::<String>()).unwrap();
        let name = format!("{NAME}:{}", first.port());
        let mut worker = Worker::start_by(WITH_HOSTS, &name, |command: &mut Command| {
            command.env("HOSTS", &hosts);
        });
        worker.ask("try orders 60000")
    };
    assert_eq!(ask(&["127.0.0.2", "127.0.0.3"]), "error Unsafe");
    let mut naive = Naive::at(&first.address());
    first.pause().unwrap();
    for order in [["127.0.0.2", "127.0.0.3"], ["127.0.0.3", "127.0.0.2"]] {
        assert_eq!(ask(&order), "error TimedOut", "it does not go to the other");
    }
    assert_eq!(call(&other, &["EXISTS", "orders"]).int(), Some(0));
    // The control goes on to the next address when the first is slow, and holds beside whoever holds there.
    naive.ask("orders", "one", 60_000);
    assert!(!naive.hears(LATE) && Naive::at(&other).lock("orders", "two", 60_000), "the control");
    first.resume().unwrap();
    assert_eq!(naive_holder(&first), Some("one".into()), "two hold");
    second.terminate().unwrap();
    first.command(&["DEL", "orders"]).unwrap();
    assert!(ask(&["127.0.0.3", "127.0.0.2"]).parse::<u64>().is_ok(), "one of the addresses is nobody's");
}

fn naive_holder(server: &Server) -> Option<String> {
    let held = || crate::fixture::holder(server, "orders").is_some();
    assert!(wait::until(SOON, held));
    crate::fixture::holder(server, "orders")
}
