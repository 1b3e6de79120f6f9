//! [`LockWatcher`]: a watch on the keys of one lock, for all waiters of this client.
//!
//! It reads the queue, and watches from the next revision: no event is missed in between. When the watch ends (the member
//! is gone, the revision was compacted, the cluster has no leader) it reads again, watches anew, and wakes every waiter: a
//! missed event costs a request, never a wait.

use std::{
    collections::{BTreeMap, HashSet},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use leasehold_core::{
    ClaimId, Error, ErrorKind, Interest, LockName, Result, decide::backoff, store_kit::Waiters,
};
use tokio::sync::{OnceCell, oneshot};
use tonic::Streaming;

use crate::{
    error::explain,
    format::Value,
    keys::Keys,
    protocol::{
        Event, KeyValue, RangeRequest, RangeResponse, WatchCreateRequest, WatchRequest, WatchResponse,
    },
    queue::{Queue, claim_of},
    transport::{
        Cluster, RANGE,
        connection::{Connection, WATCH, authorized},
    },
};

/// The type of an event that is no put.
const DELETE: i32 = 1;

/// Watches one lock from its start until it is dropped.
#[derive(Default)]
pub(crate) struct LockWatcher {
    pub(crate) waiters: Arc<Waiters<Interest>>,
    /// Its drop ends the task.
    task: OnceCell<oneshot::Sender<()>>,
}

/// The background task of a watcher.
struct Task {
    cluster: Arc<Cluster>,
    keys: Keys,
    waiters: Arc<Waiters<Interest>>,
    /// Told once whether the watch has begun.
    started: Option<oneshot::Sender<Result<()>>>,
    kvs: BTreeMap<Vec<u8>, KeyValue>,
    /// The claims that could be granted when the keys were last read.
    runnable: HashSet<ClaimId>,
}

/// A watch that has begun.
struct Stream {
    connection: Arc<Connection>,
    answers: Streaming<WatchResponse>,
}

impl LockWatcher {
    /// Begins to watch in the background, unless that was done, and waits until the watch has begun.
    pub(crate) async fn start(&self, cluster: &Arc<Cluster>, name: &LockName) -> Result<()> {
        let begin = || async {
            let (alive, dropped) = oneshot::channel();
            let (started, has_started) = oneshot::channel();
            let mut task = Task {
                cluster: cluster.clone(),
                keys: Keys::of(name),
                waiters: self.waiters.clone(),
                started: Some(started),
                kvs: BTreeMap::new(),
                runnable: HashSet::new(),
            };
            cluster.env.spawn(async move {
                tokio::select! {
                    () = task.run() => {}
                    _ = dropped => {}
                }
            });
            let ended = |_| Err(Error::new(ErrorKind::Closed, "the watch has ended"));
            has_started.await.unwrap_or_else(ended).map(|()| alive)
        };
        self.task.get_or_try_init(begin).await.map(drop)
    }
}

impl Task {
    async fn run(&mut self) {
        let mut failures = 0;
        loop {
            let Err(error) = self.watch().await;
            if let Some(started) = self.started.take() {
                // The caller may be gone.
                let _ = started.send(Err(error));
                return;
            }
            tracing::debug!(store = "etcd", %error, "a watch ended and is resumed");
            let env = &self.cluster.env;
            let jitter = env.jitter(Duration::from_secs(1)).as_secs_f64();
            let pause = backoff::delay(failures, Duration::from_millis(10), Duration::from_secs(1), jitter);
            failures += 1;
            env.sleep(pause).await;
        }
    }

    /// Reads the queue, and watches until the watch ends.
    async fn watch(&mut self) -> Result<Infallible> {
        let (key, range_end) = self.keys.range();
        let request = RangeRequest { key, range_end, limit: 0 };
        let read: RangeResponse = self.cluster.call(RANGE, request).await?;
        self.kvs = read.kvs.into_iter().map(|kv| (kv.key.clone(), kv)).collect();
        self.runnable = self.read_runnable();
        let mut stream = self.subscribe(read.header.revision + 1).await?;
        loop {
            self.next(&mut stream).await?;
        }
    }

    async fn subscribe(&self, start_revision: i64) -> Result<Stream> {
        let (cluster, env) = (&self.cluster, &self.cluster.env);
        let until = env.now() + cluster.options.timeout;
        let connection = cluster.connection(until).await?;
        let token = cluster.login(&connection, until).await?;
        let (key, range_end) = self.keys.range();
        let request = WatchRequest { create: WatchCreateRequest { key, range_end, start_revision } };
        // It ends when the answers are dropped.
        let requests = stream::iter([request]).chain(stream::pending());
        match env.until(until, connection.stream(WATCH, authorized(requests, &token))).await {
            Some(Ok(answers)) => Ok(Stream { connection, answers }),
            Some(Err(status)) => {
                cluster.note_failure(&connection, &status);
                Err(explain(&status))
            }
            None => {
                cluster.forget(&connection);
                Err(broken("the watch was not answered in time"))
            }
        }
    }

    /// Waits for the next message, and wakes the waiters that it concerns.
    async fn next(&mut self, stream: &mut Stream) -> Result<()> {
        let message = tokio::select! {
            message = stream.answers.message() => message,
            () = stream.connection.retirement() => Ok(None),
            () = self.cluster.hangs(&stream.connection) => Ok(None),
        };
        let message = message.map_err(|status| {
            self.cluster.note_failure(&stream.connection, &status);
            explain(&status)
        })?;
        let answer = message.ok_or_else(|| broken("the watch ended"))?;
        stream.connection.note_answer(&self.cluster.env);
        if answer.canceled {
            return Err(broken(&format!("the watch was cancelled: {}", answer.cancel_reason)));
        }
        if answer.created {
            match self.started.take() {
                // The caller may be gone.
                Some(started) => drop(started.send(Ok(()))),
                None => self.waiters.wake_all(),
            }
        }
        if !answer.events.is_empty() {
            let concerned = self.apply(answer.events);
            self.waiters.wake(&Interest::Changes);
            concerned.into_iter().for_each(|id| self.waiters.wake(&Interest::Turn(id)));
        }
        Ok(())
    }

    /// Applies the events, and returns the claims to wake: those that can be granted now, and those whose place is gone.
    fn apply(&mut self, events: Vec<Event>) -> HashSet<ClaimId> {
        let mut concerned = HashSet::new();
        for Event { r#type, kv } in events {
            if r#type == DELETE {
                let removed = self.kvs.remove(&kv.key);
                let value = removed.and_then(|kv| Value::read(&kv.value));
                concerned.extend(claim_of(self.keys.part(&kv.key), value).map(|(id, _)| id));
            } else {
                self.kvs.insert(kv.key.clone(), kv);
            }
        }
        let runnable = self.read_runnable();
        concerned.extend(runnable.difference(&self.runnable));
        self.runnable = runnable;
        concerned
    }

    fn read_runnable(&self) -> HashSet<ClaimId> {
        Queue::read(&self.keys, self.kvs.values().cloned().collect(), None, 0).runnable().collect()
    }
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::Unreachable, what).hint("it is resumed")
}
