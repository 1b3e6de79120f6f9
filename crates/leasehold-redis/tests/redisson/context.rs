//! [`TestContext`]: Redisson and us on one server.
#![allow(dead_code, reason = "the benchmark uses a part of it")]

use std::{
    fs::{self, OpenOptions},
    io::{BufRead, Write},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use leasehold_core::{
    Claim, ClaimId, Contender, Engine, Env, Hold, LockName, LockOptions, Mode, Standing, Store, Wait,
};
use leasehold_redis::{Dialect, Endpoint, RedisOptions, RedisStore, Servers};
use leasehold_testkit::{
    foreign_client,
    peer::{Peer, Program, STORE},
    redis::{Connection, Server},
};

/// How long a peer may take to answer, also when it waits for a lock.
const ANSWER_LIMIT: Duration = Duration::from_secs(580);
/// How long a hold lives that is to be given up.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// How long a lock is waited for that others give up or lose.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A version of Redisson.
pub(crate) struct Version {
    pub(crate) label: &'static str,
    number: &'static str,
}

/// The newest, and one before the latches of its unlock.
pub(crate) const VERSIONS: &[Version] =
    &[Version { label: "redisson_4", number: "4.7.0" }, Version { label: "redisson_3", number: "3.23.5" }];

/// Redisson, with what it needs, and a program that uses it.
pub(crate) fn program(version: &Version) -> Program {
    let newest = "classes-4.7.0/Peer.class";
    let place = foreign_client::installed(env!("CARGO_TARGET_TMPDIR"), "redisson", newest, |place| {
        for Version { number, .. } in VERSIONS.iter().rev() {
            let (number_is, lib) = (format!("-Dredisson.version={number}"), format!("lib-{number}"));
            let to = format!("-DoutputDirectory={lib}");
            foreign_client::run(place, "mvn", &["-q", "-B", "dependency:copy-dependencies", &to, &number_is]);
            let (classes, path) = (format!("classes-{number}"), format!("{lib}/*"));
            foreign_client::run(place, "javac", &["-d", &classes, "-cp", &path, "Peer.java"]);
        }
    });
    let (place, number) = (place.display(), version.number);
    let classes = format!("{place}/classes-{number}:{place}/lib-{number}/*");
    let args = [
        "-Xms32m",
        "-Xmx128m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        &classes,
        "Peer",
        number,
    ];
    Program { path: "java".into(), args: args.map(Into::into).to_vec(), role: String::new() }
}

/// One server.
pub(crate) fn single(port: u16) -> Servers {
    Servers::Single(Endpoint::tcp("127.0.0.1", port))
}

fn store(servers: Servers, env: &Env) -> RedisStore {
    let mut options = RedisOptions::new(servers);
    options.dialect = Dialect::Redisson;
    RedisStore::new(options, env.clone()).expect("options that go together")
}

pub(crate) fn terms(ttl: Duration) -> LockOptions {
    LockOptions { ttl, ..LockOptions::default() }
}

pub(crate) struct TestContext {
    pub(crate) env: Env,
    pub(crate) server: Arc<Server>,
    /// Where locks are: that server, or others.
    pub(crate) servers: Servers,
    /// The same for Redisson.
    pub(crate) url: String,
    /// The ports on which releases are listened for.
    pub(crate) ports: Vec<u16>,
    pub(crate) version: &'static Version,
    pub(crate) program: Program,
}

impl TestContext {
    /// A process of Redisson.
    pub(crate) async fn peer(&self) -> Peer {
        Peer::start(&self.program, &self.url, ANSWER_LIMIT).await
    }

    /// A process of ours.
    pub(crate) async fn process_of_ours(&self) -> Peer {
        Peer::start(&Program::itself("ours"), &self.server.url(), ANSWER_LIMIT).await
    }

    pub(crate) fn store(&self) -> RedisStore {
        store(self.servers.clone(), &self.env)
    }

    pub(crate) fn engine(&self) -> Engine {
        Engine::new(Arc::new(self.store()), self.env.clone())
    }

    /// A name that no other case uses.
    pub(crate) fn name(&self) -> LockName {
        LockName::new(format!("{}-{:032x}", self.version.label, self.env.random())).expect("a short name")
    }

    pub(crate) fn claim(&self, name: &LockName, ttl: Duration) -> Claim {
        Claim::new(name.clone(), ClaimId::mint(&self.env), ttl)
    }

    /// Waits until we have it.
    pub(crate) async fn won(&self, engine: &Engine, name: &LockName, mode: Mode) -> Hold {
        let hold = engine.acquire(name, mode, &terms(LONG), Wait::For(PATIENCE), None).await;
        hold.expect("an answer of the store").unwrap_or_else(|| panic!("{name} is free in the end"))
    }

    /// One try of ours, which another's hold has to keep out. Answers that holder.
    pub(crate) async fn is_kept_out(&self, store: &RedisStore, name: &LockName) -> Contender {
        self.is_refused(store, &self.claim(name, LONG)).await
    }

    /// The same of any claim.
    pub(crate) async fn is_refused(&self, store: &RedisStore, claim: &Claim) -> Contender {
        let (name, standing) = (&claim.name, store.claim(claim).await.expect("an answer of the store"));
        let Standing::Held(busy) = standing else { panic!("{name} is answered {standing:?}") };
        busy.holder.expect("a holder that can be seen")
    }

    fn nodes(&self) -> Vec<Connection> {
        let open = |port| Connection::open(&format!("127.0.0.1:{port}")).expect("a connection");
        self.ports.iter().map(open).collect()
    }

    /// The number of scripts that the servers ran to their end so far.
    pub(crate) fn scripts_run(&self) -> u64 {
        let report = |mut node: Connection| node.call(&["INFO", "commandstats"]).expect("an answer");
        let reports = self.nodes().into_iter().map(report);
        reports.map(|report| report.text().unwrap_or_default().lines().map(scripts_run).sum::<u64>()).sum()
    }

    /// Completes when somebody of Redisson listens for the releases of a name.
    pub(crate) async fn is_awaited(&self, name: &LockName, channel: &str) {
        let stem = if name.as_str().contains('{') { name.to_string() } else { format!("{{{name}}}") };
        let channel = format!("{channel}:{stem}");
        let mut nodes = self.nodes();
        let mut listens = || {
            let calls = nodes.iter_mut().flat_map(|node| {
                ["NUMSUB", "SHARDNUMSUB"]
                    .map(|kind| node.call(&["PUBSUB", kind, &channel]).expect("an answer"))
            });
            calls.into_iter().any(|answer| answer.items().get(1).and_then(|count| count.int()) > Some(0))
        };
        while !listens() {
            self.env.sleep(Duration::from_millis(1)).await;
        }
    }
}

/// The successful calls of a line of the statistics of commands, if it is about scripts.
fn scripts_run(line: &str) -> u64 {
    let [eval, evalsha] = ["cmdstat_eval:", "cmdstat_evalsha:"].map(|command| line.strip_prefix(command));
    let count = |field: &str| {
        let mut fields = eval.or(evalsha)?.split(',');
        fields.find_map(|pair| pair.strip_prefix(field)?.parse::<u64>().ok())
    };
    count("calls=").unwrap_or_default() - count("failed_calls=").unwrap_or_default()
}

/// Serves as a process of ours until the input ends.
pub(crate) fn play(env: Env) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let url = std::env::var(STORE).expect("who starts a peer says where the store is");
    let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
    let engine = Engine::new(Arc::new(store(single(port.expect("a port at the end")), &env)), env);
    runtime.expect("this machine can start a thread").block_on(serve(&engine));
    ExitCode::SUCCESS
}

