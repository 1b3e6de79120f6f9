//! 32 processes add 2,000 times each to one plain file under one lock, while some of them are killed at random.
//!
//! The file is a ledger of lines `number token worker`: an increment reads the last line and appends the next. Two
//! holders at once would write the same number twice; a stale holder would break the order of tokens.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy does not see")]

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use leasehold::{Client, env::Env};

const WORKERS: usize = 32;
const INCREMENTS: usize = 2_000;
const KILLS: usize = 48;
const ROLE: &str = "LEASEHOLD_TEST_INCREMENTER";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Line {
    number: u64,
    token: u64,
    worker: usize,
}

impl Line {
    fn parse(text: &str) -> Option<Line> {
        let mut words = text.split(' ');
        let number = words.next()?.parse().ok()?;
        let token = words.next()?.parse().ok()?;
        Some(Line { number, token, worker: words.next()?.parse().ok()? })
    }
}

fn ledger(directory: &Path) -> PathBuf {
    directory.join("ledger")
}

fn read_all(directory: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(ledger(directory)).unwrap_or_default();
    text.lines().map(|line| Line::parse(line).unwrap_or_else(|| panic!("a torn line: {line:?}"))).collect()
}

/// The last number in the ledger; reads only its tail.
fn last_number(file: &mut File) -> u64 {
    let length = file.seek(SeekFrom::End(0)).unwrap();
    file.seek(SeekFrom::Start(length.saturating_sub(128))).unwrap();
    let mut tail = String::new();
    file.read_to_string(&mut tail).unwrap();
    tail.lines().next_back().and_then(Line::parse).map_or(0, |line| line.number)
}

/// The unprotected increment: only the lock keeps it from being lost.
fn increment(file: &mut File, token: u64, worker: usize) {
    let number = last_number(file) + 1;
    file.write_all(format!("{number} {token} {worker}\n").as_bytes()).unwrap();
}

async fn work(directory: &Path, worker: usize) -> leasehold::Result<()> {
    let url = format!("sqlite:{}", directory.join("locks.db").display());
    let client = Client::connect(&url).await?;
    let mutex = client.mutex("ledger")?;
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(ledger(directory)).unwrap();
    // A worker that takes the place of a killed one goes on where that one stopped.
    let done = read_all(directory).iter().filter(|line| line.worker == worker).count();
    for _ in done..INCREMENTS {
        let guard = mutex.lock().await?;
        let token = guard.fencing_token().expect("SQLite orders its grants").get();
        increment(&mut file, token, worker);
        guard.release().await?;
    }
    client.close(Duration::from_secs(5)).await
}

/// Not a test of its own: the body of a worker process.
#[test]
fn incrementer() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (worker, directory) = role.split_once(':').unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(work(Path::new(directory), worker.parse().unwrap())).unwrap();
    println!("finished");
}

fn spawn(directory: &Path, worker: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "incrementer", "--nocapture"])
        .env(ROLE, format!("{worker}:{}", directory.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn finished(mut child: Child) -> bool {
    let output = BufReader::new(child.stdout.take().unwrap());
    // All of it is read: a test program whose output breaks off calls itself failed.
    let said = output.lines().map_while(Result::ok).filter(|line| line == "finished").count() == 1;
    child.wait().unwrap().success() && said
}

#[test]
fn thirty_two_processes_add_exactly_and_in_token_order_while_some_are_killed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let env = Env::system().unwrap();
    let mut workers: Vec<Child> = (0..WORKERS).map(|worker| spawn(path, worker)).collect();
    for kill in 1..=KILLS {
        // The next kill comes when the ledger has grown by its share, so kills are spread over the whole run.
        let share = (WORKERS * INCREMENTS * kill / (KILLS + 1)) as u64;
        let mut file = loop {
            if let Ok(file) = File::open(ledger(path)) {
                break file;
            }
            std::thread::yield_now();
        };
        while last_number(&mut file) < share {
            pause(&env);
        }
        let victim = (env.random() % WORKERS as u128) as usize;
        workers[victim].kill().unwrap();
        workers[victim].wait().unwrap();
        workers[victim] = spawn(path, victim);
    }
    let finished: Vec<bool> = workers.into_iter().map(finished).collect();
    let lines = read_all(path);
    let begin = lines.first().unwrap();
    assert_eq!(begin.number, 1);
    for pair in lines.windows(2) {
        assert_eq!(pair[1].number, pair[0].number + 1, "an increment was lost or made twice: {pair:?}");
        assert!(pair[1].token > pair[0].token, "tokens must grow in the order of the grants: {pair:?}");
    }
    assert_eq!(lines.len(), WORKERS * INCREMENTS);
    assert!(finished.into_iter().all(|one| one));
}

/// Looks at the ledger a thousand times a second; what is awaited is the progress of other processes.
fn pause(env: &Env) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(env.sleep(Duration::from_millis(1)));
}

/// The negative control: without the lock, the same increments are lost.
#[test]
fn without_the_lock_the_same_increments_are_lost() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_path_buf();
    let barrier = std::sync::Arc::new(std::sync::Barrier::new(4));
    let threads: Vec<_> = (0..4)
        .map(|worker| {
            let (path, barrier) = (path.clone(), barrier.clone());
            std::thread::Builder::new()
                .spawn(move || {
                    let mut file =
                        OpenOptions::new().read(true).append(true).create(true).open(ledger(&path)).unwrap();
                    barrier.wait();
                    for _ in 0..INCREMENTS {
                        let number = last_number(&mut file) + 1;
                        std::thread::yield_now();
                        file.write_all(format!("{number} 0 {worker}\n").as_bytes()).unwrap();
                    }
                })
                .unwrap()
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let last = read_all(&path).last().unwrap().number;
    assert!(last < 4 * INCREMENTS as u64, "nothing was lost without a lock: this test proves nothing");
}
