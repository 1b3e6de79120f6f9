//! Processes that hand one lock over and over to each other.

#![allow(clippy::unwrap_used, reason = "this is a test")]

mod common;

use std::{
    collections::HashMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use common::{Peer, acquire, block_on, env, fifo, my_role, order, say, text};
use leasehold_core::{Env, Store};
use leasehold_sqlite::SqliteStore;

const TTL: Duration = Duration::from_secs(30);

/// The body of the other processes of these tests: a test that does nothing unless another starts it.
#[test]
fn role() {
    let Some((role, arguments)) = my_role() else { return };
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match (role.as_str(), arguments.as_slice()) {
        ("relay", [path, rounds]) => block_on(relay(path, rounds)),
        ("count", [path, file, locked]) => block_on(count(path, Path::new(file), *locked == "locked")),
        (role, arguments) => panic!("no role {role} {arguments:?}"),
    }
}

fn open(path: &str) -> SqliteStore {
    SqliteStore::open(path, env()).unwrap()
}

fn at(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join("locks.db")
}

/// Takes the lock again and again, and leaves it only when the other waits for it: every grant is a hand-over.
async fn relay(path: &str, rounds: &str) {
    let (store, env) = (open(path), env());
    let rounds: usize = rounds.parse().unwrap();
    let mut log = Vec::with_capacity(rounds);
    say("ready");
    order();
    for round in 0..rounds {
        let claim = fifo("a", Duration::from_secs(9));
        let token = acquire(&store, &env, &claim, || ()).await.unwrap();
        let entered = env.now().nanos();
        while round + 1 < rounds && store.inspect(&claim.name).await.unwrap().waiters.is_empty() {
            std::thread::yield_now();
        }
        let leaves = env.now().nanos();
        store.release(&claim).await.unwrap();
        log.push(format!("{token} {entered} {leaves}"));
    }
    say(&log.join(","));
    store.close().await.unwrap();
}

#[test]
fn no_wake_up_is_lost_between_two_processes() {
    const ROUNDS: usize = 5_000;
    let directory = tempfile::tempdir().unwrap();
    let path = at(&directory);
    let rounds = ROUNDS.to_string();
    let mut peers = [(); 2].map(|()| Peer::start("relay", &[text(&path), &rounds]));
    peers.iter().for_each(|peer| assert_eq!(peer.hears(), "ready"));
    peers.iter_mut().for_each(|peer| peer.order("go"));
    let mut grants = Vec::new();
    for (index, peer) in peers.iter().enumerate() {
        for grant in peer.hears().split(',') {
            let words: Vec<u64> = grant.split(' ').map(|word| word.parse().unwrap()).collect();
            grants.push((words[0], index, words[1], words[2]));
        }
    }
    grants.sort_unstable();
    assert!(
        grants.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].3 <= pair[1].2),
        "one after the other"
    );
    assert!(grants.windows(2).all(|pair| pair[0].1 != pair[1].1), "back and forth");
    // The last one is left to one who does not wait yet.
    let handed = grants[..grants.len() - 1].windows(2);
    let mut spans: Vec<_> = handed.map(|pair| Duration::from_nanos(pair[1].2 - pair[0].3)).collect();
    spans.sort_unstable();
    let (median, tail, longest) =
        (spans[spans.len() / 2], spans[spans.len() * 99 / 100], spans[spans.len() - 1]);
    println!("{} hand-overs: p50 {median:?}, p99 {tail:?}, longest {longest:?}", spans.len());
    assert_eq!(spans.len(), 2 * ROUNDS - 2);
    assert!(longest < Duration::from_secs(3), "a wake-up was lost: {longest:?} is the recheck");
    peers.into_iter().for_each(Peer::ends);
}

