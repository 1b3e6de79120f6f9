//! Scans of a store in the background, at a bounded cost.

use std::time::Duration;

use leasehold::{Client, LockName, Result, store::Snapshot};
use tokio::sync::mpsc::{Receiver, channel};

use super::{
    board::Scan,
    changes::{Counter, changes},
};

/// A scan is followed by a pause of so many times its length: scans take at most a tenth of the time.
const REST: u32 = 9;

/// The part of a store that is scanned.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    pub(crate) prefix: String,
    pub(crate) limit: usize,
    /// The shortest time between the beginnings of two scans.
    pub(crate) every: Duration,
}

/// Scans a store once.
pub(crate) async fn scan(client: &Client, range: &Range) -> Result<Scan> {
    let begin = client.env().now();
    let locks = client.list(&range.prefix, range.limit).await?;
    let at = client.env().now();
    let took = at.since(begin);
    let pause = range.every.saturating_sub(took).max(took * REST);
    let counter = Counter::of(client.capability());
    Ok(Scan { is_cut: locks.len() >= range.limit, locks, at, took, pause, counter })
}

/// Scans a store until the receiver is dropped.
pub(crate) fn scans(client: &Client, range: Range) -> Receiver<Result<Scan>> {
    let (sender, receiver) = channel(1);
    let client = client.clone();
    client.env().clone().spawn(async move {
        loop {
            let scan = scan(&client, &range).await;
            let pause = scan.as_ref().map_or(range.every, |scan| scan.pause);
            if sender.send(scan).await.is_err() {
                return;
            }
            client.env().sleep(pause).await;
        }
    });
    receiver
}

/// The states of one lock whenever its holders or waiters change, until the receiver is dropped. Pushed where the store
/// pushes.
pub(crate) fn follow(client: &Client, name: &LockName) -> Result<Receiver<Snapshot>> {
    let mut watcher = client.watcher(name)?;
    let (sender, receiver) = channel(1);
    let counter = Counter::of(client.capability());
    client.env().spawn(async move {
        let mut before: Option<Snapshot> = None;
        loop {
            let is_news = |now: &Snapshot| {
                before.as_ref().is_none_or(|before| !changes(before, now, Duration::ZERO, counter).is_empty())
            };
            let next = watcher.until(|now| is_news(now).then(|| now.clone()));
            let next = tokio::select! {
                () = sender.closed() => return,
                next = next => next,
            };
            let Ok(next) = next else { return };
            before = Some(next.clone());
            if sender.send(next).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}
