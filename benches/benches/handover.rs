//! How long after one process began to release does the other, which waits, hold the lock:
//! `cargo bench -p leasehold-benches --bench handover`.
//!
//! Two processes take turns. Whoever holds waits until the other is surely waiting, writes the time into a shared file
//! and releases; whoever gets the lock next reads it. The peer in the same run is `flock`, whose waiters the kernel
//! wakes; a second peer polls it every 10 ms, as clients of servers without wake-ups do.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use leasehold::{
    Client, Mutex,
    env::{Env, Moment},
};
use leasehold_benches::Samples;

const TURNS: u64 = 2_000;
/// How long a turn takes: the other process has long been waiting at its end.
const TURN: Duration = Duration::from_micros(500);
const ROLE: &str = "LEASEHOLD_BENCH_HANDOVER";

/// Whose turn it was last, how many there were, and when the release began.
struct Board(File);

impl Board {
    fn open(directory: &Path) -> Board {
        let options = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(directory.join("board"));
        Board(options.expect("the directory is writable"))
    }

    fn read(&self) -> [u64; 3] {
        let mut bytes = [0u8; 24];
        // A board that nobody wrote on yet reads as zeros.
        let _ = self.0.read_exact_at(&mut bytes, 0);
        [0, 8, 16].map(|at| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes")))
    }

    fn write(&self, words: [u64; 3]) {
        let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        self.0.write_all_at(&bytes, 0).expect("the board is writable");
    }
}

trait Turns {
    fn lock(&mut self);
    fn unlock(&mut self);
}

struct Flock(File);

impl Turns for Flock {
    fn lock(&mut self) {
        self.0.lock().expect("flock works here");
    }

    fn unlock(&mut self) {
        self.0.unlock().expect("it is locked");
    }
}

/// Asks again every 10 ms.
struct Poller(File, tokio::runtime::Runtime, Env);

impl Turns for Poller {
    fn lock(&mut self) {
        while self.0.try_lock().is_err() {
            self.1.block_on(self.2.sleep(Duration::from_millis(10)));
        }
    }

    fn unlock(&mut self) {
        self.0.unlock().expect("it is locked");
    }
}

struct Leasehold {
    runtime: tokio::runtime::Runtime,
    mutex: Mutex,
    guard: Option<leasehold::MutexGuard>,
}

impl Turns for Leasehold {
    fn lock(&mut self) {
        self.guard = Some(self.runtime.block_on(self.mutex.lock()).expect("the store answers"));
    }

    fn unlock(&mut self) {
        if let Some(guard) = self.guard.take() {
            self.runtime.block_on(guard.release()).expect("the store answers");
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime of one thread starts")
}

fn leasehold(directory: &Path) -> Leasehold {
    let runtime = runtime();
    let url = format!("sqlite:{}", directory.join("locks.db").display());
    let client = runtime.block_on(Client::connect(&url)).expect("the store opens");
    let mutex = client.mutex("turn").expect("the name is valid");
    let mutex = mutex.fair().build().expect("SQLite keeps a queue");
    Leasehold { runtime, mutex, guard: None }
}

/// Takes turns until there were enough, and answers the times of the hand-overs to this process.
fn take_turns(turns: &mut dyn Turns, directory: &Path, me: u64) -> Samples {
    let (env, board) = (Env::system().expect("threads start"), Board::open(directory));
    let mut samples = Samples::default();
    loop {
        turns.lock();
        let now = env.now();
        let [last, count, released] = board.read();
        if count >= TURNS {
            board.write([me, count + 1, 0]);
            turns.unlock();
            return samples;
        }
        // A turn after one's own is no hand-over.
        if last != 0 && last != me {
            samples.push(now.since(Moment::from_nanos(released)));
        }
        while env.now().since(now) < TURN {
            std::thread::yield_now();
        }
        board.write([me, count + 1, env.now().nanos()]);
        turns.unlock();
        // `flock` is not fair: without this the releaser would lock again before the other is awake.
        while board.read()[0] == me {
            std::thread::yield_now();
        }
    }
}

fn run(lock: &str, directory: &Path, me: u64) -> Samples {
    let file = File::create(directory.join("lock")).expect("the directory is writable");
    match lock {
        "flock" => take_turns(&mut Flock(file), directory, me),
        "poller" => {
            let env = Env::system().expect("threads start");
            take_turns(&mut Poller(file, runtime(), env), directory, me)
        }
        _ => take_turns(&mut leasehold(directory), directory, me),
    }
}

fn other(lock: &str, directory: &Path) -> Child {
    let program = std::env::current_exe().expect("this program has a path");
    let role = format!("{lock}:{}", directory.display());
    Command::new(program).env(ROLE, role).stdout(Stdio::null()).spawn().expect("this program starts again")
}

fn main() {
    if let Ok(role) = std::env::var(ROLE) {
        let (lock, directory) = role.split_once(':').expect("the role names lock and directory");
        run(lock, &PathBuf::from(directory), 2);
        return;
    }
    println!("{}", Samples::head());
    for lock in ["leasehold", "flock", "poller"] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut child = other(lock, directory.path());
        let samples = run(lock, directory.path(), 1);
        child.wait().expect("the other process ends");
        println!("{}", samples.row(&format!("hand-over between two processes, {lock}")));
    }
}
