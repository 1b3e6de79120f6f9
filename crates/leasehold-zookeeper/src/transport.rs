//! [`dial`]: a session, and the thread that drives it.
//!
//! The client library waits for its socket by a thread of its own (`async-io`), which would wake the background thread,
//! which would wake the caller: three threads for each answer. A session that is driven by the thread that waits for its
//! socket saves one of them. It ends with the session.

use std::{
    future::Future,
    pin::Pin,
    sync::{Mutex, PoisonError},
};

use futures_util::future::join_all;
use spawns_core::{Spawn, Task};
use tokio::sync::oneshot;
use zookeeper_client::{Client, Connector, Error};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the library wants to have done beside the call that wants it.
#[derive(Default)]
struct SpawnQueue(Mutex<Vec<Work>>);

impl Spawn for SpawnQueue {
    fn spawn(&self, task: Task) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::into_pin(task.future));
    }
}

impl SpawnQueue {
    fn take(&self) -> Vec<Work> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Connects to one of these servers. The answer is lost when the thread cannot be started, or ends.
///
/// # Cancel safety
/// When nobody waits for the answer any more, the session is closed as soon as it is there.
///
/// # Errors
/// The operating system starts no more threads.
pub(crate) fn dial(
    connector: Connector,
    servers: String,
) -> std::io::Result<oneshot::Receiver<Result<Client, Error>>> {
    let (send, receive) = oneshot::channel();
    let drive = move || {
        let wanted = SpawnQueue::default();
        let _scope = spawns_core::enter(&wanted);
        async_io::block_on(async {
            // Who asked may have given up: then the session is closed again by its drop.
            let _ = send.send(connector.connect(&servers).await);
            // What was wanted is the session itself, which ends when the last client is dropped.
            loop {
                let works = wanted.take();
                if works.is_empty() {
                    return;
                }
                join_all(works).await;
            }
        });
    };
    std::thread::Builder::new().name("leasehold-zk".into()).spawn(drive)?;
    Ok(receive)
}