async fn serve(engine: &Engine) {
    say("ready leasehold");
    let mut holds = Vec::new();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            // It is not renewed, so that it ends when the case says.
            [verb @ ("lock" | "read" | "permit"), name, ttl_ms] => {
                let mode = match verb {
                    "lock" => Mode::Exclusive,
                    "read" => Mode::Shared,
                    _ => Mode::Permits { take: 1, of: 1 },
                };
                let ttl = Duration::from_millis(ttl_ms.parse().expect("a number"));
                let terms = LockOptions { renew: false, ..terms(ttl) };
                holds.extend(engine.acquire(&named(name), mode, &terms, Wait::No, None).await);
                say("granted");
            }
            ["count", name, file, times] => {
                for _ in 0..times.parse().expect("a number") {
                    increment(engine, &named(name), file).await;
                }
                say("counted");
            }
            // What is to be done in a critical section, by a holder that looks first.
            ["add", file] => match holds.iter().flatten().last().map(|hold: &Hold| hold.lease().check()) {
                Some(Ok(_)) => {
                    let number: u64 = read_to_string(file).trim().parse().expect("a number");
                    fs::write(file, (number + 1).to_string()).expect("the file can be written");
                    say("written");
                }
                _ => say("lost"),
            },
            ["token"] => {
                let token = holds.iter().flatten().last().and_then(|hold| hold.lease().fencing_token());
                say(&format!("token {}", token.expect("every grant has a token")));
            }
            _ => say("error unknown"),
        }
    }
}

fn read_to_string(file: &str) -> String {
    fs::read_to_string(file).expect("the file is there")
}

fn named(name: &str) -> LockName {
    LockName::new(name).expect("a short name")
}

/// Adds 1 to the number in a file, and writes its token beside it.
async fn increment(engine: &Engine, name: &LockName, file: &str) {
    let hold = engine.acquire(name, Mode::Exclusive, &terms(LONG), Wait::For(ANSWER_LIMIT), None).await;
    let hold = hold.expect("an answer of the store").expect("a turn for everybody");
    let token = hold.lease().fencing_token().expect("every grant has a token").get();
    let text = read_to_string(file);
    let (number, last) = text.trim().split_once(' ').expect("two numbers");
    let [number, last] = [number, last].map(|text| text.parse::<u64>().expect("two numbers"));
    assert!(last < token, "token {token} after {last}");
    // In place: a file that is cut off first is written to the disk.
    let mut file = OpenOptions::new().write(true).open(file).expect("the file is there");
    write!(file, "{:020} {token:020}", number + 1).expect("the file can be written");
    hold.release().await.expect("a release");
}

fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    let _ = writeln!(output, "{line}");
    let _ = output.flush();
}
