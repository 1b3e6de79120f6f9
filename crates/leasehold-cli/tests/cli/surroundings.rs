//! Commands where a machine lacks what is usually there: a home, an entry in passwd, variables, a directory that can be written, an
//! `init` process, an idle processor.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    process::Command,
    time::Duration,
};

use rustix::process::{Signal, geteuid};

use crate::{
    descendants::copy,
    fixture::{Finished, Fixture, Running, children, eventually, finish},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_leasehold");

/// A program in a file system of its own, which has the words of `mount` for its first argument.
fn mounted(mount: &str, fixture: &Fixture, script: &str) -> Finished {
    let directory = fixture.path("mounted");
    fs::create_dir(&directory).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c"]);
    command.arg(format!("mount {mount} \"$1\" && {script}")).arg("sh").arg(&directory).arg(PROGRAM);
    finish(&mut command)
}

#[test]
fn without_variables_all_that_is_needed_is_a_store() {
    let fixture = Fixture::new();
    let mut command = Command::new(PROGRAM);
    command.env_clear().args(["run", "--store", &fixture.store(), "x", "--", "/usr/bin/env"]);
    let finished = finish(&mut command);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let own = finished.stdout.lines().filter(|line| line.starts_with("LEASEHOLD_")).count();
    assert!(own > 0 && own == finished.stdout.lines().count(), "{}", finished.stdout);
}

#[test]
fn a_user_without_a_home_and_an_entry_in_passwd_needs_a_store() {
    let fixture = Fixture::new();
    let program = copy(&fixture, PROGRAM);
    fs::set_permissions(fixture.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = match geteuid().is_root() {
            true => Command::new("setpriv"),
            false => Command::new("env"),
        };
        if geteuid().is_root() {
            command.args(["--reuid=54321", "--regid=54321", "--clear-groups"]);
        }
        finish(command.arg(&program).args(arguments).env_clear().env("PATH", "/usr/bin:/bin"))
    };
    let finished = run(&["run", "--store", &fixture.store(), "x", "--", "id", "-u"]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    if geteuid().is_root() {
        assert_eq!(finished.stdout, "54321\n");
    }
    let homeless = run(&["run", "x", "--", "true"]);
    assert_eq!(homeless.code, Some(64), "{}", homeless.stderr);
    assert!(homeless.stderr.contains("no home directory"), "{}", homeless.stderr);
    assert!(homeless.stderr.contains("--store sqlite:PATH"), "{}", homeless.stderr);
}

#[test]
fn a_directory_that_is_read_only_is_named() {
    let fixture = Fixture::new();
    let run = "\"$2\" run --no-wait --store sqlite:$1/locks.db x -- true";
    let finished = mounted("-t tmpfs -o ro tmpfs", &fixture, run);
    assert_eq!(finished.code, Some(69), "{}", finished.stderr);
    assert!(finished.stderr.contains("Read-only file system"), "{}", finished.stderr);
    assert!(finished.stderr.contains("hint: this process needs to write"), "{}", finished.stderr);
}

/// A database that was made before its file system became read-only.
#[test]
fn a_database_that_became_read_only_is_named() {
    let fixture = Fixture::new();
    let run = "export LEASEHOLD_STORE=sqlite:$1/locks.db; \"$2\" run x -- true && mount -o remount,ro \"$1\" \
               && \"$2\" run --no-wait x -- true";
    let finished = mounted("-t tmpfs tmpfs", &fixture, run);
    assert_eq!(finished.code, Some(69), "{}", finished.stderr);
    assert!(finished.stderr.contains("hint: this process needs to write"), "{}", finished.stderr);
}

#[test]
fn a_working_directory_that_was_deleted_is_not_needed() {
    let fixture = Fixture::new();
    let directory = fixture.path("gone");
    fs::create_dir(&directory).unwrap();
    let script =
        "rmdir \"$PWD\"; \"$0\" run x -- echo in; \"$0\" run --no-wait --store sqlite:locks.db y -- echo in";
    let mut command = fixture.leasehold(&[]);
    let mut shell = Command::new("sh");
    shell.args(["-c", script, PROGRAM]).current_dir(&directory);
    shell.envs(command.env("HOME", "/").get_envs().filter_map(|(name, value)| Some((name, value?))));
    let finished = finish(&mut shell);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(69), "in\n"), "{}", finished.stderr);
    assert!(finished.stderr.contains("No such file or directory"), "{}", finished.stderr);
}

