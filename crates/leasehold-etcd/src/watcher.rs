//! [`LockWatcher`]: one lock's queue as this client sees it change, for all who wait for it.
//!
//! It reads the queue, and watches from the revision after: nothing is missed in between. When the watch ends (the member
//! is gone, the revision was compacted away, the cluster has no leader) it reads again and watches anew, and everybody
//! readings: an event that was missed costs a question, never a wait.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use leasehold_core::{ClaimId, Env, Error, LockName, Result, decide::backoff};
use tokio::sync::{mpsc, watch};
use tonic::Streaming;

use crate::{
    error::explain,
    keys::{Keys, Part},
    proto::{
        KeyValue, RangeRequest, RangeResponse, WatchCreateRequest, WatchRequest, WatchResponse,
        event::EventType, watch_request::RequestUnion,
    },
    queue::Queue,
    transport::connection::{Connection, Procedure},
    transport::{Cluster, Refused},
    waiters::Waiters,
};

pub(crate) const RANGE: Procedure = "/etcdserverpb.KV/Range";
const WATCH: Procedure = "/etcdserverpb.Watch/Watch";

/// Watches one lock as long as somebody has it.
pub(crate) struct LockWatcher {
    pub(crate) waiters: Waiters,
    started: watch::Receiver<Started>,
    /// Its drop ends the watch.
    _alive: watch::Sender<()>,
}

/// Whether the watch has begun.
#[derive(Clone)]
enum Started {
    NotYet,
    Yes,
    Failed(Arc<Error>),
}

/// What the task has of it.
struct Task {
    members: Arc<Cluster>,
    env: Env,
    timeout: Duration,
    keys: Keys,
    watcher: Weak<LockWatcher>,
    started: watch::Sender<Started>,
}

/// The keys, and who was to run when they were looked at.
#[derive(Default)]
struct QueueView {
    kvs: BTreeMap<Vec<u8>, KeyValue>,
    runnable: HashSet<ClaimId>,
    places: HashSet<ClaimId>,
}

/// Why a watch ended.
enum Ended {
    /// Nobody listens any more.
    Abandoned,
    /// It can be taken up again.
    Broken(Error),
}

impl LockWatcher {
    /// Begins to watch, in the background.
    pub(crate) fn start(
        members: Arc<Cluster>,
        env: &Env,
        timeout: Duration,
        name: &LockName,
    ) -> Arc<LockWatcher> {
        let (started, has_started) = watch::channel(Started::NotYet);
        let (alive, mut gone) = watch::channel(());
        let watcher =
            Arc::new(LockWatcher { waiters: Waiters::default(), started: has_started, _alive: alive });
        let weak = Arc::downgrade(&watcher);
        let task = Task { members, env: env.clone(), timeout, keys: Keys::of(name), watcher: weak, started };
        env.spawn(async move {
            tokio::select! {
                () = task.run() => {}
                // The sender was dropped.
                _ = gone.changed() => {}
            }
        });
        watcher
    }

    /// Waits until it watches.
    ///
    /// # Errors
    /// Why it does not.
    pub(crate) async fn begun(&self) -> Result<()> {
        let mut started = self.started.clone();
        let state = started.wait_for(|state| !matches!(state, Started::NotYet)).await;
        match state.as_deref() {
            Ok(Started::Yes) => Ok(()),
            Ok(Started::Failed(error)) => {
                let copy = Error::new(error.kind(), error.to_string());
                Err(error.hint_text().iter().fold(copy, |copy, hint| copy.hint(*hint)))
            }
            _ => Err(Error::new(leasehold_core::ErrorKind::Closed, "the watch was given up")),
        }
    }

    /// Whether it has failed before it began.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(*self.started.borrow(), Started::Failed(_))
    }
}

impl Task {
    async fn run(&self) {
        let mut failures = 0;
        loop {
            let begun = matches!(*self.started.borrow(), Started::Yes);
            match self.watch().await {
                Ended::Abandoned => return,
                Ended::Broken(error) if !begun && !matches!(*self.started.borrow(), Started::Yes) => {
                    self.started.send_replace(Started::Failed(Arc::new(error)));
                    return;
                }
                Ended::Broken(error) => {
                    tracing::debug!(store = "etcd", %error, "a watch ended and is taken up again");
                    let dice = self.env.jitter(Duration::from_secs(1)).as_secs_f64();
                    let pause =
                        backoff::delay(failures, Duration::from_millis(10), Duration::from_secs(1), dice);
                    failures += 1;
                    self.env.sleep(pause).await;
                }
            }
        }
    }

