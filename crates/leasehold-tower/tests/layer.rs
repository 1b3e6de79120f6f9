//! The layer in virtual time, around axum and around plain services.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::{
    convert::Infallible,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, response::Response, routing::get};
use futures_util::{StreamExt, stream};
use http::{StatusCode, header::RETRY_AFTER};
use http_body_util::{BodyExt, Empty};
use leasehold::{
    Client, ErrorKind, Lease, LockName, LostReason,
    testing::{Virtual, world},
};
use leasehold_tower::{LockLayer, LockedBody, Refusal, RequestLease};
use tower::{Layer, Service, ServiceExt, service_fn};

type Plain = Empty<bytes::Bytes>;

/// A layer whose locks have the names of the paths; `/free` has none.
fn layer(client: &Client) -> LockLayer {
    LockLayer::new(client.clone(), |parts| {
        (parts.uri.path() != "/free").then(|| LockName::new(parts.uri.path()).unwrap())
    })
}

fn request(path: &str) -> Request {
    Request::builder().uri(path).body(Body::empty()).unwrap()
}

async fn send<B>(
    service: &(impl Service<Request, Response = Response<B>, Error = Infallible> + Clone),
    path: &str,
) -> Response<B> {
    service.clone().oneshot(request(path)).await.unwrap()
}

/// A service that sleeps in its handler, and counts those that came to its end.
fn slow(
    world: &Virtual,
    done: &Arc<AtomicU32>,
) -> impl Service<Request, Response = Response<Plain>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
    let (env, done) = (world.env(), done.clone());
    service_fn(move |_| {
        let (env, done) = (env.clone(), done.clone());
        async move {
            env.sleep(Duration::from_secs(20)).await;
            done.fetch_add(1, Ordering::AcqRel);
            Ok(Response::new(Empty::new()))
        }
    })
}

fn refusal<B>(response: &Response<B>) -> &Refusal {
    response.extensions().get().unwrap()
}

#[test]
fn a_busy_lock_is_answered_by_its_status_and_when_to_try_again() {
    let (world, client) = world();
    world.block_on(async {
        let held = client.mutex("/a").unwrap().ttl(Duration::from_millis(8_500)).lock().await.unwrap();
        let done = Arc::new(AtomicU32::new(0));
        let service = layer(&client).layer(slow(&world, &done));
        let busy = send(&service, "/a").await;
        assert_eq!(
            (busy.status(), &busy.headers()[RETRY_AFTER]),
            (StatusCode::CONFLICT, &"9".parse().unwrap())
        );
        assert!(matches!(refusal(&busy), Refusal::Busy(busy) if busy.holder.is_some()));
        let text = busy.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(text, "another request is at work on this: try again later");
        let locked = layer(&client).busy_status(StatusCode::LOCKED).retry_after(Duration::from_millis(1));
        let busy = send(&locked.layer(slow(&world, &done)), "/a").await;
        assert_eq!(
            (busy.status(), &busy.headers()[RETRY_AFTER]),
            (StatusCode::LOCKED, &"1".parse().unwrap())
        );
        assert_eq!(done.load(Ordering::Acquire), 0, "the handler was called");
        assert_eq!(send(&service, "/b").await.status(), StatusCode::OK, "another name");
        held.release().await.unwrap();
    });
}

#[test]
fn a_request_waits_for_as_long_as_it_may() {
    let (world, client) = world();
    let done = Arc::new(AtomicU32::new(0));
    let waiting = |seconds| layer(&client).wait(Duration::from_secs(seconds)).layer(slow(&world, &done));
    world.block_on(async {
        // Each is at work for 20 s.
        let (patient, impatient) = (waiting(60), waiting(10));
        let begin = world.env().now();
        let (first, second, refused) =
            tokio::join!(send(&patient, "/a"), send(&patient, "/a"), send(&impatient, "/a"));
        assert_eq!((first.status(), second.status()), (StatusCode::OK, StatusCode::OK));
        assert!(world.env().now().since(begin) >= Duration::from_secs(40), "one after the other");
        assert!(matches!(refusal(&refused), Refusal::Busy(_)));
        assert_eq!(done.load(Ordering::Acquire), 2);
    });
}

