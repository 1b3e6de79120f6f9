//! The library's metrics at `/metrics`, for Prometheus.
//!
//! `cargo run -p leasehold-examples --bin prometheus -- 127.0.0.1:9000`, then `curl localhost:9000/metrics`. A dashboard and alert
//! rules for them are in `docs/monitoring`, all names in `docs/book/observability.md`.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::{error::Error, future::ready, time::Duration};

use axum::{Router, routing::get};
use leasehold::Client;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tokio::{
    net::TcpListener,
    select,
    signal::unix::{SignalKind, signal},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Before the first client. Histograms with buckets, which can be added up over the fleet.
    let seconds = [0.001, 0.01, 0.1, 1.0, 10.0, 60.0];
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Prefix("lock".into()), &seconds)?
        .install_recorder()?;

    // Names are no labels, for there may be millions: a rule groups them.
    let client = Client::connect("memory:").await?;
    let client = client.group_by(|name| name.as_str().split('/').next().unwrap_or_default().into());
    for number in 0..3 {
        let guard = client.mutex(format!("orders/{number}"))?.lock().await?;
        guard.release().await?;
    }

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    let service = Router::new().route("/metrics", get(move || ready(metrics.render())));
    let shutdown = async move {
        select! { _ = interrupted.recv() => {}, _ = terminated.recv() => {} }
    };
    axum::serve(listener, service).with_graceful_shutdown(shutdown).await?;
    client.close(Duration::from_secs(5)).await?;
    Ok(())
}
