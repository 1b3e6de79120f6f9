//! Watches: the servers' notices of changes, which wake the subscriptions of this client.

use std::sync::Arc;

use leasehold_core::{
    LockName, Mode, Result,
    store_kit::{Notifier, Subscription, Topic},
};
use zookeeper_client::{AddWatchMode, EventType, OneshotWatcher};

use crate::{
    client::Client,
    error::{ServerError, unless_gone},
    format::NodeData,
    lock_record::LockRecord,
    queue::WatchTarget,
    session::session_ended,
    txn::LiveSession,
    waiters::Watch,
};

/// Wakes the notifier when the target changes; whether it is still as it was read.
///
/// The same session sets the watch after it has read the queue, so no change in between is missed.
pub(crate) async fn watch(
    lock: &LockRecord<'_>,
    target: &WatchTarget,
    notifier: &Arc<Notifier<Watch>>,
) -> Result<bool> {
    let live = &lock.live;
    let set = live.in_time(set_watch(live, &lock.path, target)).await??;
    let Some(mut watcher) = set else { return Ok(false) };
    let (weak_live, weak_notifier) = (Arc::downgrade(live), Arc::downgrade(notifier));
    let (directory, target) = (lock.path.clone(), target.clone());
    notifier.payload.replace(&live.env, async move {
        use EventType::{NodeChildrenChanged, NodeDataChanged};
        // An extended hold or one more waiter is no change of the target.
        while let NodeDataChanged | NodeChildrenChanged = watcher.changed().await.event_type {
            let Some(live) = weak_live.upgrade() else { break };
            let Ok(Some(again)) = set_watch(&live, &directory, &target).await else { break };
            watcher = again;
        }
        if let Some(notifier) = weak_notifier.upgrade() {
            notifier.wake();
        }
    });
    Ok(true)
}

/// Sets a watch on children of a node; `None` when the target has changed already.
async fn set_watch(
    live: &LiveSession,
    directory: &str,
    target: &WatchTarget,
) -> Result<Option<OneshotWatcher>> {
    let seen = match target {
        WatchTarget::Node { name, mode } => {
            let read = live.zk.get_and_watch_data(&format!("{directory}/{name}")).await;
            let mode_of = |data: &[u8]| NodeData::read(data).map_or(Mode::Exclusive, |data| data.mode);
            read.map(|(data, _, watcher)| mode.is_none_or(|mode| mode_of(&data) == mode).then_some(watcher))
        }
        WatchTarget::Any(names) => {
            let listed = live.zk.list_and_watch_children(directory).await;
            listed.map(|(children, watcher)| {
                let left = children.iter().filter(|child| names.contains(*child)).count();
                (left == names.len()).then_some(watcher)
            })
        }
    };
    Ok(unless_gone(seen.map_err(ServerError::reading))?.flatten())
}

/// Subscribes to every change of a lock.
pub(crate) async fn changes(
    client: &Client,
    live: &LiveSession,
    lock: &LockName,
) -> Result<Subscription<Topic, Watch>> {
    let path = client.paths.lock(lock);
    let mut watcher = live.read(live.zk.watch(&path, AddWatchMode::PersistentRecursive)).await?;
    let subscription = client.session.waiters.subscribe(Topic::Changes(lock.clone()));
    let weak_notifier = Arc::downgrade(subscription.notifier());
    subscription.notifier().payload.replace(&client.env, async move {
        loop {
            let event = watcher.changed().await;
            let Some(notifier) = weak_notifier.upgrade() else { return };
            if event.event_type == EventType::Session && event.session_state.is_terminated() {
                return notifier.break_off(session_ended());
            }
            // The server does not report changes during a lost connection: its return counts as one.
            notifier.wake();
        }
    });
    Ok(subscription)
}
