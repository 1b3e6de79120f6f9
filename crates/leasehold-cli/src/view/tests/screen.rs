use leasehold::store::Snapshot;
use ratatui::{Terminal, backend::TestBackend};

use super::*;
use crate::view::{
    board::tests::{lock, scan},
    scanner::Range,
};

fn press(screen: &mut Screen, keys: &str) -> Action {
    let mut last = Action::None;
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\u{1b}' => KeyCode::Esc,
            key => KeyCode::Char(key),
        };
        last = screen.key(KeyEvent::new(code, KeyModifiers::NONE));
    }
    last
}

fn screen(locks: Vec<Snapshot>) -> Screen {
    let mut screen = Screen::new(Sort::Name, "memory:".to_string());
    screen.board.update(scan(1, locks));
    screen
}

fn drawn(screen: &Screen, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| screen.draw(frame, Duration::from_secs(1), |lock| format!("page of {}", lock.name)))
        .unwrap();
    terminal.backend().to_string()
}

#[test]
fn only_the_typed_name_releases_by_force() {
    let mut screen = screen(vec![lock("a", 1, 0, 9), lock("b", 2, 0, 9)]);
    let release = Action::ForceRelease(LockName::new("b").unwrap());
    assert_eq!(press(&mut screen, "jfb\n"), release);
    for wrong in ["fa\n", "f\n", "fbb\n", "fb\u{1b}", "f\u{1b}"] {
        assert_eq!(press(&mut screen, wrong), Action::None, "{wrong:?}");
        assert_eq!(screen.message, "nothing was released");
    }
    assert_eq!(press(&mut screen, "fq"), Action::None, "a name is typed");
}

#[test]
fn a_lock_opens_and_closes_and_the_filter_takes_all_letters() {
    let mut screen = screen(vec![lock("a", 1, 0, 9), lock("queue", 2, 0, 9)]);
    assert_eq!(press(&mut screen, "j\n"), Action::Open(LockName::new("queue").unwrap()));
    assert!(drawn(&screen, 80, 8).contains("page of queue"));
    assert_eq!(press(&mut screen, "\u{1b}"), Action::Close);
    assert_eq!(press(&mut screen, "/qu"), Action::None);
    let shown = drawn(&screen, 80, 8);
    assert!(shown.contains("filter: qu") && shown.contains("queue") && !shown.contains("host-1"), "{shown}");
    assert_eq!(press(&mut screen, "\nq"), Action::Quit);
}

#[test]
fn hostile_names_and_small_terminals_do_no_harm() {
    let mut screen = screen(vec![lock("\u{1b}[2J\nx", 1, 3, 9)]);
    let shown = drawn(&screen, 100, 8);
    assert!(!shown.contains('\u{1b}') && shown.contains("\\u{1b}[2J\\nx"), "{shown}");
    for (width, height) in [(1, 1), (2, 3), (20, 4), (500, 200)] {
        drawn(&screen, width, height);
    }
    press(&mut screen, "jjjkk");
    screen.board.update(scan(2, Vec::new()));
    assert_eq!(press(&mut screen, "f\n"), Action::None, "there is nothing to open");
}

/// TOKEN, MODE and the bar make room for the name, then the others.
#[test]
fn names_are_readable_on_narrow_terminals() {
    let name = "billing/invoices/2026/11";
    let screen = screen(vec![lock("a", 1, 0, 9), lock(name, 2, 1, 9)]);
    for (width, heads, is_barred) in [
        (120, "NAME MODE HOLDER FOR LEFT TOKEN WAITING", true),
        (107, "NAME MODE HOLDER FOR LEFT WAITING", true),
        (80, "NAME HOLDER FOR LEFT WAITING", true),
        (70, "NAME HOLDER FOR LEFT WAITING", false),
        (60, "NAME HOLDER LEFT WAITING", false),
        (40, "NAME LEFT", false),
        (26, "NAME", false),
    ] {
        let shown = drawn(&screen, width, 8);
        assert!(shown.contains(name) && shown.contains('█') == is_barred, "{width}\n{shown}");
        let head = shown.lines().find(|line| line.contains("NAME")).unwrap().replace('"', "");
        assert_eq!(head.split_whitespace().collect::<Vec<_>>().join(" "), heads, "{width}");
    }
    let long = "a-name-longer-than-24-columns";
    assert!(drawn(&self::screen(vec![lock(long, 1, 0, 9)]), 100, 8).contains(long));
}

#[test]
fn the_selected_row_has_a_mark() {
    let mut screen = screen(vec![lock("a", 1, 0, 9), lock("b", 2, 0, 9)]);
    let marked = |screen: &Screen| {
        let shown = drawn(screen, 80, 8);
        shown.lines().filter(|line| line.contains('>')).map(|line| line[..4].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(marked(&screen), ["\"> a"]);
    press(&mut screen, "j");
    assert_eq!(marked(&screen), ["\"> b"]);
}

/// The name and the input are whole where the warning is not.
#[test]
fn the_prompt_of_a_forced_release_fits_narrow_terminals() {
    let name = "billing/invoices/2026/11";
    let mut screen = screen(vec![lock(name, 1, 0, 9)]);
    press(&mut screen, &format!("f{name}"));
    for (width, height) in [(80, 8), (40, 8)] {
        let shown = drawn(&screen, width, height);
        let at = |text: &str| shown.find(text).unwrap_or_else(|| panic!("{text}:\n{shown}"));
        let places =
            [at(&format!("type `{name}`")), at(&format!("> {name}▏")), at("an evicted holder may not")];
        assert!(places.is_sorted(), "{shown}");
    }
    for (width, height) in [(1, 1), (9, 3), (30, 4)] {
        drawn(&screen, width, height);
    }
}

/// Of a real scan, and the processor's time, not the clock's: other tests run beside.
#[test]
fn a_frame_of_ten_thousand_locks_takes_little_time() {
    let server = leasehold_testkit::redis::Server::start().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let scanned = runtime.block_on(async {
        let client = leasehold::Client::connect(server.url().as_str()).await.unwrap();
        let mut held = Vec::new();
        for hundred in 0..100 {
            let mut claims = tokio::task::JoinSet::new();
            for at in 0..100 {
                let mutex = client.mutex(format!("job-{hundred:02}{at:02}")).unwrap();
                let mutex = mutex.ttl(Duration::from_secs(3600));
                claims.spawn(async move { mutex.lock().await.unwrap() });
            }
            held.extend(claims.join_all().await);
        }
        let range = Range { prefix: String::new(), limit: 10_000, every: Duration::from_secs(1) };
        crate::view::scanner::scan(&client, &range).await.unwrap()
    });
    assert_eq!(scanned.locks.len(), 10_000);
    let mut screen = screen(Vec::new());
    screen.board.update(scanned);
    press(&mut screen, "ss");
    let mut terminal = Terminal::new(TestBackend::new(200, 60)).unwrap();
    #[expect(clippy::disallowed_methods, reason = "measures the processor's time of this thread")]
    let used = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let frames = (0..10).map(|_| {
        let begin = used();
        terminal.draw(|frame| screen.draw(frame, Duration::ZERO, |_| String::new())).unwrap();
        let end = used();
        (end.tv_sec - begin.tv_sec) * 1_000_000_000 + (end.tv_nsec - begin.tv_nsec)
    });
    // A busy machine only adds.
    let micros = frames.min().unwrap() / 1000;
    // Whichever is the oldest: a scan takes a while, and ages with it.
    assert!(terminal.backend().to_string().contains("job-"));
    assert!(micros < 50_000, "{micros} us a frame");
    println!("{micros} us a frame of 10,000 locks");
}