#[test]
fn requests_that_share_their_lock_run_together_and_not_beside_another() {
    let (world, client) = world();
    let done = Arc::new(AtomicU32::new(0));
    let reads = layer(&client).shared(|request| request.uri.query() == Some("read"));
    let service = reads.clone().layer(slow(&world, &done));
    world.block_on(async {
        let begin = world.env().now();
        let later = async {
            world.env().sleep(Duration::from_secs(1)).await;
            send(&service, "/a").await
        };
        let (one, two, writer) = tokio::join!(send(&service, "/a?read"), send(&service, "/a?read"), later);
        assert_eq!((one.status(), two.status()), (StatusCode::OK, StatusCode::OK));
        assert!(world.env().now().since(begin) < Duration::from_secs(40), "at the same time");
        assert!(matches!(refusal(&writer), Refusal::Busy(_)), "beside readers");
        let waiting = reads.wait(Duration::from_secs(60)).layer(slow(&world, &done));
        let (writer, reader) = tokio::join!(send(&waiting, "/a"), async {
            world.env().sleep(Duration::from_secs(1)).await;
            assert!(matches!(refusal(&send(&service, "/a?read").await), Refusal::Busy(_)), "beside a writer");
            send(&waiting, "/a?read").await
        });
        assert_eq!((writer.status(), reader.status()), (StatusCode::OK, StatusCode::OK));
        assert_eq!(done.load(Ordering::Acquire), 4);
    });
}

#[test]
fn a_lost_lease_drops_the_handler() {
    let (world, client) = world();
    let done = Arc::new(AtomicU32::new(0));
    world.block_on(async {
        // Not renewed, so it ends in the middle of the work.
        let short = client.clone().ttl(Duration::from_secs(10)).without_renewal();
        let lost = send(&layer(&short).layer(slow(&world, &done)), "/a").await;
        assert_eq!(lost.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(matches!(refusal(&lost), Refusal::Lost(lost) if lost.reason == LostReason::Expired));
        assert!(!lost.headers().contains_key(RETRY_AFTER), "part of the work may be done");
        assert_eq!(done.load(Ordering::Acquire), 0);
        // The control: without the layer it comes to its end.
        assert_eq!(send(&slow(&world, &done), "/a").await.status(), StatusCode::OK);
        assert_eq!(done.load(Ordering::Acquire), 1);
    });
}

#[test]
fn a_store_that_fails_refuses_the_request() {
    let (world, client) = world();
    world.block_on(async {
        client.close(Duration::from_secs(1)).await.unwrap();
        let done = Arc::new(AtomicU32::new(0));
        let refused = send(&layer(&client).layer(slow(&world, &done)), "/a").await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(matches!(refusal(&refused), Refusal::Failed(error) if error.kind() == ErrorKind::Closed));
        assert_eq!(done.load(Ordering::Acquire), 0);
    });
}

#[test]
fn a_client_that_goes_away_leaves_the_queue_or_frees_the_lock() {
    let (world, client) = world();
    let done = Arc::new(AtomicU32::new(0));
    world.block_on(async {
        let service = layer(&client).wait(Duration::from_secs(60)).layer(slow(&world, &done));
        {
            let (mut held, mut waits) = (pin!(send(&service, "/a")), pin!(send(&service, "/a")));
            let env = world.env();
            let both = async { tokio::join!(held.as_mut(), waits.as_mut()) };
            assert!(env.until(env.now() + Duration::from_secs(5), both).await.is_none());
            let seen = client.inspect("/a").await.unwrap();
            assert_eq!((seen.holders.len(), seen.waiters.len()), (1, 1));
        }
        // The release goes on in the background: a wait is woken by it long before the ttl.
        let begin = world.env().now();
        client.mutex("/a").unwrap().lock().await.unwrap().release().await.unwrap();
        assert!(world.env().now().since(begin) < Duration::from_secs(1));
        let seen = client.inspect("/a").await.unwrap();
        assert!(seen.holders.is_empty() && seen.waiters.is_empty(), "{seen:?}");
        assert_eq!(done.load(Ordering::Acquire), 0);
    });
}

/// A body of three parts with ten seconds between them.
fn streamed(world: &Virtual) -> Body {
    let env = world.env();
    Body::from_stream(stream::iter(["a", "b", "c"]).then(move |part| {
        let env = env.clone();
        async move {
            env.sleep(Duration::from_secs(10)).await;
            Ok::<_, Infallible>(part)
        }
    }))
}

fn streaming(
    world: &Virtual,
) -> impl Service<Request, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
    let world = world.clone();
    service_fn(move |_| std::future::ready(Ok(Response::new(streamed(&world)))))
}

