//! A program hands in its client, or a connection, of the `redis` crate.

use std::time::Duration;

use leasehold::{
    Client, ErrorKind, LostReason,
    redis::redis::{self, AsyncTypedCommands, aio::ConnectionManager},
};
use leasehold_testkit::redis::Server;
use tokio::runtime::Runtime;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

#[test]
fn locks_are_on_the_server_of_the_programs_client() {
    let server = Server::builder().password("pw").start().unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let (one, other) = (Client::with_redis(&client).unwrap(), Client::connect(server.url()));
    runtime().block_on(async {
        let (mutex, other) = (one.mutex("orders").unwrap(), other.await.unwrap());
        let guard = mutex.lock().await.unwrap();
        assert!(other.mutex("orders").unwrap().try_lock().await.unwrap().is_none());
        // A waiter is woken by the release: on connections of its own.
        assert!(one.capability().wakes);
        let (next, released) = tokio::join!(mutex.lock(), guard.release());
        released.unwrap();
        next.unwrap().release().await.unwrap();
        assert!(other.mutex("orders").unwrap().try_lock().await.unwrap().is_some());
        assert!(!one.url().contains("pw"), "{}", one.url());
    });
}

/// The server forgets everything; the manager connects again, at a command of the program's.
#[test]
fn a_manager_that_has_connected_to_a_server_without_the_lock_is_noticed() {
    let server = Server::start().unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    runtime().block_on(async {
        let mut manager = ConnectionManager::new(client).await.unwrap();
        let locks = Client::with_redis_connection(manager.clone()).unwrap();
        // Renewed long after the end of this test.
        let guard = locks.mutex("orders").unwrap().ttl(Duration::from_secs(3600)).lock().await.unwrap();
        assert!(manager.set_nx("naive", "first").await.unwrap());
        server.kill();
        server.restart().unwrap();
        while manager.ping().await.is_err() {
            tokio::task::yield_now().await;
        }
        assert!(guard.check().is_ok(), "no request of a lock has been made since");
        drop(locks.inspect("another").await.unwrap());
        let env = locks.env();
        let lost = env.until(env.now() + Duration::from_secs(20), guard.lost()).await;
        assert_eq!(lost.map(|lost| lost.reason), Some(LostReason::Gone));
        // The control: who locks by the manager alone is not told that another one holds the lock now.
        assert!(manager.set_nx("naive", "second").await.unwrap());
    });
}

#[test]
fn locks_end_with_a_connection_that_is_not_made_anew_and_say_so() {
    let server = Server::start().unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    runtime().block_on(async {
        let connection = client.get_multiplexed_async_connection().await.unwrap();
        let locks = Client::with_redis_connection(connection).unwrap();
        let mutex = locks.mutex("orders").unwrap();
        let guard = mutex.lock().await.unwrap();
        assert!(mutex.try_lock().await.unwrap().is_none());
        guard.release().await.unwrap();
        assert!(!locks.capability().wakes);
        server.kill();
        server.restart().unwrap();
        let error = locks.inspect("orders").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(error.hint_text().unwrap().contains("ConnectionManager"), "{error:?}");
        assert!(error.to_string().contains("a connection of the program"), "{error}");
        assert!(
            Client::with_redis(&client).unwrap().mutex("orders").unwrap().try_lock().await.unwrap().is_some()
        );
    });
}
