//! One replica: `/at/KEY/ID` is worked on at once, `/gated/KEY/ID` after `/open` was asked for.

use std::{
    fs::File,
    io::{BufRead, Write},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};
use leasehold::{Client, LockName};
use leasehold_testkit::peer::STORE;
use leasehold_tower::{LockLayer, RequestLease};
use tokio::{net::TcpListener, sync::watch, task::yield_now};

/// The role of a replica with the layer; any other is one without.
pub(crate) const LOCKED: &str = "locked";

/// The replica is given up for dead after so long.
const TTL: Duration = Duration::from_secs(2);

struct Shared {
    log: File,
    gate: watch::Sender<bool>,
}

impl Shared {
    fn write(&self, what: &str, (key, id): &(String, String), lease: Option<&RequestLease>) {
        let token = lease.and_then(|lease| lease.fencing_token()).map_or(0, |token| token.get());
        (&self.log).write_all(format!("{what} {key} {id} {token}\n").as_bytes()).unwrap();
    }
}

type At = (State<Arc<Shared>>, Path<(String, String)>, Option<RequestLease>);

async fn work((State(shared), Path(at), lease): At) {
    shared.write("begin", &at, lease.as_ref());
    for _ in 0..3 {
        yield_now().await;
    }
    shared.write("end", &at, lease.as_ref());
}

async fn gated((State(shared), Path(at), lease): At) {
    shared.write("begin", &at, lease.as_ref());
    shared.gate.subscribe().wait_for(|open| *open).await.unwrap();
    shared.write("end", &at, lease.as_ref());
}

async fn open(State(shared): State<Arc<Shared>>) {
    shared.gate.send_replace(true);
}

/// Serves until the input ends. Its first argument is the file.
pub(crate) fn serve(role: &str) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let log = std::env::args().nth(1).unwrap();
        let log = File::options().append(true).create(true).open(log).unwrap();
        let shared = Arc::new(Shared { log, gate: watch::Sender::new(false) });
        let mut service: Router = Router::new()
            .route("/at/{key}/{id}", get(work))
            .route("/gated/{key}/{id}", get(gated))
            .route("/open", get(open))
            .with_state(shared);
        if role == LOCKED {
            let client = Client::connect(std::env::var(STORE).unwrap()).await.unwrap().ttl(TTL);
            let naming = |parts: &http::request::Parts| {
                parts.uri.path().split('/').nth(2).map(|key| LockName::new(key).unwrap())
            };
            service = service.layer(LockLayer::new(client, naming).wait(Duration::from_secs(60)));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, service).await });
        tokio::task::spawn_blocking(move || answer(&address.to_string())).await.unwrap();
    });
    ExitCode::SUCCESS
}

/// Any line asks for the address.
fn answer(address: &str) {
    let say = |text: &str| {
        let mut output = std::io::stdout().lock();
        writeln!(output, "{text}").and_then(|()| output.flush()).unwrap();
    };
    say("ready replica");
    for _ in std::io::stdin().lock().lines().map_while(Result::ok) {
        say(address);
    }
}
