//! The twin that other systems than Linux use.

use std::{fs, process::Command};

use rustix::process::Signal;

use crate::{
    descendants::copy,
    fixture::{Fixture, Running, finish, until},
};

/// The modules whose tests the twin passes: those of processes, signals and terminals.
const PASSED: [&str; 11] = [
    "codes::",
    "death::",
    "descendants::",
    "elect::",
    "environment::",
    "loss::",
    "once_per::",
    "operator::",
    "signals::",
    "surroundings::",
    "terminal::",
];
/// Without the crowds, which take long, and what the twin cannot do (SAFETY.md): find processes that left the group, and kill
/// without a guardian.
const LEFT_OUT: [&str; 6] = [
    "crowd",
    "fifty_machines",
    "a_fleet",
    "c19_",
    "c20_a_process",
    "even_a_command_whose_guardian_is_stopped",
];

fn on_the_twin(command: &mut Command) -> &mut Command {
    command.env("LEASEHOLD_PLATFORM", "portable")
}

#[test]
fn supervision_passes_its_tests() {
    let mut tests = Command::new(std::env::current_exe().unwrap());
    tests.args(PASSED).args(LEFT_OUT.map(|name| format!("--skip={name}"))).arg("--test-threads=4");
    let finished = finish(on_the_twin(&mut tests));
    assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
    let passed = finished.stdout.matches("... ok\n").count();
    assert!(passed >= 60, "{}", finished.stdout);
}

/// It is the twin. The control is Linux's own guardian.
#[test]
fn its_guardian_has_no_timer_of_the_kernel() {
    let fixture = Fixture::new();
    let timers = |run: &mut Running| {
        assert_eq!(run.line(), "in");
        let directory = format!("/proc/{}/fd", run.guardian());
        let links =
            || fs::read_dir(&directory).unwrap().flatten().filter_map(|it| fs::read_link(it.path()).ok());
        until("an alarm", || links().any(|link| link.to_string_lossy().starts_with("anon_inode:")));
        links().filter(|link| link.ends_with("anon_inode:[timerfd]")).count()
    };
    let mut command = fixture.leasehold(&["run", "x", "--", "sh", "-c", "echo in; exec sleep 1000"]);
    let mut own = Running::start(&mut command);
    assert_eq!(timers(&mut own), 1);
    own.send(Signal::TERM);
    assert_eq!(own.end().code, Some(143));
    let mut twin = Running::start(on_the_twin(&mut command));
    assert_eq!(timers(&mut twin), 0);
}

/// Its program file is gone when it must start one. The control is Linux, whose processes can start themselves all the same.
#[test]
fn a_command_is_not_run_without_a_guardian() {
    for (is_twin, code, stdout) in [(false, 0, "in\n"), (true, 70, "")] {
        let fixture = Fixture::new();
        let mut holder = fixture.start(&["x"], "echo in; exec sleep 1000");
        assert_eq!(holder.line(), "in");
        let program = copy(&fixture, env!("CARGO_BIN_EXE_leasehold"));
        let mut command = Command::new(&program);
        command.args(["run", "--store", &fixture.store(), "x", "--", "echo", "in"]);
        let mut run = Running::start(if is_twin { on_the_twin(&mut command) } else { &mut command });
        assert!(run.stderr_line().starts_with("waiting for `x`"));
        fs::remove_file(program).unwrap();
        holder.send(Signal::TERM);
        let finished = run.end();
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(code), stdout), "{}", finished.stderr);
        let is_refused = finished.stderr.contains("cannot start the process that kills the command");
        assert_eq!(is_refused, is_twin, "{}", finished.stderr);
    }
}
