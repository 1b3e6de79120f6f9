//! On a terminal the command has the keyboard.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

use crate::fixture::{Fixture, children, is_alive, until, until_dead};

/// A terminal with a program on it.
pub(crate) struct Terminal {
    pub(crate) keyboard: File,
    pub(crate) screen: File,
    shown: String,
    pub(crate) child: Child,
}

impl Terminal {
    /// Runs a program in a session of its own, controlled by a new terminal. `setsid` waits for it.
    pub(crate) fn run(command: &mut Command) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let line = |master: &OwnedFd| -> Stdio { ioctl_tiocgptpeer(master, flags).unwrap().into() };
        let mut setsid = Command::new("setsid");
        setsid.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        command.get_envs().for_each(|(name, value)| {
            match value {
                Some(value) => setsid.env(name, value),
                None => setsid.env_remove(name),
            };
        });
        let child = setsid.stdin(line(&master)).stdout(line(&master)).stderr(line(&master)).spawn().unwrap();
        drop(setsid);
        let screen = File::from(master.try_clone().unwrap());
        Terminal { keyboard: master.into(), screen, shown: String::new(), child }
    }

    pub(crate) fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// Reads on until the text is shown.
    fn shows(&mut self, text: &str) {
        let mut bytes = [0; 1024];
        while !self.shown.contains(text) {
            let count = self.screen.read(&mut bytes).unwrap_or(0);
            assert!(count > 0, "{text:?} was not shown: {:?}", self.shown);
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
        let at = self.shown.find(text).unwrap() + text.len();
        self.shown.drain(..at);
    }

    pub(crate) fn code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_command_reads_the_keyboard_and_ctrl_c_ends_it() {
    let fixture = Fixture::new();
    let script = "read line; echo got $line; echo pid=$$.; exec sleep 1000";
    let mut terminal = Terminal::run(&mut fixture.leasehold(&["run", "x", "--", "sh", "-c", script]));
    terminal.types("hello\n");
    terminal.shows("got hello");
    terminal.shows("pid=");
    terminal.shows(".");
    terminal.types("\u{3}");
    assert_eq!(terminal.code(), Some(130));
    assert_eq!(fixture.holders("x"), 0);
}

#[test]
fn ctrl_c_while_waiting_leaves_the_queue() {
    let fixture = Fixture::new();
    let mut holder = fixture.start(&["x"], "echo in; exec sleep 1000");
    assert_eq!(holder.line(), "in");
    let mut terminal = Terminal::run(&mut fixture.leasehold(&["run", "--fair", "x", "--", "echo", "never"]));
    terminal.shows("waiting for `x` · you are 1st · ");
    // On a terminal the line lives.
    terminal.shows("waiting for `x` · you are 1st · ");
    assert_eq!(fixture.waiters("x"), 1);
    terminal.types("\u{3}");
    assert_eq!(terminal.code(), Some(130));
    assert_eq!(fixture.waiters("x"), 0);
}

#[test]
fn in_a_pipeline_the_command_gets_the_keyboard_when_it_asks() {
    let fixture = Fixture::new();
    let itself = env!("CARGO_BIN_EXE_leasehold");
    let script = format!("{itself} run x -- sh -c 'read line; echo got $line' | cat");
    let mut sh = Command::new("sh");
    sh.env("LEASEHOLD_STORE", fixture.store());
    let mut terminal = Terminal::run(sh.args(["-c", &script]));
    terminal.types("hello\n");
    terminal.shows("got hello");
    assert_eq!(terminal.code(), Some(0));
}

#[test]
fn ctrl_z_and_fg_work() {
    let fixture = Fixture::new();
    let itself = env!("CARGO_BIN_EXE_leasehold");
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-i"]).env("LEASEHOLD_STORE", fixture.store()).env("PS1", "prompt> ");
    let mut terminal = Terminal::run(&mut bash);
    terminal.shows("prompt> ");
    terminal.types(&format!("{itself} run x -- sh -c 'echo re''ady; read line; echo got $line; exit 3'\n"));
    terminal.shows("ready");
    terminal.types("\u{1a}");
    terminal.shows("stopped: the lease of `x` is not renewed");
    terminal.shows("prompt> ");
    terminal.types("fg\n");
    terminal.shows("sh -c");
    terminal.types("again\n");
    terminal.shows("got again");
    terminal.shows("prompt> ");
    terminal.types("echo code $?.\n");
    terminal.shows("code 3.");
    terminal.types("exit\n");
    assert!(terminal.code().is_some());
}

#[test]
fn a_closed_terminal_ends_the_command() {
    let fixture = Fixture::new();
    let mut terminal =
        Terminal::run(&mut fixture.leasehold(&["run", "x", "--", "sh", "-c", "echo up; exec sleep 1000"]));
    terminal.shows("up");
    let setsid = i32::try_from(terminal.child.id()).unwrap();
    let leasehold = children(setsid).first().copied().unwrap_or(setsid);
    assert!(is_alive(leasehold));
    drop(std::mem::replace(&mut terminal.keyboard, File::open("/dev/null").unwrap()));
    drop(std::mem::replace(&mut terminal.screen, File::open("/dev/null").unwrap()));
    until_dead(leasehold);
    until("a free lock", || fixture.holders("x") == 0);
}
