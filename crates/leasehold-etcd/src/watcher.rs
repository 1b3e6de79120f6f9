//! [`LockWatcher`]: a watch on the keys of one lock, for all waiters of this client.
//!
//! It reads the queue, and watches from the next revision: no event is missed in between. When the watch ends (the member
//! is gone, the revision was compacted, the cluster has no leader) it reads again, watches anew, and wakes every waiter: a
//! missed event costs a request, never a wait.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Weak},
    time::Duration,
};

use leasehold_core::{
    ClaimId, Env, Error, ErrorKind, Interest, LockName, Result, decide::backoff, store_kit::Waiters,
};
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
    transport::{
        Cluster,
        connection::{Connection, Procedure},
    },
};

pub(crate) const RANGE: Procedure = "/etcdserverpb.KV/Range";
const WATCH: Procedure = "/etcdserverpb.Watch/Watch";

/// Watches one lock until it is dropped.
pub(crate) struct LockWatcher {
    pub(crate) waiters: Arc<Waiters<Interest>>,
    started: watch::Receiver<Started>,
    /// Its drop ends the watch.
    _alive: watch::Sender<()>,
}

/// Whether the watch has begun.
#[derive(Clone)]
enum Started {
    NotYet,
    Yes,
    Failed(Error),
}

/// The background task of a watcher.
struct Task {
    cluster: Arc<Cluster>,
    env: Env,
    timeout: Duration,
    keys: Keys,
    waiters: Weak<Waiters<Interest>>,
    started: watch::Sender<Started>,
}

/// The keys of a lock, and the claims that could be granted when they were last read.
#[derive(Default)]
struct QueueView {
    kvs: BTreeMap<Vec<u8>, KeyValue>,
    runnable: HashSet<ClaimId>,
    places: HashSet<ClaimId>,
}

/// A watch that has begun. The sender keeps its stream of requests open.
struct Stream {
    connection: Arc<Connection>,
    answers: Streaming<WatchResponse>,
    _requests: mpsc::Sender<WatchRequest>,
}

/// The end of a watch.
enum Ended {
    /// The watcher was dropped.
    Abandoned,
    /// It can be resumed.
    Broken(Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Ended {
        Ended::Broken(error)
    }
}

impl LockWatcher {
    /// Begins to watch, in the background.
    pub(crate) fn start(cluster: Arc<Cluster>, env: &Env, timeout: Duration, name: &LockName) -> Arc<Self> {
        let (started, has_started) = watch::channel(Started::NotYet);
        let (alive, mut dropped) = watch::channel(());
        let waiters = Arc::<Waiters<Interest>>::default();
        let weak = Arc::downgrade(&waiters);
        let task = Task { cluster, env: env.clone(), timeout, keys: Keys::of(name), waiters: weak, started };
        env.spawn(async move {
            tokio::select! {
                () = task.run() => {}
                _ = dropped.changed() => {}
            }
        });
        Arc::new(LockWatcher { waiters, started: has_started, _alive: alive })
    }

    /// Waits until the watch has begun.
    ///
    /// # Errors
    /// It could not begin.
    pub(crate) async fn started(&self) -> Result<()> {
        let mut started = self.started.clone();
        let state = started.wait_for(|state| !matches!(state, Started::NotYet)).await;
        match state.as_deref() {
            Ok(Started::Yes) => Ok(()),
            Ok(Started::Failed(error)) => Err(error.clone()),
            _ => Err(Error::new(ErrorKind::Closed, "the watch has ended")),
        }
    }

    /// Whether the watch could not begin.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(*self.started.borrow(), Started::Failed(_))
    }
}

impl Task {
    async fn run(&self) {
        let mut failures = 0;
        loop {
            let Ended::Broken(error) = self.watch().await else { return };
            if !matches!(*self.started.borrow(), Started::Yes) {
                self.started.send_replace(Started::Failed(error));
                return;
            }
            tracing::debug!(store = "etcd", %error, "a watch ended and is resumed");
            let jitter = self.env.jitter(Duration::from_secs(1)).as_secs_f64();
            let pause = backoff::delay(failures, Duration::from_millis(10), Duration::from_secs(1), jitter);
            failures += 1;
            self.env.sleep(pause).await;
        }
    }

