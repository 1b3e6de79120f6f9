//! Watches: what rings the bells of those who wait.

use std::{
    pin::pin,
    sync::{Arc, Weak},
};

use futures_util::future::{join_all, select};
use leasehold_core::{LockName, Result};
use zookeeper_client::{AddWatchMode, EventType, OneshotWatcher, PersistentWatcher};

use crate::{
    bells::{Bell, Hearing},
    judge::Sight,
    link::Live,
    refusal::{Effect, Refusal},
    shared::Shared,
    slip::Slip,
};

/// Rings the bells when what is in sight changes; whether it is still as it was seen.
///
/// A watch is set by the same session after the question was answered, so nothing can happen between the two unseen.
pub(crate) async fn arm(
    shared: &Shared,
    live: &Arc<Live>,
    sight: &Sight,
    bells: &[Arc<Bell>],
) -> Result<bool, Refusal> {
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
async fn look(shared: &Shared, live: &Live, sight: &Sight) -> Result<Option<OneshotWatcher>, Refusal> {
    shared.link.in_time(Effect::Reads, watch(live, sight)).await?
}

async fn watch(live: &Live, sight: &Sight) -> Result<Option<OneshotWatcher>, Refusal> {
    let seen = match sight {
        Sight::Node { path, mode } => {
            let asked = live.client.get_and_watch_data(path).await;
            asked.map(|(data, _, watcher)| mode.is_none_or(|mode| mode_of(&data) == mode).then_some(watcher))
        }
        Sight::Any { directory, names } => {
            let asked = live.client.list_and_watch_children(directory).await;
            asked.map(|(children, watcher)| {
                let left = children.iter().filter(|child| names.contains(*child)).count();
                (left == names.len()).then_some(watcher)
            })
        }
    };
    match seen.map_err(|foreign| Refusal::of(foreign, Effect::Reads)) {
        Err(Refusal::NoNode) => Ok(None),
        other => other,
    }
}

fn mode_of(data: &[u8]) -> leasehold_core::Mode {
    Slip::read(data).map_or(leasehold_core::Mode::Exclusive, |slip| slip.mode)
}

/// Waits for a change that matters: a hold that is prolonged is none, nor is one more that waits.
async fn follow(live: Weak<Live>, sight: Sight, mut watcher: OneshotWatcher, bell: Weak<Bell>) {
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
pub(crate) async fn changes(shared: &Shared, live: &Live, lock: &LockName) -> Result<Hearing> {
    let path = shared.paths.lock(lock);
    let watcher = live.client.watch(&path, AddWatchMode::PersistentRecursive);
    let watcher = shared.link.ask(Effect::Reads, watcher).await.map_err(Refusal::into_error)?;
    let bell = Arc::new(Bell::default());
    let ended = bell.arm();
    let watch = report(watcher, Arc::downgrade(&bell));
    shared.env.spawn(async move {
        select(pin!(watch), ended).await;
    });
    Ok(Hearing::of(bell))
}

async fn report(mut watcher: PersistentWatcher, bell: Weak<Bell>) {
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