/// In a container whose only program it is: a signal ends the command although nothing has a default action there, and
/// processes without a parent do not stay.
#[test]
fn as_the_first_process_of_a_container_it_runs_a_command() {
    let fixture = Fixture::new();
    let contained = |script: &str| {
        let inside = fixture.leasehold(&["run", "x", "--", "sh", "-c", script]);
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--pid", "--fork", "--mount-proc"]);
        // `env` becomes leasehold.
        command.arg(inside.get_program()).args(inside.get_args());
        command.envs(inside.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    };
    // The orphan ends while the command runs; what nobody reaps stays in /proc.
    let script = "orphan=$(sh -c 'sleep 0.1 >&- & echo $!'); echo $PPID; n=0; \
                  while [ -e /proc/$orphan ] && [ $n -lt 1000 ]; do sleep 0.02; n=$((n + 1)); done; \
                  [ -e /proc/$orphan ] && exit 9; exit 7";
    let finished = finish(&mut contained(script));
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(7), "1\n"), "{}", finished.stderr);
    let mut run = Running::start(&mut contained("echo in; exec sleep 1000"));
    assert_eq!(run.line(), "in");
    let first = eventually("the container", || children(run.pid()).first().copied());
    crate::fixture::send(first, Signal::TERM);
    assert_eq!(run.end().code, Some(143));
    // The control: a program that leaves signals to the system does not end there.
    let mut control = Command::new("unshare");
    control.args([
        "--map-root-user",
        "--pid",
        "--fork",
        "--mount-proc",
        "sh",
        "-c",
        "echo in; sleep 1000; exit 0",
    ]);
    let mut control = Running::start(&mut control);
    assert_eq!(control.line(), "in");
    let first = eventually("the container", || children(control.pid()).first().copied());
    crate::fixture::send(first, Signal::TERM);
    let status = fs::read_to_string(format!("/proc/{first}/status")).unwrap();
    assert!(status.contains("PPid:"), "it lives: {status}");
    crate::fixture::send(first, Signal::KILL);
}

/// Sets `fs.protected_regular`, and sets it back.
struct Protection(String);

const PROTECTED: &str = "/proc/sys/fs/protected_regular";

impl Protection {
    /// `None` where the kernel has it not, or does not let this process set it.
    fn on() -> Option<Self> {
        let before = fs::read_to_string(PROTECTED).ok()?;
        if before.trim() == "0" {
            fs::write(PROTECTED, "1").ok()?;
        }
        Some(Protection(before))
    }
}

impl Drop for Protection {
    fn drop(&mut self) {
        let _ = fs::write(PROTECTED, &self.0);
    }
}

/// In a directory such as /tmp, not even root may open a file that another user has made, if it would make the file when it were not
/// there.
#[test]
fn a20_a_database_of_another_user_in_tmp_is_explained() {
    let fixture = Fixture::new();
    assert_eq!(fixture.run(&["run", "x", "--", "true"]).code, Some(0));
    let Some(_protection) = Protection::on().filter(|_| geteuid().is_root()) else {
        return println!("this kernel or this user cannot protect files in directories that all may write");
    };
    let directory = fixture.path("");
    chown(&directory, Some(54321), None).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o1777)).unwrap();
    for entry in fs::read_dir(&directory).unwrap() {
        chown(entry.unwrap().path(), Some(12345), None).unwrap();
    }
    let appends = |path: &Path| fs::File::options().append(true).create(true).open(path);
    let control = appends(&fixture.path("locks.db")).unwrap_err();
    assert_eq!(
        control.kind(),
        std::io::ErrorKind::PermissionDenied,
        "the control: it says no more than this"
    );
    let refused = fixture.run(&["run", "--no-wait", "x", "--", "true"]);
    assert_eq!(refused.code, Some(69), "{}", refused.stderr);
    assert!(refused.stderr.contains("fs.protected_regular"), "{}", refused.stderr);
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(fixture.run(&["run", "--no-wait", "x", "--", "true"]).code, Some(0));
}

/// Many processes want one lock at once; each gets it, one after the other.
#[test]
fn a_crowd_of_processes_is_served_one_by_one() {
    let fixture = Fixture::new();
    serves_a_crowd(&fixture, &fixture.store());
}

#[test]
fn a_crowd_of_processes_is_served_one_by_one_on_redis_too() {
    let server = leasehold_testkit::redis::Server::start().unwrap_or_else(|error| panic!("{error}"));
    serves_a_crowd(&Fixture::new(), &format!("redis://{}", server.address()));
}

fn serves_a_crowd(fixture: &Fixture, store: &str) {
    const CROWD: usize = 300;
    let (count, script) = (fixture.path("count"), "read n < \"$0\"; echo $((n + 1)) > \"$0\"");
    fs::write(&count, "0\n").unwrap();
    let count = count.to_str().unwrap();
    let run = || {
        let arguments = ["run", "--wait", "2m", "--store", store, "x", "--", "sh", "-c", script, count];
        Running::start(&mut fixture.leasehold(&arguments))
    };
    let crowd: Vec<Running> = (0..CROWD).map(|_| run()).collect();
    // The first to start may be served as the last.
    for run in crowd {
        let finished = run.end_within(Duration::from_secs(150));
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    }
    assert_eq!(fs::read_to_string(count).unwrap(), format!("{CROWD}\n"));
}
