//! A server that moves to another address under the same name.

use std::process::{Command, Stdio};

use leasehold_testkit::{process::Process, redis::Server, wait};

use crate::{
    fixture::{Naive, SOON},
    worker::Worker,
};

const NAME: &str = "locks.test";

/// Gives the worker a list of hosts of its own, in a namespace of its own.
const WITH_HOSTS: &str = "exec unshare --map-root-user --mount sh -c 'mount --bind \"$HOSTS\" /etc/hosts && exec \"$@\"' sh \"$@\"";

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
    let mut second = Process::start("redis-server", |command| {
        command.args(["--bind", "127.0.0.3", "--port", &first.port().to_string(), "--save", ""]);
        command
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
    })
    .unwrap();
    assert!(wait::until(SOON, || Naive::reaches(&moved)), "the second server");
    first.kill();
    // In place: what is mounted is the file and not its name.
    std::fs::write(&hosts, format!("127.0.0.3 {NAME}\n")).unwrap();
    worker.ask("lock orders 30000");
    assert!(!Naive::at(&moved).lock("orders", "other", 30_000), "it is the second server that has the lock");
    assert_eq!(worker.ask("release"), "released");
    assert!(!Naive::reaches(&pinned), "the control: the address of the first connection is dead");
    second.terminate().unwrap();
}
