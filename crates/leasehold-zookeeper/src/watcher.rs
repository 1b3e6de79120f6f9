//! Watches: what rings the bells of those who wait.

use std::{
    pin::pin,
    sync::{Arc, Weak},
};

use futures_util::future::{join_all, select};
use leasehold_core::{LockName, Result};
use zookeeper_client::{AddWatchMode, EventType, OneshotWatcher, PersistentWatcher};

use crate::{
    client::ClientState,
    decision::WatchTarget,
    error::{Effect, ServerError},
    format::NodeData,
    session::LiveSession,
    waiters::{Notifier, WaitSubscription},
};

/// Rings the bells when what is in sight changes; whether it is still as it was seen.
///
/// A watch is set by the same session after the question was answered, so nothing can happen between the two unseen.
pub(crate) async fn arm(
    shared: &ClientState,
    live: &Arc<LiveSession>,
    sight: &WatchTarget,
    bells: &[Arc<Notifier>],
) -> Result<bool, ServerError> {
    let looks = join_all(bells.iter().map(|_| look(shared, live, sight))).await;
    for (bell, look) in bells.iter().zip(looks) {
        let Some(watcher) = look? else { return Ok(false) };
        let ended = bell.arm();
        let watch = follow(Arc::downgrade(live), sight.clone(), watcher, Arc::downgrade(bell));
        shared.env.spawn(async move {
            // The other side of `ended` is dropped when the bell is, or listens to something else.
            select(pin!(watch), ended).await;
        });
    }
    Ok(true)
}

/// Sets a watch; `None` when what was seen is not there any more.
async fn look(
    shared: &ClientState,
    live: &LiveSession,
    sight: &WatchTarget,
) -> Result<Option<OneshotWatcher>, ServerError> {
    shared.link.in_time(Effect::Reads, watch(live, sight)).await?
}

async fn watch(live: &LiveSession, sight: &WatchTarget) -> Result<Option<OneshotWatcher>, ServerError> {
    let seen = match sight {
        WatchTarget::Node { path, mode } => {
            let asked = live.client.get_and_watch_data(path).await;
            asked.map(|(data, _, watcher)| mode.is_none_or(|mode| mode_of(&data) == mode).then_some(watcher))
        }
        WatchTarget::Any { directory, names } => {
            let asked = live.client.list_and_watch_children(directory).await;
            asked.map(|(children, watcher)| {
                let left = children.iter().filter(|child| names.contains(*child)).count();
                (left == names.len()).then_some(watcher)
            })
        }
    };
    match seen.map_err(|foreign| ServerError::of(foreign, Effect::Reads)) {
        Err(ServerError::NoNode) => Ok(None),
        other => other,
    }
}

fn mode_of(data: &[u8]) -> leasehold_core::Mode {
    NodeData::read(data).map_or(leasehold_core::Mode::Exclusive, |slip| slip.mode)
}

/// Waits for a change that matters: a hold that is prolonged is none, nor is one more that waits.
async fn follow(
    live: Weak<LiveSession>,
    sight: WatchTarget,
    mut watcher: OneshotWatcher,
    bell: Weak<Notifier>,
) {
    loop {
        let event = watcher.changed().await;
        if matches!(event.event_type, EventType::NodeDataChanged | EventType::NodeChildrenChanged)
            && let Some(live) = live.upgrade()
            && let Ok(Some(again)) = watch(&live, &sight).await
        {
            watcher = again;
            continue;
        }
        if let Some(bell) = bell.upgrade() {
            bell.ring();
        }
        return;
    }
}

/// Hears of every change of a lock.
pub(crate) async fn changes(
    shared: &ClientState,
    live: &LiveSession,
    lock: &LockName,
) -> Result<WaitSubscription> {
    let path = shared.paths.lock(lock);
    let watcher = live.client.watch(&path, AddWatchMode::PersistentRecursive);
    let watcher = shared.link.ask(Effect::Reads, watcher).await.map_err(ServerError::into_error)?;
    let bell = Arc::new(Notifier::default());
    let ended = bell.arm();
    let watch = report(watcher, Arc::downgrade(&bell));
    shared.env.spawn(async move {
        select(pin!(watch), ended).await;
    });
    Ok(WaitSubscription::of(bell))
}

async fn report(mut watcher: PersistentWatcher, bell: Weak<Notifier>) {
    loop {
        let event = watcher.changed().await;
        let Some(bell) = bell.upgrade() else { return };
        if event.event_type == EventType::Session && event.session_state.is_terminated() {
            return bell.break_off();
        }
        // What changed while the connection was down is not told: that is news too.
        bell.ring();
    }
}
