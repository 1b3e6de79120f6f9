//! The spans of locks, sent to a collector of OpenTelemetry by OTLP over gRPC:
//! `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317 cargo run -p leasehold-examples --bin traces`.
//!
//! The trace of a run has the span `invoices` of this program, and in it `lock.acquire` and `lock.hold`; each renewal is a trace of
//! its own, for one request renews all locks of a client.

use std::{error::Error, io::stdin, time::Duration};

use leasehold::Client;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::task::spawn_blocking;
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_service_name("billing").build())
        .with_batch_exporter(SpanExporter::builder().with_tonic().build()?)
        .build();
    // The library's spans are of the level DEBUG; the exporter's own would be exported without end.
    let wanted =
        Targets::new().with_targets([("leasehold_core", LevelFilter::DEBUG), ("traces", LevelFilter::INFO)]);
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("billing"));
    tracing_subscriber::registry().with(spans.with_filter(wanted)).init();
    invoices().await?;
    spawn_blocking(move || provider.shutdown()).await??;
    Ok(())
}

/// The work under the lock. It ends with a line on stdin.
#[tracing::instrument]
async fn invoices() -> Result<(), Box<dyn Error>> {
    let locks = Client::connect("memory:").await?;
    let guard = locks.mutex("invoices")?.ttl(Duration::from_secs(6)).lock().await?;
    println!("`invoices` is locked, and renewed every two seconds: Enter ends the work");
    spawn_blocking(|| stdin().read_line(&mut String::new())).await??;
    guard.release().await?;
    Ok(())
}
