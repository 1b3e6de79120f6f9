//! Signals reach the whole group of the command.

use std::{
    io::{BufRead, BufReader, PipeReader, PipeWriter, Write},
    process::{Command, Stdio},
};

use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::Signal,
};

use crate::fixture::{Fixture, Running, eventually, now, send, until_dead};

/// A command with a grandchild; prints both.
const FAMILY: &str = "sleep 1000 & echo $$ $!; wait";

#[test]
fn signals_are_passed_on_to_the_whole_group() {
    let fixture = Fixture::new();
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129), (Signal::QUIT, 131)] {
        // A shell lets its background processes ignore INT and QUIT; a grandchild in the foreground does not.
        let mut run = fixture.start(&["x"], "sh -c 'echo $PPID $$; exec sleep 1000'; exit 9");
        let pids = run.pids();
        run.send(signal);
        let finished = run.end();
        assert!([Some(code), Some(9)].contains(&finished.code), "{signal:?}: {:?}", finished.code);
        pids.into_iter().for_each(until_dead);
        assert_eq!(fixture.holders("x"), 0);
    }
}

#[test]
fn a_handler_of_the_command_decides_on_its_code() {
    let fixture = Fixture::new();
    let script = "trap 'echo tidy; exit 11' TERM; echo ready; while :; do sleep 0.01; done";
    let mut run = fixture.start(&["x"], script);
    assert_eq!(run.line(), "ready");
    run.send(Signal::TERM);
    assert_eq!(run.line(), "tidy");
    assert_eq!(run.end().code, Some(11));
}

#[test]
fn user_signals_are_passed_on_and_end_nothing() {
    let fixture = Fixture::new();
    let script =
        "trap 'echo one' USR1; trap 'echo two; exit 0' USR2; echo ready; while :; do sleep 0.01; done";
    let mut run = fixture.start(&["x"], script);
    assert_eq!(run.line(), "ready");
    run.send(Signal::USR1);
    assert_eq!(run.line(), "one");
    run.send(Signal::USR2);
    assert_eq!(run.line(), "two");
    assert_eq!(run.end().code, Some(0));
}

#[test]
fn a_second_interrupt_kills() {
    let fixture = Fixture::new();
    let mut run = fixture
        .start(&["x"], "trap 'echo deaf; sleep 0.1; echo still' INT; echo $$; while :; do sleep 0.01; done");
    let pids = run.pids();
    run.send(Signal::INT);
    // A while later: at once it would be an echo of the first.
    assert_eq!((run.line(), run.line()), ("deaf".to_string(), "still".to_string()));
    run.send(Signal::INT);
    let finished = run.end();
    assert_eq!(finished.code, Some(137), "{}", finished.stderr);
    pids.into_iter().for_each(until_dead);
}

/// C21. `timeout` signals leasehold, and then the process group in which leasehold is; the command is told once. The control is
/// a second signal a while later.
#[test]
fn c21_a_signal_that_also_comes_by_the_group_is_one() {
    let fixture = Fixture::new();
    let script = "trap 'echo told' TERM; echo ready; while [ ! -e go ]; do sleep 0.02; done; echo end";
    let mut run = fixture.start(&["x"], &script.replace("go", fixture.path("go").to_str().unwrap()));
    assert_eq!(run.line(), "ready");
    run.send(Signal::TERM);
    run.send(Signal::TERM);
    assert_eq!(run.line(), "told");
    std::fs::write(fixture.path("go"), "").unwrap();
    assert_eq!(run.line(), "end", "told once");
    std::fs::remove_file(fixture.path("go")).unwrap();
    let script = "trap 'echo told; sleep 0.1; echo again' TERM; echo ready; while :; do sleep 0.01; done";
    let mut run = fixture.start(&["x"], script);
    assert_eq!(run.line(), "ready");
    for _ in 0..2 {
        run.send(Signal::TERM);
        assert_eq!((run.line(), run.line()), ("told".to_string(), "again".to_string()));
    }
    run.send(Signal::KILL);
}

/// A store that does not answer must not make a verb deaf.
#[test]
fn verbs_that_wait_for_a_store_end_by_a_signal() {
    let fixture = Fixture::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let store = format!("redis://{}?timeout=20s", silent.local_addr().unwrap());
    let verbs: [&[&str]; 5] = [
        &["inspect", "x"],
        &["list"],
        &["doctor"],
        &["hold", "x", "--for", "1m"],
        &["run", "x", "--", "true"],
    ];
    for (verb, signal) in verbs.into_iter().flat_map(|verb| [(verb, Signal::TERM), (verb, Signal::INT)]) {
        let run = Running::start(fixture.leasehold(&verb[..1]).args(["--store", &store]).args(&verb[1..]));
        // It has connected, and waits for the answer.
        let _connection = silent.accept().unwrap();
        let begin = now();
        run.send(signal);
        assert_ne!(run.end().code, Some(0), "{verb:?}");
        assert!(begin.elapsed().as_secs() < 5, "{verb:?}: {:?}", begin.elapsed());
    }
}

