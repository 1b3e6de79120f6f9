//! The share of a Redis server's pairs that a `leasehold top` and a `leasehold serve` take:
//! `cargo bench -p leasehold-cli --bench watching`.
//!
//! Both are stopped (SIGSTOP) in every other turn, while two threads lock and unlock, in one run: at a pace of 10,000 pairs a second,
//! and as fast as they can. They, the load and the server share the machine, so the ratio has the processor time of all of them.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use leasehold::{Client, env::Env};
use leasehold_testkit::redis::Server;
use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use tokio::{runtime::Builder, task::JoinSet};

/// Locks that are held all the time.
const HELD: [usize; 3] = [20, 1000, 10_000];
/// The pairs of a second that are wanted; zero for as many as there can be.
const PACES: [u32; 2] = [10_000, 0];
/// Names that are locked and unlocked, and the tasks of a thread that do so.
const NAMES: usize = 10_000;
const TASKS: usize = 32;
const THREADS: usize = 2;
const ROUNDS: usize = 8;
const TURN: Duration = Duration::from_secs(2);

/// A program that is ended with the bench.
struct Watcher(Child);

impl Watcher {
    fn send(&self, signal: Signal) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).expect("a process has an id");
        kill_process(pid, signal).expect("the process is there");
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn leasehold(arguments: &[&str], url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    command.args(arguments).args(["--store", url]).stdin(Stdio::null());
    command
}

fn in_background(task: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().spawn(task).expect("a thread starts");
}

/// Reads to the end, in the background.
fn drain(mut from: impl Read + Send + 'static) {
    in_background(move || {
        let mut bytes = [0; 65_536];
        while from.read(&mut bytes).is_ok_and(|count| count > 0) {}
    });
}

/// `top` on a terminal.
fn top(url: &str) -> Watcher {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let terminal = openpt(flags).expect("there are terminals");
    grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("the terminal is ours");
    let size = Winsize { ws_row: 50, ws_col: 160, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).expect("a terminal has a size");
    let end = || ioctl_tiocgptpeer(&terminal, flags).expect("a terminal has two ends");
    let mut command = leasehold(&["top"], url);
    let child = command.env("TERM", "xterm").stdin(end()).stdout(end()).spawn().expect("top starts");
    drain(File::from(terminal));
    Watcher(child)
}

/// `serve`, with one reader of its events.
fn serve(url: &str) -> Watcher {
    let mut command = leasehold(&["serve", "--listen", "127.0.0.1:0"], url);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("serve starts");
    let (mut said, mut line) = (BufReader::new(child.stderr.take().expect("it is piped")), String::new());
    let address = loop {
        line.clear();
        assert!(said.read_line(&mut line).is_ok_and(|bytes| bytes > 0), "serve has ended");
        if let Some((_, rest)) = line.split_once("http://") {
            break rest.split('/').next().unwrap_or_default().to_string();
        }
    };
    drain(said);
    let mut stream = TcpStream::connect(&address).expect("serve listens");
    write!(stream, "GET /api/events HTTP/1.1\r\nhost: {address}\r\n\r\n").expect("serve reads");
    drain(stream);
    Watcher(child)
}

/// The state that the threads of the load share.
#[derive(Default)]
struct Load {
    pairs: AtomicU64,
    pace: AtomicU32,
}

/// Locks and unlocks until the server is gone.
fn load(url: &str, thread: usize, load: &Arc<Load>) {
    let (url, load) = (url.to_string(), load.clone());
    in_background(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        runtime.block_on(async {
            let client = Client::connect(url.as_str()).await.expect("the server answers");
            let mut tasks = JoinSet::new();
            for task in 0..TASKS {
                let (client, load) = (client.clone(), load.clone());
                tasks.spawn(async move {
                    let mut due = client.env().now();
                    for at in (thread * TASKS + task..).step_by(TASKS * THREADS) {
                        due = match load.pace.load(Relaxed) {
                            0 => client.env().now(),
                            pace => due + Duration::from_secs((TASKS * THREADS) as u64) / pace,
                        };
                        client.env().sleep(due.since(client.env().now())).await;
                        let mutex = client.mutex(format!("load/{}", at % NAMES)).expect("a name");
                        let Ok(guard) = mutex.lock().await else { return };
                        let Ok(_) = guard.release().await else { return };
                        load.pairs.fetch_add(1, Relaxed);
                    }
                });
            }
            while tasks.join_next().await.is_some() {}
        });
    });
}

/// The processor time that a process has used.
fn used(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("the process is there");
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn main() {
    let env = Env::system().expect("threads start");
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    println!(
        "| locks held | pace | pairs/s alone | watched | watched : alone, median | least | most | CPU of top | of serve |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for held in HELD {
        let server = Server::start().expect("redis-server is installed");
        let url = server.url();
        let client = runtime.block_on(Client::connect(url.as_str())).expect("the server answers");
        let mutexes = (0..held).map(|at| client.mutex(format!("held/{at:05}")).expect("a name"));
        let mutexes = mutexes.map(|mutex| mutex.ttl(Duration::from_secs(3600)));
        let guards = mutexes.map(|mutex| runtime.block_on(mutex.lock()).expect("nobody else has it"));
        let _guards: Vec<_> = guards.collect();
        let shared = Arc::new(Load::default());
        (0..THREADS).for_each(|thread| load(&url, thread, &shared));
        let watchers = [top(&url), serve(&url)];
        let turn = |signal| {
            watchers.iter().for_each(|watcher| watcher.send(signal));
            let (begin, first) = (env.now(), shared.pairs.load(Relaxed));
            runtime.block_on(env.sleep(TURN));
            (shared.pairs.load(Relaxed) - first) as f64 / env.now().since(begin).as_secs_f64()
        };
        for pace in PACES {
            shared.pace.store(pace, Relaxed);
            turn(Signal::CONT);
            let before = watchers.each_ref().map(|watcher| used(watcher.0.id()));
            let rounds = (0..ROUNDS).map(|round| {
                let mut order = [Signal::STOP, Signal::CONT];
                order.rotate_left(round % 2);
                let mut rates = order.map(turn);
                rates.rotate_left(round % 2);
                rates
            });
            let rounds: Vec<[f64; 2]> = rounds.collect();
            let after = watchers.each_ref().map(|watcher| used(watcher.0.id()));
            let share = |at: usize| 100. * (after[at] - before[at]).div_duration_f64(TURN * ROUNDS as u32);
            report(held, pace, &rounds, [share(0), share(1)]);
        }
    }
}

fn report(held: usize, pace: u32, rounds: &[[f64; 2]], [top, serve]: [f64; 2]) {
    let sorted = |of: &dyn Fn(&[f64; 2]) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let middle = rounds.len() / 2;
    let [alone, watched] = [0, 1].map(|at| sorted(&|rates| rates[at])[middle]);
    let ratios = sorted(&|[alone, watched]| watched / alone);
    let [least, median, most] = [0, middle, rounds.len() - 1].map(|at| ratios[at]);
    let pace = if pace == 0 { "none".into() } else { pace.to_string() };
    println!(
        "| {held} | {pace} | {alone:.0} | {watched:.0} | {median:.3} | {least:.3} | {most:.3} | {top:.1} % | {serve:.1} % |"
    );
}
