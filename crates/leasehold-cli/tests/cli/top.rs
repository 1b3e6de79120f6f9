//! `top` on a terminal, and as data. Its picture in the book: `LEASEHOLD_BLESS=1 cargo test -p leasehold-cli --test cli top`.

use std::{io::Read, num::NonZeroU16, process::Command};

use leasehold_testkit::{etcd, memcached, postgres, redis, zookeeper};
use rustix::{
    process::Signal,
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};
use serde_json::Value;

use crate::{
    fixture::{Fixture, Running, SOON, children, now, send, until},
    terminal::Terminal,
};

/// `top` on a terminal whose picture is known.
pub(crate) struct Top {
    terminal: Terminal,
    pub(crate) picture: vt100::Parser,
}

impl Top {
    pub(crate) fn start(command: &mut Command) -> Self {
        Top::start_sized(command, 24, 120)
    }

    pub(crate) fn start_sized(command: &mut Command, rows: u16, columns: u16) -> Self {
        let terminal = Terminal::run(command.env("TERM", "xterm-256color"));
        let mut top = Top { terminal, picture: vt100::Parser::default() };
        top.resize(rows, columns);
        top
    }

    fn resize(&mut self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let [rows, columns] = [rows, columns].map(|size| NonZeroU16::new(size).unwrap());
        self.picture.screen_mut().set_size(rows, columns);
        tcsetwinsize(&self.terminal.keyboard, size).unwrap();
    }

    fn reads(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let count = self.terminal.screen.read(&mut bytes).unwrap_or(0);
        self.picture.process(&bytes[..count]);
        count > 0
    }

    /// Reads on until the picture is as wanted. Ages count on, so there is always something to read.
    pub(crate) fn until(&mut self, what: &str, is_so: impl Fn(&str) -> bool) {
        let begin = now();
        while !is_so(&self.picture.screen().contents()) {
            let shown = self.picture.screen().contents();
            assert!(begin.elapsed() < SOON && self.reads(), "{what} was not shown:\n{shown}");
        }
    }

    fn shows(&mut self, text: &str) {
        self.until(text, |picture| picture.contains(text));
    }

    fn types(&mut self, keys: &str) {
        self.terminal.types(keys);
    }

    /// The modes and the screen are those of a shell again.
    fn is_restored(&mut self) {
        let screen = self.picture.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor(), "{}", screen.contents());
        let modes = tcgetattr(&self.terminal.keyboard).unwrap();
        assert!(modes.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
    }

    /// Reads all, and answers the exit code.
    pub(crate) fn ends(&mut self) -> Option<i32> {
        // A file of our own keeps the terminal's modes readable after its end.
        let code = self.terminal.code();
        // All that the program wrote is there by now; a mark ends it.
        self.terminal.types("\u{4}");
        while !self.picture.screen().contents().contains("^D") && self.reads() {}
        code
    }
}

/// A screen as a picture.
fn svg(screen: &str) -> String {
    let lines: String = screen
        .lines()
        .zip(1..)
        .map(|(line, row)| {
            let line = line.replace('&', "&amp;").replace('<', "&lt;");
            format!("<text x=\"12\" y=\"{}\" xml:space=\"preserve\">{line}</text>\n", row * 18 + 6)
        })
        .collect();
    let height = screen.lines().count() * 18 + 24;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1000\" height=\"{height}\" font-family=\"monospace\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#14171b\"/>\n<g fill=\"#e6e9ed\">\n{lines}</g>\n</svg>\n"
    )
}

/// Starts holders that live as long as the value.
fn holders(fixture: &Fixture, store: &str, names: &[&str]) -> Vec<Running> {
    let start = |name: &&str| {
        let mut run = fixture.start(&["--store", store, name], "echo in; exec sleep 1000");
        assert_eq!(run.line(), "in");
        run
    };
    names.iter().map(start).collect()
}