#[test]
fn the_lock_is_kept_until_the_whole_group_has_ended() {
    let fixture = Fixture::new();
    // The shell dies of TERM at once, the worker needs a while: the next one must not come in meanwhile.
    let worker = "trap 'sleep 0.5; echo done; exit' TERM; echo ready; while :; do sleep 0.01; done";
    let mut run = fixture.start(&["x"], &format!("sh -c '{}' & wait", worker.replace('\'', "'\\''")));
    assert_eq!(run.line(), "ready");
    run.send(Signal::TERM);
    let next = fixture.run(&["run", "--wait", "20s", "x", "--", "true"]);
    assert_eq!(next.code, Some(0));
    // By now the worker has said its last word; a lock given back early would not have waited for it.
    assert_eq!(run.line(), "done");
    let finished = run.end();
    assert_eq!(finished.code, Some(143), "{}", finished.stderr);
}

#[test]
fn processes_of_the_group_that_do_not_end_are_killed_after_the_grace() {
    let fixture = Fixture::new();
    let stubborn = "trap '' TERM; echo $$; while :; do sleep 0.05; done";
    let options = ["--ttl", "2s", "--grace", "300ms", "x"];
    let mut run = fixture.start(&options, &format!("sh -c \"{}\" & wait", stubborn.replace('$', "\\$")));
    let pids = run.pids();
    let begin = now();
    run.send(Signal::TERM);
    assert_eq!(run.end().code, Some(143));
    assert!(begin.elapsed().as_millis() >= 300);
    pids.into_iter().for_each(until_dead);
}

#[test]
fn what_the_command_leaves_in_the_background_on_purpose_stays() {
    let fixture = Fixture::new();
    let mut run = fixture.start(&["x"], "sleep 1000 >&- 2>&- & echo $!");
    let pid = run.pids()[0];
    let _kill = crate::fixture::KillOnDrop(pid);
    assert_eq!(run.end().code, Some(0));
    assert!(crate::fixture::is_alive(pid));
}

#[test]
fn a_signal_ignored_from_the_start_stays_ignored() {
    let fixture = Fixture::new();
    let mut shell = std::process::Command::new("sh");
    let script = "trap '' HUP; exec \"$0\" run x -- sh -c 'echo ready; read line; echo $line'";
    shell.args(["-c", script, env!("CARGO_BIN_EXE_leasehold")]).env("LEASEHOLD_STORE", fixture.store());
    shell.stdin(std::process::Stdio::piped());
    let mut child = shell.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    crate::fixture::send(i32::try_from(child.id()).unwrap(), Signal::HUP);
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"still here\n").unwrap();
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    assert_eq!(line, "ready\nstill here\n");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_family_is_a_group_of_its_own() {
    let fixture = Fixture::new();
    let mut run = fixture.start(&["x"], FAMILY);
    let pids = run.pids();
    run.guardian();
    let group = |pid: i32| rustix::process::getpgid(rustix::process::Pid::from_raw(pid)).unwrap();
    assert_eq!(group(pids[0]).as_raw_nonzero().get(), pids[0]);
    assert_eq!(group(pids[1]), group(pids[0]));
    assert_ne!(group(run.pid()), group(pids[0]));
}

/// C16. Nobody reads the pipe of stderr, and it is full: a command runs to its end under a lease that is renewed, and a signal is
/// obeyed. The control is a program that waits for its reader.
#[test]
fn c16_a_stderr_that_nobody_reads_holds_nothing_up() {
    let fixture = Fixture::new();
    let (_reader, writer) = full_pipe();
    let mut naive = Command::new("sh");
    let mut naive = naive.args(["-c", "echo x >&2"]).stderr(writer.try_clone().unwrap()).spawn().unwrap();
    let start = |script: &str| {
        let mut command = fixture.leasehold(&["run", "--ttl", "3s", "--json", "x", "--", "sh", "-c", script]);
        command.env("LEASEHOLD_LOG", "debug").stdout(Stdio::piped()).stderr(writer.try_clone().unwrap());
        command.spawn().unwrap()
    };
    let output = start("sleep 7; echo done").wait_with_output().unwrap();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"done\n"[..]));
    let mut forever = start("echo $$; while :; do sleep 0.02; done");
    let mut line = String::new();
    BufReader::new(forever.stdout.take().unwrap()).read_line(&mut line).unwrap();
    send(i32::try_from(forever.id()).unwrap(), Signal::TERM);
    let status = eventually("the end of leasehold", || forever.try_wait().unwrap());
    assert_eq!(status.code(), Some(143));
    until_dead(line.trim().parse().unwrap());
    assert!(naive.try_wait().unwrap().is_none(), "the control: it waits for somebody to read");
    naive.kill().unwrap();
    naive.wait().unwrap();
}

/// A pipe that takes no more byte.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    for piece in [&[b'x'; 4096][..], b"x"] {
        while writer.write(piece).is_ok() {}
    }
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}
