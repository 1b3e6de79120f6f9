//! The tests.

use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use leasehold_testkit::{
    peer::{Peer, Program},
    redis::Server,
    wait,
};
use libtest_mimic::Failed;
use tokio::{net::TcpStream, task::JoinSet};

use crate::{
    log::{self, meetings},
    replica::LOCKED,
};

/// For one that hangs.
const LIMIT: Duration = Duration::from_secs(120);
const KEYS: usize = 100;
/// The keys on which a replica is at work when it is stopped.
const GATED: usize = 10;
const CALLERS: usize = 48;

pub(crate) fn run<F: Future<Output = ()>>(test: fn() -> F) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test());
    Ok(())
}

struct Replica {
    process: Peer,
    address: String,
}

async fn replica(role: &str, store: &str, log: &Path) -> Replica {
    let program = Program { args: vec![log.into()], ..Program::itself(role) };
    let mut process = Peer::start(&program, store, LIMIT).await;
    let address = process.ask("address").await;
    Replica { process, address }
}

/// One connection to a replica, made when it is needed.
struct Caller {
    address: String,
    connection: Option<SendRequest<Empty<bytes::Bytes>>>,
}

impl Caller {
    fn new(address: &str) -> Caller {
        Caller { address: address.into(), connection: None }
    }

    /// The status of the answer, when all of it is there; none from a replica that is dead.
    async fn get(&mut self, path: &str) -> Option<StatusCode> {
        let answer = self.ask(path).await;
        if answer.is_none() {
            self.connection = None;
        }
        answer
    }

    async fn ask(&mut self, path: &str) -> Option<StatusCode> {
        if self.connection.is_none() {
            let stream = TcpStream::connect(&self.address).await.ok()?;
            let (sender, driver) = handshake(TokioIo::new(stream)).await.ok()?;
            tokio::spawn(driver);
            self.connection = Some(sender);
        }
        let connection = self.connection.as_mut()?;
        connection.ready().await.ok()?;
        let request = Request::builder().uri(path).header("host", "replica").body(Empty::new()).unwrap();
        let response = connection.send_request(request).await.ok()?;
        let status = response.status();
        response.into_body().collect().await.ok().map(|_| status)
    }
}

/// Numbers that are drawn by callers until all are.
#[derive(Clone)]
struct Numbers(Arc<AtomicUsize>);

/// Has requests made until the number reaches `end`, by turns to each of the replicas, and repeated until they succeed.
async fn requests(numbers: &Numbers, end: usize, addresses: &[&str]) {
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let numbers = numbers.clone();
        let mut replicas: Vec<Caller> = addresses.iter().map(|address| Caller::new(address)).collect();
        callers.spawn(async move {
            loop {
                let number = numbers.0.fetch_add(1, Ordering::AcqRel);
                if number >= end {
                    return numbers.0.fetch_sub(1, Ordering::AcqRel);
                }
                let mut attempt = number;
                loop {
                    // Each attempt is a request of its own.
                    let (at, key) = (attempt % replicas.len(), number % KEYS);
                    let path = format!("/at/key-{key}/{number}.{}", attempt - number);
                    if replicas[at].get(&path).await == Some(StatusCode::OK) {
                        break;
                    }
                    attempt += 1;
                }
            }
        });
    }
    callers.join_all().await;
}

/// Starts requests that are at work until the gate of the replica is opened, and waits until they are.
async fn at_work(
    address: &str,
    log: &Path,
    ids: impl Iterator<Item = (String, String)>,
) -> JoinSet<Option<StatusCode>> {
    let mut under_way = JoinSet::new();
    for (key, id) in ids {
        let mut caller = Caller::new(address);
        let path = format!("/gated/{key}/{id}");
        under_way.spawn(async move { caller.get(&path).await });
        let has_begun = || log::read(log).iter().any(|line| line.id == id);
        assert!(wait::until(LIMIT, has_begun), "{id} does not begin");
    }
    under_way
}

fn log_file() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    (directory, log)
}

pub(crate) async fn many_requests() {
    let (server, (_directory, log)) = (Server::start().unwrap(), log_file());
    let first = replica(LOCKED, &server.url(), &log).await;
    let mut second = replica(LOCKED, &server.url(), &log).await;
    let (a, b) = (first.address.clone(), second.address.clone());
    let numbers = Numbers(Arc::default());
    requests(&numbers, 3_000, &[&a, &b]).await;

    // The second one stands still in the middle of ten requests, for longer than their leases last: the first one goes on with
    // their keys, and none of them takes another step.
    let ids = (0..GATED).map(|key| (format!("key-{key}"), format!("stopped-{key}")));
    let mut stopped = at_work(&b, &log, ids).await;
    second.process.pause();
    requests(&numbers, 5_000, &[&a]).await;
    second.process.resume();
    while let Some(answer) = stopped.join_next().await {
        assert_eq!(answer.unwrap(), Some(StatusCode::SERVICE_UNAVAILABLE));
    }
    assert_eq!(Caller::new(&b).get("/open").await, Some(StatusCode::OK));

    // The first one is killed in the middle of requests, of which ten are certainly at work.
    let ids = (0..GATED).map(|key| (format!("key-{key}"), format!("killed-{key}")));
    let mut killed = at_work(&a, &log, ids).await;
    let others = async {
        // Requests for the ten keys wait until the leases of the dead have ended.
        requests(&numbers, 10_000, &[&b, &a]).await;
    };
    let kill = async {
        let before = numbers.0.load(Ordering::Acquire);
        while numbers.0.load(Ordering::Acquire) < before + 20 {
            tokio::task::yield_now().await;
        }
        first.process.kill();
    };
    tokio::join!(others, kill);
    while let Some(answer) = killed.join_next().await {
        assert_eq!(answer.unwrap(), None, "an answer of the dead");
    }

    let lines = log::read(&log);
    let done = lines.iter().filter(|line| line.ends).count();
    assert!((10_000..10_000 + CALLERS).contains(&done), "{done} requests were done");
    assert!(lines.iter().all(|line| !line.ends || line.id.contains('.')), "a stopped or killed one went on");
    assert!(lines.iter().all(|line| line.token > 0));
    assert_eq!(meetings(&lines), [""; 0]);
}

/// The control: the same service without the layer.
pub(crate) async fn no_layer() {
    let (server, (_directory, log)) = (Server::start().unwrap(), log_file());
    let first = replica("naked", &server.url(), &log).await;
    let second = replica("naked", &server.url(), &log).await;
    let key = || "key-0".to_string();
    let mut one = at_work(&first.address, &log, [(key(), "one".to_string())].into_iter()).await;
    let mut other = at_work(&second.address, &log, [(key(), "other".to_string())].into_iter()).await;
    for address in [&first.address, &second.address] {
        assert_eq!(Caller::new(address).get("/open").await, Some(StatusCode::OK));
    }
    for answer in [one.join_next().await, other.join_next().await] {
        assert_eq!(answer.unwrap().unwrap(), Some(StatusCode::OK));
    }
    assert!(!meetings(&log::read(&log)).is_empty(), "{:?}", log::read(&log));
}
