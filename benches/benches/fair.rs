//! The shares of two processes that contend for one lock in tight loops:
//! `cargo bench -p leasehold-benches --bench fair [-- STORE|URL …] [rounds=10] [seconds=5] [tasks=1,4,16]`.
//!
//! A row is one number of tasks a process. The smaller share is that of the process with fewer grants: half would be fair.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::{
    any::Any,
    process::{Child, Command, Stdio},
    time::Duration,
};

use leasehold::{
    Client,
    env::{Env, Moment},
};
use leasehold_benches::Samples;
use leasehold_testkit::{etcd, memcached, redis, zookeeper};

const ROLE: &str = "LEASEHOLD_BENCH_FAIR";
/// From the start of the processes to the first claim.
const CONNECTING: Duration = Duration::from_millis(1500);

/// A URL, and the server behind it.
struct Place {
    url: String,
    _server: Box<dyn Any>,
}

impl Place {
    fn new(url: String, server: impl Any) -> Place {
        Place { url, _server: Box::new(server) }
    }
}

fn place(word: &str) -> Place {
    match word {
        "sqlite" => {
            let directory = tempfile::tempdir().expect("a temporary directory");
            Place::new(format!("sqlite:{}", directory.path().join("locks.db").display()), directory)
        }
        "redis" | "plain" => {
            let server = redis::Server::start().expect("redis-server starts");
            let dialect = if word == "plain" { "?dialect=plain" } else { "" };
            Place::new(format!("{}{dialect}", server.url()), server)
        }
        "redlock" => {
            let servers = [(); 3].map(|()| redis::Server::start().expect("redis-server starts"));
            let url = format!("redlock://{}", servers.each_ref().map(redis::Server::address).join(","));
            let vouched = runtime().block_on(leasehold::diagnose::promote(&url.parse().expect("a URL")));
            vouched.expect("the members answer");
            Place::new(url, servers)
        }
        "memcached" => {
            let server = memcached::Server::start().expect("memcached starts");
            Place::new(server.url(), server)
        }
        "zookeeper" => {
            let server = zookeeper::Server::start().expect("ZooKeeper starts");
            Place::new(format!("zookeeper://{}/fair", server.address()), server)
        }
        "etcd" => {
            let member = etcd::Member::start().expect("etcd starts");
            Place::new(format!("etcd://{}", member.address()), member)
        }
        url => Place::new(url.to_string(), ()),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime of two threads starts")
}

/// What a process does: `tasks` tasks lock and release from `begin` to `end`.
struct Role {
    url: String,
    tasks: usize,
    begin: Moment,
    end: Moment,
}

impl Role {
    fn write(&self) -> String {
        format!("{} {} {} {}", self.url, self.tasks, self.begin.nanos(), self.end.nanos())
    }

    fn read(text: &str) -> Option<Role> {
        let mut words = text.split(' ');
        let url = words.next()?.to_string();
        let mut number = || words.next()?.parse::<u64>().ok();
        let (tasks, begin, end) = (number()? as usize, number()?, number()?);
        Some(Role { url, tasks, begin: Moment::from_nanos(begin), end: Moment::from_nanos(end) })
    }

    /// The waits of all tasks, one a grant.
    fn play(&self, env: &Env) -> Samples {
        let runtime = runtime();
        let client = runtime.block_on(Client::connect(&self.url)).expect("the store opens");
        let (begin, end) = (self.begin, self.end);
        let start = || {
            let mutex = client.mutex("one").expect("the name is valid");
            let env = env.clone();
            runtime.spawn(async move {
                let mut waits = Vec::new();
                env.sleep_until(begin).await;
                loop {
                    let asked = env.now();
                    if asked >= end {
                        return waits;
                    }
                    let guard = mutex.lock().await.expect("the store answers");
                    waits.push(env.now().since(asked));
                    guard.release().await.expect("the store answers");
                }
            })
        };
        let tasks: Vec<_> = (0..self.tasks).map(|_| start()).collect();
        let mut samples = Samples::default();
        for task in tasks {
            let waits = runtime.block_on(task).expect("the task does not panic");
            waits.into_iter().for_each(|wait| samples.push(wait));
        }
        samples
    }
}

/// Grants and the longest wait of one process.
struct Outcome {
    grants: f64,
    longest: Duration,
}

fn start(role: &Role) -> Child {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    command.env(ROLE, role.write()).stdout(Stdio::piped()).spawn().expect("this program starts again")
}

fn outcome(child: Child) -> Outcome {
    let output = child.wait_with_output().expect("the other process ends");
    let text = String::from_utf8(output.stdout).expect("it prints numbers");
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let &[grants, longest] = &numbers[..] else { panic!("no outcome: {text}") };
    Outcome { grants: grants as f64, longest: Duration::from_nanos(longest) }
}

/// Two processes on one lock: the smaller share, the sum of the grants, and the longest wait.
fn round(env: &Env, url: &str, tasks: usize, span: Duration) -> (f64, f64, Duration) {
    let begin = env.now() + CONNECTING;
    let role = Role { url: url.to_string(), tasks, begin, end: begin + span };
    let [one, two] = [start(&role), start(&role)].map(outcome);
    let sum = one.grants + two.grants;
    (one.grants.min(two.grants) / sum.max(1.0), sum, one.longest.max(two.longest))
}

fn rows(env: &Env, word: &str, settings: &Settings) {
    let place = place(word);
    for tasks in &settings.tasks {
        let span = Duration::from_secs_f64(settings.seconds);
        let rounds = (0..settings.rounds).map(|_| round(env, &place.url, *tasks, span));
        let mut rounds: Vec<_> = rounds.collect();
        rounds.sort_by(|one, two| one.0.total_cmp(&two.0));
        let middle = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let shares: Vec<f64> = rounds.iter().map(|round| round.0 * 100.0).collect();
        let (least, share) = (shares[0], middle(shares));
        let longest: Vec<f64> = rounds.iter().map(|round| round.2.as_secs_f64() * 1e3).collect();
        let (worst, wait) = (longest.iter().copied().fold(0.0, f64::max), middle(longest));
        let sum = middle(rounds.iter().map(|round| round.1 / settings.seconds).collect());
        println!("| {word} | {tasks} | {share:.0} % | {least:.0} % | {wait:.0} | {worst:.0} | {sum:.0} |");
    }
}

struct Settings {
    rounds: usize,
    seconds: f64,
    tasks: Vec<usize>,
    places: Vec<String>,
}

impl Settings {
    fn read(words: impl Iterator<Item = String>) -> Settings {
        let mut all = Settings { rounds: 10, seconds: 5.0, tasks: vec![1, 4, 16], places: Vec::new() };
        for word in words.filter(|word| !word.starts_with('-')) {
            match word.split_once('=') {
                Some(("rounds", count)) => all.rounds = count.parse().expect("a number of rounds"),
                Some(("seconds", span)) => all.seconds = span.parse().expect("a number of seconds"),
                Some(("tasks", list)) => {
                    all.tasks =
                        list.split(',').map(|count| count.parse().expect("a number of tasks")).collect();
                }
                _ => all.places.push(word),
            }
        }
        if all.places.is_empty() {
            let known = ["sqlite", "redis", "plain", "redlock", "memcached", "zookeeper", "etcd"];
            all.places = known.map(String::from).to_vec();
        }
        all
    }
}

fn main() {
    let env = Env::system().expect("threads start");
    if let Ok(role) = std::env::var(ROLE) {
        let samples = Role::read(&role).expect("the role is whole").play(&env);
        println!("{} {}", samples.count(), samples.quantile(1.0).as_nanos());
        return;
    }
    let settings = Settings::read(std::env::args().skip(1));
    println!(
        "| store | tasks a process | smaller share p50 | least | longest wait p50 ms | worst | grants/s |"
    );
    println!("|---|---|---|---|---|---|---|");
    for place in &settings.places {
        rows(&env, place, &settings);
    }
}