    /// Reads the queue, and watches until the watch ends.
    async fn watch(&self) -> Ended {
        match self.begin().await {
            Ok((mut view, mut stream)) => loop {
                if let Err(ended) = self.next(&mut view, &mut stream).await {
                    return ended;
                }
            },
            Err(error) => Ended::Broken(error),
        }
    }

    async fn begin(&self) -> Result<(QueueView, Stream)> {
        let (key, range_end) = self.keys.range();
        let request = RangeRequest { key, range_end, ..RangeRequest::default() };
        let read: RangeResponse = self.cluster.call(RANGE, request).await?;
        let revision = read.header.unwrap_or_default().revision;
        let kvs = read.kvs.into_iter().map(|kv| (kv.key.clone(), kv)).collect();
        let mut view = QueueView { kvs, ..QueueView::default() };
        view.refresh(&self.keys);
        Ok((view, self.subscribe(revision + 1).await?))
    }

    /// Waits for the next message, and wakes the waiters that it concerns.
    async fn next(&self, view: &mut QueueView, stream: &mut Stream) -> Result<(), Ended> {
        let message = tokio::select! {
            message = stream.answers.message() => message,
            () = stream.connection.retirement() => Ok(None),
        };
        let answer = match message {
            Ok(Some(answer)) => answer,
            Ok(None) => return Err(broken("the watch ended").into()),
            Err(status) => {
                self.cluster.note_failure(&stream.connection, &status);
                return Err(explain(&status).into());
            }
        };
        stream.connection.note_answer(&self.env);
        let waiters = self.waiters.upgrade().ok_or(Ended::Abandoned)?;
        if answer.canceled {
            return Err(broken(&format!("the watch was cancelled: {}", answer.cancel_reason)).into());
        }
        if answer.created && !matches!(self.started.send_replace(Started::Yes), Started::NotYet) {
            waiters.wake_all();
        }
        if !answer.events.is_empty() {
            let concerned = view.apply(&self.keys, answer);
            waiters.wake(&Interest::Changes);
            concerned.into_iter().for_each(|id| waiters.wake(&Interest::Turn(id)));
        }
        Ok(())
    }

    async fn subscribe(&self, start_revision: i64) -> Result<Stream> {
        let until = self.env.now() + self.timeout;
        let connection = self.cluster.connection(until).await?;
        let token = self.cluster.login(&connection, until).await?;
        let (key, range_end) = self.keys.range();
        let create = WatchCreateRequest { key, range_end, start_revision };
        let (requests, mut inbox) = mpsc::channel(1);
        let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        // There is room for one.
        let _ = requests.try_send(request);
        let stream = futures_util::stream::poll_fn(move |context| inbox.poll_recv(context));
        match self.env.until(until, connection.stream(WATCH, stream, &token)).await {
            Some(Ok(answers)) => Ok(Stream { connection, answers, _requests: requests }),
            Some(Err(status)) => {
                self.cluster.note_failure(&connection, &status);
                Err(explain(&status))
            }
            None => {
                self.cluster.forget(&connection);
                Err(broken("the watch was not answered in time"))
            }
        }
    }
}

impl QueueView {
    /// Applies the events, and returns the claims to wake: those that can be granted now, and those whose place is gone.
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
        self.refresh(keys);
        let came = self.runnable.difference(&runnable);
        let went = places.difference(&self.places);
        came.chain(went).copied().collect()
    }

    fn refresh(&mut self, keys: &Keys) {
        let queue = Queue::read(keys, self.kvs.values().cloned().collect(), None, 0);
        self.runnable = queue.runnable().collect();
        let place = |key: &Vec<u8>| if let Part::Place(id) = keys.part(key) { Some(id) } else { None };
        self.places = self.kvs.keys().filter_map(place).collect();
    }
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::Unreachable, what).hint("it is resumed")
}
