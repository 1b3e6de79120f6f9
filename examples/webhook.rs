//! A webhook that acts once on each event, however often and wherever it is delivered: a service of tower.
//!
//! `cargo run -p leasehold-examples --bin webhook`. Providers deliver an event again when the answer is late, often while the
//! first delivery is still at work. The lock keeps deliveries of one event apart, on all replicas; the table tells a
//! later one that the work is done. Neither is enough alone.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::{
    collections::HashSet,
    convert::Infallible,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    http::{Request, Response, StatusCode, request::Parts},
};
use leasehold::{Client, LockName};
use leasehold_tower::LockLayer;
use tokio::{join, task::yield_now};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

const EVENT: &str = "webhook-id";

/// The events that are done: a table with a unique key in earnest.
type Done = Arc<Mutex<HashSet<String>>>;

/// The lock of a delivery has the name of its event. A request without one is refused by the handler.
fn lock_of(request: &Parts) -> Option<LockName> {
    let event = request.headers.get(EVENT)?.to_str().ok()?;
    LockName::new(format!("webhook/{event}")).ok()
}

async fn handle(done: Done, request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let Some(event) = request.headers().get(EVENT).and_then(|event| event.to_str().ok()) else {
        let mut refused = Response::new(Body::from("no event"));
        *refused.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(refused);
    };
    let is_done = done.lock().unwrap_or_else(PoisonError::into_inner).contains(event);
    if is_done {
        return Ok(Response::new(Body::from("done before")));
    }
    // The work, in which the same event arrives again.
    for _ in 0..100 {
        yield_now().await;
    }
    println!("acting on {event}");
    done.lock().unwrap_or_else(PoisonError::into_inner).insert(event.into());
    Ok(Response::new(Body::from("done")))
}

async fn deliver<S, B>(service: S, event: &str) -> Result<String, Box<dyn Error>>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = axum::body::Bytes, Error: Into<axum::BoxError>> + Send + 'static,
{
    let request = Request::post("/").header(EVENT, event).body(Body::empty())?;
    let response = service.oneshot(request).await?;
    let status = response.status().as_u16();
    let text = to_bytes(Body::new(response.into_body()), 1000).await?;
    Ok(format!("{status} {}", String::from_utf8_lossy(&text)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let locks = Client::connect("memory:").await?;
    let done = Done::default();
    // The provider gives up after ten seconds: waiting longer helps nobody.
    let service = ServiceBuilder::new()
        .layer(LockLayer::new(locks.clone(), lock_of).wait(Duration::from_secs(8)))
        .service(service_fn(move |request| handle(done.clone(), request)));

    let deliver = |event| deliver(service.clone(), event);
    let (first, again, other) = join!(deliver("evt-1"), deliver("evt-1"), deliver("evt-2"));
    let mut same = [first?, again?];
    same.sort();
    println!("evt-1: {}, evt-2: {}, later: {}", same.join(" and "), other?, deliver("evt-1").await?);
    locks.close(Duration::from_secs(5)).await?;
    Ok(())
}
