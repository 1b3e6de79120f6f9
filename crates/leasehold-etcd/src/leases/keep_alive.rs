//! [`KeepAliveStream`]: a stream on which leases are renewed.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use leasehold_core::{Env, Error, ErrorKind, Result, store_kit::Locked};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use crate::{
    error::explain,
    proto::{LeaseKeepAliveRequest, LeaseKeepAliveResponse},
    transport::{
        Cluster,
        connection::{Connection, Procedure, Token},
    },
};

const KEEP_ALIVE: Procedure = "/etcdserverpb.Lease/LeaseKeepAlive";

/// A stream. It ends when it is dropped, with its connection, or when the member ends it.
pub(crate) struct KeepAliveStream {
    connection: Arc<Connection>,
    requests: mpsc::UnboundedSender<LeaseKeepAliveRequest>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The callers that wait for an answer about each lease, in order.
    waiting: Locked<HashMap<i64, VecDeque<oneshot::Sender<Option<u64>>>>>,
    has_ended: AtomicBool,
    reason: OnceLock<Status>,
}

impl KeepAliveStream {
    pub(crate) fn start(env: &Env, cluster: Arc<Cluster>, connection: Arc<Connection>, token: Token) -> Self {
        // As long as the number of callers that wait.
        let (requests, mut inbox) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::default());
        let (state, on) = (shared.clone(), connection.clone());
        env.spawn(async move {
            let requests = futures_util::stream::poll_fn(move |context| inbox.poll_recv(context));
            let listening = listen(&on, requests, &token, &state);
            let status = tokio::select! {
                ended = listening => ended,
                () = on.retirement() => None,
            };
            if let Some(status) = status {
                cluster.note_failure(&on, &status);
                let _ = state.reason.set(status);
            }
            state.has_ended.store(true, Ordering::Release);
            // Dropping their senders tells the callers that no answer will come.
            state.waiting.lock().clear();
        });
        KeepAliveStream { connection, requests, shared }
    }

    /// Whether it is open and runs on this connection.
    pub(crate) fn is_on(&self, connection: &Arc<Connection>) -> bool {
        Arc::ptr_eq(&self.connection, connection) && !self.has_ended()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.shared.has_ended.load(Ordering::Acquire)
    }

    /// Sends a renewal at once; the future answers the lease's time to live in seconds, or `None` when it is gone.
    pub(crate) fn ask(&self, id: i64) -> impl Future<Output = Result<Option<u64>>> + use<> {
        let (sender, answer) = oneshot::channel();
        self.shared.waiting.lock().entry(id).or_default().push_back(sender);
        let is_sent = self.requests.send(LeaseKeepAliveRequest { id }).is_ok();
        let shared = self.shared.clone();
        async move {
            if !shared.has_ended.load(Ordering::Acquire)
                && let Ok(lives) = answer.await
            {
                return Ok(lives);
            }
            let ended = || Error::new(ErrorKind::Unreachable, "the stream of renewals ended");
            let error = shared.reason.get().map_or_else(ended, explain);
            Err(if is_sent { error.unknown() } else { error })
        }
    }
}

/// Hands out answers until the stream ends; returns the reason that the member or the transport gave.
async fn listen(
    connection: &Arc<Connection>,
    requests: impl futures_util::Stream<Item = LeaseKeepAliveRequest> + Send + 'static,
    token: &Token,
    shared: &Shared,
) -> Option<Status> {
    let answers = connection.stream::<_, _, LeaseKeepAliveResponse>(KEEP_ALIVE, requests, token).await;
    let mut answers = match answers {
        Ok(answers) => answers,
        Err(status) => return Some(status),
    };
    loop {
        match answers.message().await {
            Ok(Some(answer)) => shared.deliver(&answer),
            Ok(None) => return None,
            Err(status) => return Some(status),
        }
    }
}

impl Shared {
    fn deliver(&self, answer: &LeaseKeepAliveResponse) {
        let mut waiting = self.waiting.lock();
        let Some(queue) = waiting.get_mut(&answer.id) else { return };
        let lives = u64::try_from(answer.ttl).ok().filter(|lives| *lives > 0);
        if let Some(first) = queue.pop_front() {
            // The caller may be gone.
            let _ = first.send(lives);
        }
        if queue.is_empty() {
            waiting.remove(&answer.id);
        }
    }
}
