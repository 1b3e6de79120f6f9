//! Credentials in files, for a quorum, a running command, and the doctor.

use std::{fs, os::unix::fs::PermissionsExt};

use leasehold_testkit::redis::Server;

use crate::fixture::{Fixture, finish, until};

const OLD: &str = "old-c4nary";
const NEW: &str = "new-c4nary";

/// Each member demands a certificate.
#[test]
fn a_quorum_works_over_tls_with_a_certificate() {
    let fixture = Fixture::new();
    let first = Server::builder().mutual_tls().start().unwrap();
    let more = [(); 2].map(|()| Server::builder().tls_of(&first).start().unwrap());
    let ports = [first.tls_port(), more[0].tls_port(), more[1].tls_port()];
    let hosts = ports.map(|port| format!("localhost:{port}")).join(",");
    let url = format!("redlocks://{hosts}?{}", first.tls_query());
    let promoted = fixture.run(&["promote", "--store", &url]);
    assert_eq!(promoted.code, Some(0), "{}", promoted.stderr);
    let run = fixture.run(&["run", "--store", &url, "--no-wait", "nightly", "--", "true"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    // The controls: a client without a certificate, and one without TLS at the same ports.
    let bare = format!("redlocks://{hosts}?ca={}", first.ca_path().display());
    for (url, says) in [(bare, "demands a certificate"), (format!("redlock://{hosts}"), "nightly")] {
        let refused = fixture.run(&["run", "--store", &url, "--no-wait", "nightly", "--", "true"]);
        assert!(refused.code != Some(0) && refused.stderr.contains(says), "{url}: {}", refused.stderr);
    }
}

/// The password changes while the command runs: it goes on, for longer than its lease would have lasted.
#[test]
fn a_command_outlives_a_change_of_the_password() {
    let fixture = Fixture::new();
    let server = Server::builder().password(OLD).start().unwrap();
    let file = fixture.path("password");
    fs::write(&file, OLD).unwrap();
    let url = format!("redis://{}?password_file={}", server.address(), file.display());
    let mut run = fixture.start(&["--store", &url, "--ttl", "3s", "nightly"], "echo $$; exec sleep 600");
    run.pids();
    let mut admin = server.connect().unwrap();
    fs::write(&file, format!("{NEW}\n")).unwrap();
    admin.call(&["CONFIG", "SET", "requirepass", NEW]).unwrap().accepted().unwrap();
    admin.call(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap().accepted().unwrap();
    let mut left = |limit: i64| {
        let left = admin.call(&["PTTL", "nightly"]).unwrap().int().unwrap_or_default();
        assert!(left > 0, "the lock is held");
        left < limit
    };
    until("the lease is older than it was", || left(2_500));
    until("it is renewed on a new connection", || !left(2_500));
    // The control: a client that still has the old password is refused.
    let naive = format!("redis://:{OLD}@{}", server.address());
    let mut naive = fixture.leasehold(&["run", "--store", &naive, "--no-wait", "other", "--", "true"]);
    let refused = finish(&mut naive);
    assert_eq!(refused.code, Some(69), "{}", refused.stderr);
    assert!(refused.stderr.contains("WRONGPASS") && !refused.stderr.contains("c4nary"), "{}", refused.stderr);
    run.send(rustix::process::Signal::TERM);
    assert_ne!(run.end().code, Some(79), "nothing was lost");
}

#[test]
fn the_doctor_names_secrets_that_all_can_read() {
    let fixture = Fixture::new();
    let server = Server::builder().password(OLD).start().unwrap();
    let file = fixture.path("password");
    fs::write(&file, OLD).unwrap();
    let url = format!("redis://{}?password_file={}", server.address(), file.display());
    for (mode, is_said) in [(0o644, true), (0o600, false)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let doctor = fixture.run(&["doctor", "--store", &url]);
        assert_eq!(
            doctor.stdout.contains("everybody on this machine can read"),
            is_said,
            "{}",
            doctor.stdout
        );
    }
    fs::remove_file(&file).unwrap();
    let missing = fixture.run(&["run", "--store", &url, "--no-wait", "x", "--", "true"]);
    assert_eq!(missing.code, Some(64), "{}", missing.stderr);
    assert!(missing.stderr.contains("password of `password_file` cannot be read"), "{}", missing.stderr);
}

/// The password of a Sentinel is a part of the URL that is never shown.
#[test]
fn the_password_of_a_sentinel_is_not_shown() {
    let url = format!("redis+sentinel://127.0.0.1:1/main?timeout=100ms&sentinel_password={OLD}");
    let fixture = Fixture::new();
    for verb in [&["doctor"][..], &["inspect", "x"], &["run", "-n", "x", "--", "true"], &["list", "--json"]] {
        let mut command = fixture.leasehold(verb);
        let finished = finish(command.env("LEASEHOLD_STORE", &url).env("LEASEHOLD_LOG", "trace"));
        let all = format!("{}{}", finished.stdout, finished.stderr);
        assert!(!all.contains("c4nary") && finished.code != Some(0), "{verb:?}: {all}");
        assert!(all.contains("127.0.0.1:1"), "the control: the rest of it is shown: {all}");
    }
}