#[test]
fn locks_are_shown_opened_sorted_filtered_and_released() {
    let (fixture, server) = (Fixture::new(), redis::Server::start().unwrap());
    let url = server.url();
    let mut held = holders(&fixture, &url, &["alpha", "beta", "gamma"]);
    let waiter = fixture.start(&["--fair", "--store", &url, "gamma"], "exec sleep 1000");
    let mut top = Top::start(&mut fixture.leasehold(&["top", "--store", &url]));
    top.shows("3 locks · 3 holding · 1 waiting for 1");
    top.until("the locks by name", |picture| {
        let at = |name| picture.find(name);
        at("alpha") < at("beta") && at("beta") < at("gamma") && at("alpha").is_some()
    });
    top.shows("████████");
    if std::env::var_os("LEASEHOLD_BLESS").is_some() {
        let path = format!("{}/../../docs/images/top.svg", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, svg(&top.picture.screen().contents())).unwrap();
    }
    top.types("s");
    top.until("the most waited for first", |picture| picture.find("gamma") < picture.find("alpha"));
    top.types("/bet\r");
    top.until("one lock", |picture| picture.contains("/ filter: bet") && !picture.contains("alpha"));
    top.types("/\u{1b}");
    top.shows("alpha");
    // A lock that opens shows its queue, and a change as it is pushed.
    top.types("\r");
    top.shows("1st");
    top.shows(&format!("pid {}", waiter.pid()));
    // A place in the queue outlives a waiter that is killed by its ttl.
    waiter.send(Signal::TERM);
    waiter.end();
    top.until("the end of the waiter", |picture| picture.contains("1 holding, 0 waiting"));
    top.types("\u{1b}");
    top.resize(12, 90);
    top.until("the smaller screen", |picture| picture.lines().count() <= 12 && picture.contains("alpha"));
    // Another word than its name releases nothing.
    top.types("/beta\rf");
    top.shows("type `beta` to release it by force");
    top.types("bet\r");
    top.shows("nothing was released");
    top.types("fbeta\r");
    top.shows("evicted ");
    assert_eq!(held.remove(1).end().code, Some(79));
    top.types("q");
    assert_eq!(top.ends(), Some(0));
    top.is_restored();
}

/// Reading keys by a poller that reports each edge once loses those that come together with a resize, until the next key.
#[test]
fn keys_that_are_typed_during_resizes_are_all_read() {
    let fixture = Fixture::new();
    let mut top = Top::start(&mut fixture.leasehold(&["top"]));
    top.shows("0 locks");
    for _ in 0..20 {
        top.types("/");
        let mut word = String::new();
        for round in 0..50 {
            word.push('x');
            top.resize(24 - round % 2, 120);
            top.types("x");
            top.shows(&format!("filter: {word}▏"));
        }
        top.types("\u{1b}");
        top.shows("/ filter ·");
    }
    top.types("q");
    assert_eq!(top.ends(), Some(0));
}

/// A23. The control leaves its terminal as it set it.
#[test]
fn a23_the_terminal_is_restored_after_a_signal_and_after_a_panic() {
    let fixture = Fixture::new();
    let _held = holders(&fixture, &fixture.store(), &["alpha"]);
    let mut top = Top::start(&mut fixture.leasehold(&["top"]));
    top.shows("alpha");
    assert!(top.picture.screen().alternate_screen());
    let setsid = i32::try_from(top.terminal.child.id()).unwrap();
    send(children(setsid).first().copied().unwrap_or(setsid), Signal::TERM);
    assert_eq!(top.ends(), Some(143));
    top.is_restored();
    let mut top =
        Top::start(fixture.leasehold(&["top"]).env("LEASEHOLD_TEST_PANIC", "1").env("RUST_BACKTRACE", "0"));
    assert_eq!(top.ends(), Some(101));
    assert!(top.picture.screen().contents().contains("a failure that a test asks for"));
    top.is_restored();
    let script = "stty raw -echo; printf '\\33[?1049hready'; exec sleep 1000";
    let mut control = Top::start(Command::new("sh").args(["-c", script]));
    control.shows("ready");
    let setsid = i32::try_from(control.terminal.child.id()).unwrap();
    send(children(setsid).first().copied().unwrap_or(setsid), Signal::TERM);
    control.terminal.code();
    let modes = tcgetattr(&control.terminal.keyboard).unwrap().local_modes;
    assert!(!modes.contains(LocalModes::ECHO) && control.picture.screen().alternate_screen(), "the control");
}

