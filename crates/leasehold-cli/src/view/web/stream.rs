//! [`Stream`]: the events of one reader. There is no queue: a reader that was too slow for an update gets all locks anew.

use std::time::Duration;

use hyper::body::Bytes;
use leasehold::env::Env;
use tokio::sync::watch;

/// The interval of comments on a quiet stream, by which a connection that is gone is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The number of the update that ends all streams.
pub(super) const CLOSED: u64 = u64::MAX;

/// The news of one scan as an event.
#[derive(Clone, Default)]
pub(super) struct Update {
    pub(super) number: u64,
    pub(super) event: Bytes,
}

/// `F` answers all locks as an event, with the number of the last update in it.
pub(super) struct Stream<F> {
    all: F,
    env: Env,
    news: watch::Receiver<Update>,
    /// The number of the last update that the reader knows.
    seen: Option<u64>,
}

impl<F: Fn() -> (u64, Bytes)> Stream<F> {
    pub(super) fn new(all: F, news: watch::Receiver<Update>, env: &Env) -> Self {
        Stream { all, env: env.clone(), news, seen: None }
    }

    /// The next event, once there is one; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        if self.seen.is_some() {
            tokio::select! {
                changed = self.news.changed() => changed.ok()?,
                () = self.env.sleep(HEARTBEAT) => return Some(Bytes::from_static(b": still here\n\n")),
            }
        }
        let update = self.news.borrow_and_update().clone();
        match self.seen {
            _ if update.number == CLOSED => None,
            Some(seen) if update.number == seen || update.number == seen + 1 => {
                self.seen = Some(update.number);
                Some(update.event)
            }
            _ => {
                let (number, all) = (self.all)();
                self.seen = Some(number);
                Some(all)
            }
        }
    }
}
