//! The end of a session under a holder, made by a second one of the same number and password.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use leasehold_core::{LockOptions, LostReason, Status};
use leasehold_testkit::{proxy::Proxy, zookeeper::Server};

use crate::{
    common,
    fixture::{SOON, engine, eventually, lock, run, ttl},
    naive::Naive,
};

/// A request to continue a session: 44 bytes after the length, with a number of a session that is not 0.
fn continues(request: &[u8]) -> bool {
    request.len() >= 48 && request[3] >= 44 && request[4..8] == [0; 4] && request[20..28] != [0; 8]
}

/// Ends the session that this request continues, as a second client that has its password.
fn end_session(server: &str, request: &[u8]) {
    // The client's own request may arrive after this one: the session moves to its connection, and this one is closed.
    while !ends_session(server, request).unwrap_or(false) {}
}

/// Whether the server has confirmed the end of the session, or knows it no more.
fn ends_session(server: &str, request: &[u8]) -> io::Result<bool> {
    let length = 4 + usize::from(request[3]);
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(SOON))?;
    stream.write_all(&request[..length])?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    let mut rest = vec![0; usize::from(answer[3]) - 8];
    stream.read_exact(&mut rest)?;
    // A session that has ended has no timeout.
    if answer[8..] == [0; 4] {
        return Ok(true);
    }
    // Number 1, operation -11: close the session.
    stream.write_all(&[0, 0, 0, 8, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xf5])?;
    let mut header = [0; 8];
    stream.read_exact(&mut header)?;
    Ok(header[4..] == [0, 0, 0, 1])
}

/// Ends the session of the client that is connected by the proxy.
pub(crate) async fn end_session_behind(proxy: &Proxy, server: &Server) {
    proxy.take_request_bytes();
    proxy.reset_all();
    let mut request = Vec::new();
    eventually(&common::env(), "the session is continued on a new connection", || {
        request = proxy.take_request_bytes().into_iter().find(|it| continues(it)).unwrap_or_default();
        let found = !request.is_empty();
        async move { found }
    })
    .await;
    // Else the client may take its session back before it is ended.
    proxy.refuse();
    end_session(&server.address(), &request);
    proxy.pass();
}

/// S12. The holder is told, at once and for certain, and not by its deadline; the next one enters; what the old holder
/// does late touches nobody. The flag of a naive holder stays up.
#[test]
fn a_session_that_is_ended_under_its_holder_is_noticed_at_once() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    run(async {
        let env = common::env();
        let one = engine(&format!("servers={} session=60000", proxy.address())).await;
        let two = engine(&format!("servers={}", server.address())).await;
        let hold = lock(&one, "orders", &ttl(60_000)).await;
        let waiting = tokio::spawn({
            let two = two.clone();
            async move { lock(&two, "invoices", &ttl(60_000)).await }
        });
        waiting.await.unwrap().release().await.unwrap();
        // The classic: set when the lock is taken, cleared when it is released.
        let naive_holds = AtomicBool::new(hold.lease().check().is_ok());
        end_session_behind(&proxy, &server).await;
        let lost = env.until(env.now() + SOON, hold.lease().lost()).await.expect("long before the deadline");
        assert!(
            lost.certain && matches!(lost.reason, LostReason::SessionEnded | LostReason::Gone),
            "{lost:?}"
        );
        assert!(matches!(hold.lease().status(), Status::Lost(_)));
        let next = lock(&two, "orders", &ttl(60_000)).await;
        assert!(naive_holds.load(Ordering::Relaxed), "the control: two believe that they hold");
        drop(hold);
        env.sleep(Duration::from_millis(300)).await;
        next.confirm().await.expect("the late release of the old hold touches nobody");
        // The client lives on, with another session.
        lock(&one, "invoices", &ttl(60_000)).await.release().await.unwrap();
    });
}

/// The same under a waiter: it takes another place, and is served.
#[test]
fn a_session_that_is_ended_under_a_waiter_does_not_hang_it() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(&server.address()).unwrap();
    run(async {
        let env = common::env();
        let one = engine(&format!("servers={}", server.address())).await;
        let two = engine(&format!("servers={} session=60000", proxy.address())).await;
        let hold = lock(&one, "orders", &ttl(60_000)).await;
        let waiting = tokio::spawn({
            let two = two.clone();
            async move { lock(&two, "orders", &LockOptions { fair: true, ..ttl(60_000) }).await }
        });
        let way = Proxy::to(&server.address()).unwrap();
        let holder = Naive::at(&server.address()).await;
        let naive = Naive::with(&way.address(), Duration::from_secs(2)).await;
        holder.make("/naive").await;
        holder.enqueue("/naive").await.unwrap();
        let number = naive.enqueue("/naive").await.unwrap();
        eventually(&env, "it waits", || async {
            one.store().inspect(&crate::fixture::name("orders")).await.unwrap().waiters.len() == 1
        })
        .await;
        end_session_behind(&proxy, &server).await;
        hold.release().await.unwrap();
        let next = env.until(env.now() + SOON, waiting).await.expect("it is served").unwrap();
        assert!(next.lease().check().is_ok());
        // The naive one waits until its number is the first, and its number is not there any more.
        way.blackhole();
        drop(holder);
        let other = Naive::at(&server.address()).await;
        eventually(&env, "both have gone", || async { other.children("/naive").await.is_empty() }).await;
        way.pass();
        assert!(!other.is_first("/naive", number).await, "the control: a free lock, and it waits for ever");
    });
}