/// One table and one object, from every kind of store that processes share.
fn once(fixture: &Fixture, store: &str) {
    let _held = holders(fixture, store, &["night/a", "night/b", "other"]);
    let table = fixture.run(&["top", "--once", "--store", store, "night"]);
    assert_eq!(table.code, Some(0), "{store}: {}", table.stderr);
    assert!(table.stdout.starts_with("2 locks · 2 holding · 0 waiting · "), "{store}: {}", table.stdout);
    assert!(table.stdout.contains("the next is in ") && table.stdout.contains("night/b"), "{}", table.stdout);
    let one = fixture.run(&["top", "--once", "--store", store, "other"]);
    assert!(one.stdout.starts_with("1 lock · 1 holding · 0 waiting · "), "{store}: {}", one.stdout);
    let data = fixture.run(&["top", "--once", "--json", "--store", store]);
    let data: Value = serde_json::from_str(&data.stdout).unwrap();
    let names: Vec<&str> =
        data["locks"].as_array().unwrap().iter().map(|lock| lock["lock"].as_str().unwrap()).collect();
    assert_eq!(names, ["night/a", "night/b", "other"], "{store}");
    assert_eq!((&data["holding"], &data["is_cut"]), (&Value::from(3), &Value::from(false)), "{store}");
}

#[test]
fn once_on_one_server_of_each_kind_and_on_a_file() {
    let fixture = Fixture::new();
    once(&fixture, &fixture.store());
    let server = redis::Server::start().unwrap();
    once(&fixture, &server.url());
    let server = memcached::Server::start().unwrap();
    once(&fixture, &format!("memcached://{}", server.address()));
    let server = zookeeper::Server::start().unwrap();
    once(&fixture, &format!("zookeeper://{}", server.address()));
    let server = etcd::Member::start().unwrap();
    once(&fixture, &format!("etcd://{}", server.address()));
    let server = postgres::Server::start().unwrap();
    once(&fixture, &server.url());
}

#[test]
fn once_on_several_servers() {
    let fixture = Fixture::new();
    let servers = [(); 3].map(|()| redis::Server::start().unwrap());
    let members = servers.each_ref().map(redis::Server::address);
    let redlock = format!("redlock://{}", members.join(","));
    assert_eq!(fixture.run(&["promote", "--store", &redlock]).code, Some(0));
    once(&fixture, &redlock);
    let files = ["a", "b", "c"].map(|name| format!("sqlite:{}", fixture.path(name).display()));
    once(&fixture, &format!("quorum:{}", files.join(";")));
    let servers = redis::Replicated::start(1).unwrap();
    once(&fixture, &format!("{}?min_replicas=1", servers.master().url()));
    let servers = redis::Sentinels::start().unwrap();
    once(&fixture, &servers.url());
    let servers = redis::Cluster::start().unwrap();
    once(&fixture, &servers.url());
}

#[test]
fn data_goes_on_until_a_signal_and_a_pipe_is_no_terminal() {
    let fixture = Fixture::new();
    let refused = fixture.run(&["top"]);
    assert_eq!(refused.code, Some(64), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint: use --once for a table"), "{}", refused.stderr);
    let mut top = Running::start(&mut fixture.leasehold(&["top", "--json"]));
    let mut seen = |count: u64| {
        until("a scan", || {
            let data: Value = serde_json::from_str(&top.line()).unwrap();
            data["holding"] == count
        });
    };
    seen(0);
    let held = holders(&fixture, &fixture.store(), &["alpha"]);
    seen(1);
    for holder in held {
        holder.send(Signal::TERM);
        holder.end();
    }
    seen(0);
    top.send(Signal::INT);
    assert_eq!(top.end().code, Some(130));
}
