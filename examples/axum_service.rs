//! A service of axum on several replicas: one sale at a time of each item, on all of them.
//!
//! `cargo run -p leasehold-examples --bin axum_service -- 127.0.0.1:8080 redis://db`, then
//! `curl -X POST localhost:8080/items/book/sale`.
//!
//! A request waits for two seconds at most; then it is answered by 409 and `Retry-After`.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, request::Parts},
    routing::{get, post},
};
use leasehold::{Client, LockName};
use leasehold_tower::{LockLayer, RequestLease};
use tokio::{
    net::TcpListener,
    select,
    signal::unix::{SignalKind, signal},
    task::yield_now,
};

/// The stock; a database in earnest.
#[derive(Clone, Default)]
struct Stock(Arc<Mutex<HashMap<String, u32>>>);

impl Stock {
    async fn read(&self, item: &str) -> u32 {
        yield_now().await;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).get(item).unwrap_or(&5)
    }

    async fn write(&self, item: &str, left: u32) {
        yield_now().await;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(item.into(), left);
    }
}

/// Sells one. Without the lock, two requests would read the same number, and one sale would be forgotten.
async fn sell(
    State(stock): State<Stock>,
    Path(item): Path<String>,
    lease: RequestLease,
) -> Result<String, (StatusCode, String)> {
    let left = stock.read(&item).await;
    if left == 0 {
        return Err((StatusCode::GONE, "sold out".into()));
    }
    // Before each side effect: whether this request may still act. A database checks the token, too.
    lease.check().map_err(|lost| (StatusCode::SERVICE_UNAVAILABLE, lost.to_string()))?;
    stock.write(&item, left - 1).await;
    Ok(format!("{} left", left - 1))
}

async fn left(State(stock): State<Stock>, Path(item): Path<String>) -> String {
    stock.read(&item).await.to_string()
}

/// The lock of a request: that of the item it sells. Reading takes none.
fn lock_of(request: &Parts) -> Option<LockName> {
    let item = request.uri.path().strip_prefix("/items/")?.strip_suffix("/sale")?;
    LockName::new(format!("items/{item}")).ok()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:0".into());
    let client = Client::connect(args.next().unwrap_or_else(|| "memory:".into())).await?;
    // A client that sends slowly must not keep others out for ever.
    let client = client.ttl(Duration::from_secs(10)).max_hold(Duration::from_secs(60));

    let service = Router::new()
        .route("/items/{item}/sale", post(sell))
        .route("/items/{item}", get(left))
        .layer(LockLayer::new(client.clone(), lock_of).wait(Duration::from_secs(2)))
        .with_state(Stock::default());
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    let shutdown = async move {
        select! { _ = interrupted.recv() => {}, _ = terminated.recv() => {} }
    };
    axum::serve(listener, service).with_graceful_shutdown(shutdown).await?;
    client.close(Duration::from_secs(5)).await?;
    Ok(())
}
