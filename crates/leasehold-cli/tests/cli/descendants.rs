//! Processes that leave the process group of the command, or cannot be killed.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::{Pid, Signal, geteuid, kill_process_group};

use crate::fixture::{Finished, Fixture, KillOnDrop, Running, finish, is_alive, until_dead};

/// Scripts that print the process id of a process outside of their group.
const ESCAPES: [&str; 4] = [
    "exec bash -c 'set -m; sleep 1000 & echo $!; wait'",
    "setsid --wait sh -c 'echo $$; exec sleep 1000'; exit 1",
    // An orphan of an orphan.
    "setsid sh -c 'sleep 1000 & echo $!'; sleep 1000",
    // Its parent tells that it belongs to the command.
    "env -i setsid --wait sh -c 'echo $$; exec sleep 1000'; exit 1",
];

/// C19. The next one enters only when they have ended.
#[test]
fn c19_processes_that_leave_the_group_end_with_the_lease() {
    for script in ESCAPES {
        let fixture = Fixture::new();
        let mut run = fixture.start(&["--ttl", "3s", "x"], script);
        let pid = run.pids()[0];
        let _kill = KillOnDrop(pid);
        assert_eq!(fixture.run(&["force-release", "--yes", "x"]).code, Some(0));
        assert_eq!(run.end().code, Some(79), "{script}");
        assert!(!is_alive(pid), "{script}");
    }
}

/// C19. The guardian finds them by their environment when leasehold is killed.
#[test]
fn c19_processes_that_leave_the_group_end_with_leasehold() {
    for script in &ESCAPES[..3] {
        let fixture = Fixture::new();
        let mut run = fixture.start(&["--ttl", "30s", "x"], script);
        let pid = run.pids()[0];
        let _kill = KillOnDrop(pid);
        run.send(Signal::KILL);
        let next = fixture.run(&["run", "--wait", "20s", "x", "--", "true"]);
        assert_eq!(next.code, Some(0), "{}", next.stderr);
        assert!(!is_alive(pid), "{script}");
    }
}

/// The negative control: a wrapper that signals the process group alone.
#[test]
fn a_signal_to_the_group_misses_processes_that_left_it() {
    for script in ESCAPES {
        let mut naive = Command::new("sh");
        let mut run = Running::start(naive.args(["-c", script]).process_group(0));
        let pid = run.pids()[0];
        let _kill = KillOnDrop(pid);
        kill_process_group(Pid::from_raw(run.pid()).unwrap(), Signal::KILL).unwrap();
        until_dead(run.pid());
        assert!(is_alive(pid), "{script}");
    }
}

#[test]
fn background_processes_of_a_command_that_ended_are_left_alone() {
    let fixture = Fixture::new();
    let mut run = fixture.start(&["x"], "setsid sleep 1000 >&- 2>&- & echo $!");
    let pid = run.pids()[0];
    let _kill = KillOnDrop(pid);
    assert_eq!(run.end().code, Some(0));
    assert!(is_alive(pid));
}

/// A copy of a program, made by a process of its own: one that this process had open for writing could be inherited, and not run.
pub(crate) fn copy(fixture: &Fixture, program: &str) -> PathBuf {
    let copy = fixture.path(Path::new(program).file_name().unwrap().to_str().unwrap());
    if !copy.exists() {
        assert!(Command::new("cp").arg(program).arg(&copy).status().unwrap().success());
    }
    copy
}

/// Runs leasehold as a user without privileges, who may write to the store.
fn unprivileged(fixture: &Fixture, arguments: &[&str]) -> Command {
    if !geteuid().is_root() {
        return fixture.leasehold(arguments);
    }
    let program = copy(fixture, env!("CARGO_BIN_EXE_leasehold"));
    fs::set_permissions(fixture.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program).args(arguments);
    command.env("LEASEHOLD_STORE", fixture.store()).env("HOME", fixture.path(""));
    command
}

/// The words that run a command as root.
fn as_root(fixture: &Fixture) -> String {
    if !geteuid().is_root() {
        return "sudo -n".to_string();
    }
    let program = copy(fixture, "/usr/bin/setpriv");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    format!("{} --reuid=0 --regid=0 --clear-groups", program.display())
}

/// C20. A set-user-id program is refused before it starts; the control is the same program for one who says that it may live on.
#[test]
fn c20_a_program_of_another_user_is_refused_at_the_start() {
    let fixture = Fixture::new();
    let run = |options: &[&str], program: &str| -> Finished {
        let arguments = [&["run"], options, &["x", "--", program, "--version"]].concat();
        finish(&mut unprivileged(&fixture, &arguments))
    };
    let su = ["/usr/bin/su", "/bin/su"].into_iter().find(|path| Path::new(path).exists()).unwrap();
    let refused = run(&[], su);
    assert_eq!(refused.code, Some(64), "{}", refused.stderr);
    assert!(refused.stderr.contains("runs as another user"), "{}", refused.stderr);
    assert_eq!(run(&["--on-lost", "ignore"], su).code, Some(0));
    assert_eq!(run(&[], "/usr/bin/env").code, Some(0));
}

/// C20. A process that became another user's later is named at once, and leasehold does not wait for it. The control is its parent,
/// which is killed.
#[test]
fn c20_a_process_that_cannot_be_killed_is_named() {
    let fixture = Fixture::new();
    let script = format!("{} sh -c 'echo $PPID $$; exec sleep 1000'; exit 1", as_root(&fixture));
    let arguments = ["run", "--ttl", "3s", "x", "--", "sh", "-c", &script];
    let mut run = Running::start(&mut unprivileged(&fixture, &arguments));
    let pids = run.pids();
    let _kill = KillOnDrop(pids[1]);
    assert_eq!(finish(&mut unprivileged(&fixture, &["force-release", "--yes", "x"])).code, Some(0));
    let finished = run.end_with_open_output();
    assert_eq!(finished.code, Some(79), "{}", finished.stderr);
    assert!(
        finished.stderr.contains(&format!("process {} (`sleep`) cannot be killed", pids[1])),
        "{}",
        finished.stderr
    );
    assert!(is_alive(pids[1]) && !is_alive(pids[0]));
}