    /// Reads, and watches until the watch ends.
    async fn watch(&self) -> Ended {
        let mut seen = QueueView::default();
        let read = match self.read().await {
            Ok(read) => read,
            Err(error) => return Ended::Broken(error),
        };
        let revision = read.header.unwrap_or_default().revision;
        seen.kvs = read.kvs.into_iter().map(|kv| (kv.key.clone(), kv)).collect();
        seen.look(&self.keys);
        // The sender keeps the stream of requests open.
        let (_requests, connection, mut answers) = match self.subscribe(revision + 1).await {
            Ok(subscribed) => subscribed,
            Err(error) => return Ended::Broken(error),
        };
        loop {
            let message = tokio::select! {
                message = answers.message() => message,
                () = connection.retirement() => Ok(None),
            };
            let answer = match message {
                Ok(Some(answer)) => answer,
                Ok(None) => return Ended::Broken(broken("the watch ended")),
                Err(status) => {
                    self.members.judge(&connection, &status);
                    return Ended::Broken(explain(&status));
                }
            };
            connection.hear(&self.env);
            let Some(watcher) = self.watcher.upgrade() else { return Ended::Abandoned };
            if answer.canceled {
                let reason = format!("the watch was cancelled: {}", answer.cancel_reason);
                return Ended::Broken(broken(&reason));
            }
            if answer.created {
                let first = matches!(self.started.send_replace(Started::Yes), Started::NotYet);
                if !first {
                    watcher.waiters.ring_all();
                }
            }
            if !answer.events.is_empty() {
                let turns = seen.apply(&self.keys, answer);
                watcher.waiters.ring(&turns);
            }
        }
    }

    async fn read(&self) -> Result<RangeResponse> {
        let (key, range_end) = self.keys.range();
        let request = RangeRequest { key, range_end, ..RangeRequest::default() };
        self.members.call(RANGE, request).await.map_err(Refused::into)
    }

    async fn subscribe(
        &self,
        start_revision: i64,
    ) -> Result<(mpsc::Sender<WatchRequest>, Arc<Connection>, Streaming<WatchResponse>)> {
        let until = self.env.now() + self.timeout;
        let connection = self.members.connection(until).await?;
        let token = self.members.login(&connection, until).await?;
        let (key, range_end) = self.keys.range();
        let create = WatchCreateRequest { key, range_end, start_revision };
        let (requests, mut inbox) = mpsc::channel(1);
        let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        // There is room for one.
        let _ = requests.try_send(request);
        let stream = futures_util::stream::poll_fn(move |context| inbox.poll_recv(context));
        match self.env.until(until, connection.stream(WATCH, stream, &token)).await {
            Some(Ok(answers)) => Ok((requests, connection, answers)),
            Some(Err(status)) => {
                self.members.judge(&connection, &status);
                Err(explain(&status))
            }
            None => {
                self.members.forget(&connection);
                Err(broken("the watch was not answered in time"))
            }
        }
    }
}

impl QueueView {
    /// Takes over what has happened, and answers who should ask again: whose turn it is now, and whose place is gone.
    fn apply(&mut self, keys: &Keys, answer: WatchResponse) -> HashSet<ClaimId> {
        for event in answer.events {
            let is_delete = event.r#type() == EventType::Delete;
            let Some(kv) = event.kv else { continue };
            if is_delete {
                self.kvs.remove(&kv.key);
            } else {
                self.kvs.insert(kv.key.clone(), kv);
            }
        }
        let (runnable, places) = (std::mem::take(&mut self.runnable), std::mem::take(&mut self.places));
        self.look(keys);
        let came = self.runnable.difference(&runnable);
        let went = places.difference(&self.places);
        came.chain(went).copied().collect()
    }

    fn look(&mut self, keys: &Keys) {
        let queue = Queue::read(keys, self.kvs.values().cloned().collect(), None, 0);
        self.runnable = queue.runnable().collect();
        let place = |key: &Vec<u8>| if let Part::Place(id) = keys.part(key) { Some(id) } else { None };
        self.places = self.kvs.keys().filter_map(place).collect();
    }
}

fn broken(what: &str) -> Error {
    Error::new(leasehold_core::ErrorKind::Unreachable, what).hint("it is taken up again")
}

impl fmt::Debug for LockWatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockWatcher")
    }
}
