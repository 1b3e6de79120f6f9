//! Watches: the servers' notices of changes, which wake the subscriptions of this client.

use std::{
    pin::pin,
    sync::{Arc, Weak},
};

use futures_util::future::{join_all, select};
use leasehold_core::{
    LockName, Mode, Result,
    store_kit::{Notifier, Subscription, Topic},
};
use zookeeper_client::{AddWatchMode, EventType, OneshotWatcher, PersistentWatcher};

use crate::{
    client::Client,
    error::{Effect, ServerError},
    format::NodeData,
    queue::WatchTarget,
    session::{LiveSession, Watch, session_ended},
};

/// Wakes the notifiers when the target changes; whether it is still as it was read.
///
/// The same session sets the watch after it has read the queue, so no change in between is missed.
pub(crate) async fn watch(
    client: &Client,
    live: &Arc<LiveSession>,
    target: &WatchTarget,
    notifiers: &[Arc<Notifier<Watch>>],
) -> Result<bool, ServerError> {
    let watchers = notifiers.iter().map(|_| client.session.in_time(Effect::Reads, set_watch(live, target)));
    for (notifier, watcher) in notifiers.iter().zip(join_all(watchers).await) {
        let Some(watcher) = watcher?? else { return Ok(false) };
        let ended = notifier.payload.replace();
        let watch = wake_on_change(Arc::downgrade(live), target.clone(), watcher, Arc::downgrade(notifier));
        client.env.spawn(async move {
            select(pin!(watch), ended).await;
        });
    }
    Ok(true)
}

/// Sets a watch; `None` when the target has changed already.
async fn set_watch(live: &LiveSession, target: &WatchTarget) -> Result<Option<OneshotWatcher>, ServerError> {
    let seen = match target {
        WatchTarget::Node { path, mode } => {
            let read = live.zk.get_and_watch_data(path).await;
            read.map(|(data, _, watcher)| mode.is_none_or(|mode| mode_of(&data) == mode).then_some(watcher))
        }
        WatchTarget::Any { directory, names } => {
            let listed = live.zk.list_and_watch_children(directory).await;
            listed.map(|(children, watcher)| {
                let left = children.iter().filter(|child| names.contains(*child)).count();
                (left == names.len()).then_some(watcher)
            })
        }
    };
    match seen.map_err(|error| ServerError::of(error, Effect::Reads)) {
        Err(ServerError::NoNode) => Ok(None),
        other => other,
    }
}

fn mode_of(data: &[u8]) -> Mode {
    NodeData::read(data).map_or(Mode::Exclusive, |data| data.mode)
}

/// Waits for a change of the target: an extended hold or one more waiter is none.
async fn wake_on_change(
    live: Weak<LiveSession>,
    target: WatchTarget,
    mut watcher: OneshotWatcher,
    notifier: Weak<Notifier<Watch>>,
) {
    loop {
        let event = watcher.changed().await;
        if matches!(event.event_type, EventType::NodeDataChanged | EventType::NodeChildrenChanged)
            && let Some(live) = live.upgrade()
            && let Ok(Some(again)) = set_watch(&live, &target).await
        {
            watcher = again;
            continue;
        }
        if let Some(notifier) = notifier.upgrade() {
            notifier.wake();
        }
        return;
    }
}

/// Subscribes to every change of a lock.
pub(crate) async fn changes(
    client: &Client,
    live: &LiveSession,
    lock: &LockName,
) -> Result<Subscription<Topic, Watch>> {
    let path = client.paths.lock(lock);
    let watcher = live.zk.watch(&path, AddWatchMode::PersistentRecursive);
    let watcher = client.session.ask(Effect::Reads, watcher).await.map_err(ServerError::into_error)?;
    let subscription = client.session.waiters.subscribe(Topic::Changes(lock.clone()));
    let ended = subscription.notifier().payload.replace();
    let watch = wake_on_every_change(watcher, Arc::downgrade(subscription.notifier()));
    client.env.spawn(async move {
        select(pin!(watch), ended).await;
    });
    Ok(subscription)
}

async fn wake_on_every_change(mut watcher: PersistentWatcher, notifier: Weak<Notifier<Watch>>) {
    loop {
        let event = watcher.changed().await;
        let Some(notifier) = notifier.upgrade() else { return };
        if event.event_type == EventType::Session && event.session_state.is_terminated() {
            return notifier.break_off(session_ended());
        }
        // The server does not report changes during a lost connection: its return counts as one.
        notifier.wake();
    }
}
