//! HTTP requests under distributed locks: a [`LockLayer`] for services of [tower](https://docs.rs/tower), and an extractor for
//! axum.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use axum::{Router, routing::post};
//! use leasehold::{Client, LockName};
//! use leasehold_tower::{LockLayer, RequestLease};
//!
//! async fn pay(lease: RequestLease) -> String {
//!     format!("paid under the fencing token {:?}", lease.fencing_token())
//! }
//!
//! let client = Client::connect("memory:").await?.ttl(Duration::from_secs(10)).max_hold(Duration::from_secs(60));
//! // One writing request at a time for each path, on all replicas of the service, and meanwhile no reading one (GET, HEAD, …).
//! let one_writer = LockLayer::new(client, |request| LockName::new(request.uri.path()).ok())
//!     .shared(|request| request.method.is_safe());
//! let service: Router = Router::new()
//!     .route("/orders/{id}/payment", post(pay))
//!     .layer(one_writer.wait(Duration::from_secs(2)));
//! # let _ = service; Ok(()) }
//! ```
//!
//! # How long the lock is held
//!
//! From before the handler is called to the end of the response's **body**: the work of a body that is streamed is done
//! while it is sent. The lock is released before the last frame is handed on, so whoever has read the response finds the lock free. A
//! response that is dropped, because the client has gone away or the handler has panicked, releases it in the background.
//!
//! A client that sends its request or reads the response slowly prolongs the lock. Bound that by
//! [`Client::max_hold`](leasehold::Client::max_hold), and read a large request before the layer. A connection that is
//! upgraded (WebSocket) is not under the lock any more.
//!
//! # When the lock is not there
//!
//! | | answer |
//! |---|---|
//! | busy, after the [wait](LockLayer::wait) | 409 (or [another status](LockLayer::busy_status)) with `Retry-After`; the handler is not called |
//! | the store fails | 503; the handler is not called; the error is logged |
//! | lost before the head of the response | 503; the handler is dropped, before its next step; it may have done half of its work |
//! | lost in the body | the body ends with an error, so the client sees that the response is not complete |
//!
//! The response of the first three has a [`Refusal`] among its extensions, of which a layer outside makes another answer.
//! Only a resource that checks the [fencing token](leasehold::fencing) refuses the write of a handler that was paused in
//! the middle of it.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod body;
#[cfg(feature = "axum")]
mod extract;
mod held;
mod layer;
mod service;

pub use answer::Refusal;
pub use body::LockedBody;
#[cfg(feature = "axum")]
pub use extract::RequestLease;
pub use layer::LockLayer;
pub use service::LockService;

/// The code of these pages compiles.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../../../docs/book/http.md")]
struct BookPages;
