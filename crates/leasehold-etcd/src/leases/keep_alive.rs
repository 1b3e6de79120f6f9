//! [`KeepAliveStream`]: one stream on which leases are renewed.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use leasehold_core::{Env, Error, ErrorKind, Result};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use crate::{
    error::explain,
    proto::{LeaseKeepAliveRequest, LeaseKeepAliveResponse},
    transport::connection::{Connection, Procedure, Token},
    transport::{Cluster, locked},
};

const KEEP_ALIVE: Procedure = "/etcdserverpb.Lease/LeaseKeepAlive";

/// Those who wait for an answer about each lease, in order.
type Waiting = Mutex<HashMap<i64, VecDeque<oneshot::Sender<Option<u64>>>>>;

/// A stream. It ends with the value, with its connection, or when the member says so.
pub(crate) struct KeepAliveStream {
    connection: Arc<Connection>,
    requests: mpsc::UnboundedSender<LeaseKeepAliveRequest>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    waiting: Waiting,
    ended: AtomicBool,
    why: Mutex<Option<Status>>,
}

impl KeepAliveStream {
    pub(crate) fn start(
        env: &Env,
        members: Arc<Cluster>,
        connection: Arc<Connection>,
        token: Token,
    ) -> KeepAliveStream {
        // Each that is queued has one who waits for it.
        let (requests, mut inbox) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::default());
        let (theirs, on) = (shared.clone(), connection.clone());
        env.spawn(async move {
            let requests = futures_util::stream::poll_fn(move |context| inbox.poll_recv(context));
            let listening = listen(&on, requests, &token, &theirs);
            let status = tokio::select! {
                ended = listening => ended,
                () = on.retirement() => None,
            };
            if let Some(status) = status {
                members.judge(&on, &status);
                *locked(&theirs.why) = Some(status);
            }
            theirs.ended.store(true, Ordering::Release);
            // Whoever waits hears that nobody will answer.
            locked(&theirs.waiting).clear();
        });
        KeepAliveStream { connection, requests, shared }
    }

    /// Whether it can be used on this connection.
    pub(crate) fn is_on(&self, connection: &Arc<Connection>) -> bool {
        Arc::ptr_eq(&self.connection, connection) && !self.has_ended()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.shared.ended.load(Ordering::Acquire)
    }

    /// Asks for a renewal, at once; what is answered is how long the lease lives now, in seconds, or that it is gone.
    pub(crate) fn ask(&self, id: i64) -> impl Future<Output = Result<Option<u64>>> + use<> {
        let (answer, heard) = oneshot::channel();
        locked(&self.shared.waiting).entry(id).or_default().push_back(answer);
        let is_sent = self.requests.send(LeaseKeepAliveRequest { id }).is_ok();
        let shared = self.shared.clone();
        async move {
            let broken = || {
                let status = locked(&shared.why).clone();
                let error = status.map_or_else(
                    || Error::new(ErrorKind::Unreachable, "the stream of renewals ended"),
                    |status| explain(&status),
                );
                // A renewal that is not known to be done is asked for again.
                Err(if is_sent { error.unknown() } else { error })
            };
            if shared.ended.load(Ordering::Acquire) {
                return broken();
            }
            heard.await.map_or_else(|_| broken(), Ok)
        }
    }
}

/// Hands out answers until the stream ends, and says why it did.
async fn listen(
    connection: &Arc<Connection>,
    requests: impl futures_util::Stream<Item = LeaseKeepAliveRequest> + Send + 'static,
    token: &Token,
    shared: &Shared,
) -> Option<Status> {
    let mut answers =
        match connection.stream::<_, _, LeaseKeepAliveResponse>(KEEP_ALIVE, requests, token).await {
            Ok(answers) => answers,
            Err(status) => return Some(status),
        };
    loop {
        match answers.message().await {
            Ok(Some(answer)) => {
                let mut waiting = locked(&shared.waiting);
                if let Some(queue) = waiting.get_mut(&answer.id) {
                    let lives = u64::try_from(answer.ttl).ok().filter(|lives| *lives > 0);
                    if let Some(first) = queue.pop_front() {
                        // Who asked may have gone.
                        let _ = first.send(lives);
                    }
                    if queue.is_empty() {
                        waiting.remove(&answer.id);
                    }
                }
            }
            Ok(None) => return None,
            Err(status) => return Some(status),
        }
    }
}
