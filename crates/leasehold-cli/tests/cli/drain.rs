//! Orders to end, such as those of a scheduler that moves a service elsewhere.

use std::process::{Command, Stdio};

use leasehold_testkit::redis::Server;
use rustix::process::Signal;

use crate::fixture::{Fixture, send, until_dead};

/// C11. SIGTERM: the command ends, and the lock is free at once though its time to live is ten minutes.
#[test]
fn c11_sigterm_gives_the_lock_back_at_once() {
    let (fixture, server) = (Fixture::new(), Server::start().unwrap());
    let url = server.url();
    let mut run = fixture.start(&["--store", &url, "--ttl", "10m", "nightly"], "echo $$; exec sleep 600");
    let command = run.pids()[0];
    // The control takes its lock with the same time to live, and ends as processes do.
    let taken = server.command(&["SET", "naive", "me", "NX", "PX", "600000"]).unwrap();
    assert_eq!(taken.text(), Some("OK"));
    let mut naive = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
    send(i32::try_from(naive.id()).unwrap(), Signal::TERM);
    naive.wait().unwrap();

    run.send(Signal::TERM);
    assert_eq!(run.end().code, Some(143));
    until_dead(command);
    let next = fixture.run(&["run", "--store", &url, "--no-wait", "nightly", "--", "true"]);
    assert_eq!(next.code, Some(0), "{}", next.stderr);
    let left = server.command(&["PTTL", "naive"]).unwrap().int().unwrap();
    assert!(left > 0, "the control: locked for {left} ms more");
}
