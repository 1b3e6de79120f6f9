//! Containers of one machine that share a database.

use std::{fs, process::Command};

use crate::fixture::{Fixture, finish};

/// Runs `leasehold` where the kernel seems to have another identity of its boot, as LXC and nspawn have it.
fn in_a_container(fixture: &Fixture, arguments: &[&str]) -> Command {
    let identity = fixture.path("boot_id");
    fs::write(&identity, "00000000-1111-4222-8333-444444444444\n").unwrap();
    let inside = fixture.leasehold(arguments);
    let mut command = Command::new("unshare");
    // Without root, a user namespace gives the right to mount.
    command
        .arg(if rustix::process::geteuid().is_root() { "--mount" } else { "--map-root-user" })
        .arg("--mount");
    command.args(["sh", "-c", "mount --bind \"$0\" /proc/sys/kernel/random/boot_id && exec \"$@\""]);
    command.arg(identity).arg(inside.get_program()).args(inside.get_args());
    for (name, value) in inside.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

#[test]
fn a_holder_keeps_its_lock_before_a_container_with_another_boot_id() {
    let fixture = Fixture::new();
    let mut holder = fixture.start(&["x"], "echo in; exec sleep 1000");
    assert_eq!(holder.line(), "in");
    let seen = finish(&mut in_a_container(&fixture, &["run", "--no-wait", "x", "--", "echo", "beside"]));
    assert_eq!((seen.code, seen.stdout.as_str()), (Some(75), ""), "{}", seen.stderr);
    assert_eq!(fixture.holders("x"), 1);
    // The control: a container enters a lock that is free.
    let free = finish(&mut in_a_container(&fixture, &["run", "--no-wait", "y", "--", "echo", "alone"]));
    assert_eq!((free.code, free.stdout.as_str()), (Some(0), "alone\n"), "{}", free.stderr);
    drop(holder);
}