/// Appends numbered lines to a file, one higher than the last, under the lock or without.
async fn count(path: &str, file: &Path, locked: bool) {
    let (store, env) = (open(path), env());
    say("ready");
    while let Some(line) = order() {
        let claim = fifo("a", TTL);
        let token = if locked { acquire(&store, &env, &claim, || ()).await.unwrap().get() } else { 0 };
        let last = fs::read_to_string(file).unwrap();
        let last: u64 =
            last.lines().last().map_or(0, |line| line.split(' ').next().unwrap().parse().unwrap());
        if !locked {
            std::thread::yield_now();
        }
        let mut file = fs::OpenOptions::new().append(true).open(file).unwrap();
        file.write_all(format!("{} {token} {line}\n", last + 1).as_bytes()).unwrap();
        if locked {
            store.release(&claim).await.unwrap();
        }
        say(&line);
    }
}

struct Counters<'c> {
    path: &'c Path,
    file: &'c Path,
    locked: &'static str,
}

impl Counters<'_> {
    fn start(&self) -> Peer {
        let peer = Peer::start("count", &[text(self.path), text(self.file), self.locked]);
        assert_eq!(peer.hears(), "ready");
        peer
    }

    /// Lets `workers` processes count `each` times, and kills one of them now and then. Answers what was acknowledged.
    fn run(&self, workers: usize, each: usize, kills: usize, env: &Env) -> Vec<String> {
        let mut peers: Vec<_> = (0..workers).map(|_| self.start()).collect();
        let (mut acknowledged, mut done) = (Vec::new(), vec![0; workers]);
        let total = workers * each;
        let mut kill_at: Vec<_> = (1..=kills).map(|index| index * total / (kills + 1)).collect();
        for (index, peer) in peers.iter_mut().enumerate() {
            peer.order(&format!("{index}.0"));
        }
        let mut at = 0;
        while acknowledged.len() < total {
            at = (at + 1) % workers;
            if done[at] == each {
                continue;
            }
            if let Some(line) = peers[at].hears_within(Duration::from_millis(1)) {
                acknowledged.push(line);
                done[at] += 1;
                if done[at] < each {
                    peers[at].order(&format!("{at}.{}", done[at]));
                }
            }
            if kill_at.first().is_some_and(|&due| acknowledged.len() >= due) {
                kill_at.remove(0);
                let victim = (env.random() % workers as u128) as usize;
                peers[victim].kill();
                // What it said before it died counts; what it was asked last may be done twice.
                while let Some(line) = peers[victim].hears_within(Duration::from_millis(50)) {
                    acknowledged.push(line);
                    done[victim] += 1;
                }
                peers[victim] = self.start();
                if done[victim] < each {
                    peers[victim].order(&format!("{victim}.{}", done[victim]));
                }
            }
        }
        acknowledged
    }
}

#[test]
fn eight_processes_count_exactly_while_some_are_killed_and_without_the_lock_they_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let (path, file) = (at(&directory), directory.path().join("counter"));
    let env = env();
    fs::write(&file, "").unwrap();
    let acknowledged = Counters { path: &path, file: &file, locked: "locked" }.run(8, 500, 16, &env);
    let counted = fs::read_to_string(&file).unwrap();
    let lines: Vec<Vec<&str>> = counted.lines().map(|line| line.split(' ').collect()).collect();
    let number = |word: &str| word.parse::<u64>().unwrap();
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(number(line[0]), index as u64 + 1, "an update was lost");
    }
    assert!(lines.windows(2).all(|pair| number(pair[0][1]) < number(pair[1][1])), "tokens grow");
    let mut times = HashMap::new();
    lines.iter().for_each(|line| *times.entry(line[2].to_owned()).or_insert(0) += 1);
    assert!(acknowledged.iter().all(|line| times.contains_key(line)), "what was acknowledged is there");
    let repeated = lines.len() - times.len();
    assert!(acknowledged.len() == 4000 && repeated <= 16, "{} {repeated}", acknowledged.len());

    fs::write(&file, "").unwrap();
    Counters { path: &path, file: &file, locked: "naive" }.run(8, 200, 0, &env);
    let last =
        fs::read_to_string(&file).unwrap().lines().last().map(|line| number(line.split(' ').next().unwrap()));
    println!("without the lock, 1600 increments counted to {last:?}");
    assert!(last < Some(1600), "the negative control shows nothing");
}