async fn holders(client: &Client) -> usize {
    client.inspect("/a").await.unwrap().holders.len()
}

#[test]
fn a_body_is_sent_under_the_lock_to_its_end() {
    let (world, client) = world();
    world.block_on(async {
        let service = layer(&client).layer(streaming(&world));
        let mut body = send(&service, "/a").await.into_body();
        for part in ["a", "b", "c"] {
            assert_eq!(holders(&client).await, 1, "before {part}");
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), part);
        }
        assert!(body.frame().await.is_none());
        assert_eq!(holders(&client).await, 0);
        // Whole in memory: free as soon as its only frame is there.
        let whole = service_fn(|_| std::future::ready(Ok::<_, Infallible>(Response::new(Body::from("all")))));
        let mut body = send(&layer(&client).layer(whole), "/a").await.into_body();
        assert_eq!(http_body::Body::size_hint(&body).exact(), Some(3), "its length is known");
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "all");
        assert_eq!(holders(&client).await, 0);
        // Empty: free before the head is there.
        let done = Arc::new(AtomicU32::new(0));
        let empty: LockedBody<Plain> =
            send(&layer(&client).layer(slow(&world, &done)), "/a").await.into_body();
        assert_eq!(holders(&client).await, 0);
        drop(empty);
    });
}

#[test]
fn a_body_whose_lock_is_lost_ends_with_an_error() {
    let (world, client) = world();
    world.block_on(async {
        let short = client.clone().ttl(Duration::from_secs(15)).without_renewal();
        let mut body = send(&layer(&short).layer(streaming(&world)), "/a").await.into_body();
        assert!(body.frame().await.unwrap().is_ok());
        let error = body.frame().await.unwrap().unwrap_err();
        let error = error.downcast_ref::<leasehold::Error>().unwrap();
        assert_eq!(error.kind(), ErrorKind::Lost);
        assert!(body.frame().await.is_none());
        // One that is dropped half-way is released in the background.
        let mut body = send(&layer(&client).layer(streaming(&world)), "/a").await.into_body();
        assert!(body.frame().await.unwrap().is_ok());
        drop(body);
        client.mutex("/a").unwrap().lock().await.unwrap().release().await.unwrap();
    });
}

#[test]
fn handlers_of_axum_get_the_lease() {
    async fn locked(RequestLease(lease): RequestLease) -> String {
        lease.name().to_string()
    }
    async fn perhaps(lease: Option<RequestLease>) -> String {
        format!("{:?}", lease.map(|lease| lease.check()))
    }
    async fn plain(request: Request) -> String {
        request.extensions().get::<Lease>().is_some().to_string()
    }
    let (world, client) = world();
    let routes = Router::new().route("/a", get(locked)).route("/plain", get(plain));
    let routes = routes.route("/free", get(perhaps)).route("/maybe", get(perhaps));
    let service = routes.clone().layer(layer(&client));
    world.block_on(async {
        for (path, wanted) in
            [("/a", "/a"), ("/plain", "true"), ("/free", "None"), ("/maybe", "Some(Ok(()))")]
        {
            let answer = send(&service, path).await.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(answer, wanted, "{path}");
        }
        let without = send(&routes, "/a").await;
        assert_eq!(without.status(), StatusCode::INTERNAL_SERVER_ERROR);
    });
}
