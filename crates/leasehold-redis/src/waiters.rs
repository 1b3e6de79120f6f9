//! [`watch`]: the subscription of a waiter, to its turn or to all changes of a lock.

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    BoxFuture, ClaimId, Contender, Interest, LockName, Moment, Result, Wake,
    store_kit::{NeverWakes, Notifier, Subscription},
};

use crate::{
    client::ClientState,
    format::first,
    keys::Keys,
    pubsub::{PubSub, Topic},
};

/// The time for which changes are announced after each request to.
const ANNOUNCED_FOR: Duration = Duration::from_secs(90);

/// Subscribes to news about a lock.
pub(crate) async fn watch(
    state: &Arc<ClientState>,
    name: &LockName,
    interest: Interest,
) -> Result<Box<dyn Wake>> {
    if !state.capability.wakes {
        return Ok(Box::new(NeverWakes));
    }
    let keys = state.dialect.keys(name);
    let announced = state.dialect.observe(&keys, ANNOUNCED_FOR).map(|(channel, _)| channel);
    match (interest, announced) {
        (Interest::Turn(id), _) => {
            let pubsub = state.subscribe(keys.slot(), None).await?;
            let tracking = match pubsub.tracks() {
                true => Tracking::ForeignHolder(ForeignHolder::watch(state, id)),
                false => Tracking::None,
            };
            let topic = Topic::Turn(Contender::tag_of(id));
            Ok(Box::new(WaitSubscription::new(pubsub, topic, tracking)))
        }
        (Interest::Changes, Some(channel)) => {
            let pubsub = state.subscribe(keys.slot(), Some(channel.clone())).await?;
            let mut subscription = WaitSubscription::new(pubsub, Topic::Channel(channel), Tracking::None);
            subscription.tracking = Tracking::Announced(AnnouncedLock::start(state.clone(), keys).await?);
            Ok(Box::new(subscription))
        }
        (Interest::Changes, None) => {
            let pubsub = state.subscribe(keys.slot(), None).await?;
            let topic = Topic::Key(keys.hold.as_bytes().to_vec());
            let subscription = WaitSubscription::new(pubsub.clone(), topic, Tracking::Key(keys.hold.clone()));
            pubsub.track(&keys.hold).await?;
            Ok(Box::new(subscription))
        }
    }
}

/// A subscription of one waiter.
struct WaitSubscription {
    subscription: Subscription<Topic>,
    pubsub: Arc<PubSub>,
    tracking: Tracking,
}

/// The source of news beside the topic. Key tracking tells of one change after each request to.
enum Tracking {
    None,
    /// The key of an unannounced holder, if there is one. Requested before each wait: it is known only after the claim.
    ForeignHolder(ForeignHolder),
    /// This key. Requested from the start, and again before news of it are passed on.
    Key(String),
    /// No key: changes are announced on a channel, for a time after each request to.
    Announced(AnnouncedLock),
}

impl WaitSubscription {
    fn new(pubsub: Arc<PubSub>, topic: Topic, tracking: Tracking) -> WaitSubscription {
        let (subscription, unused) = (pubsub.waiters().subscribe(topic), pubsub.clone());
        let subscription = subscription.when_last_ends(move |topic| {
            if let Topic::Channel(channel) = topic {
                unused.leave(channel);
            }
        });
        WaitSubscription { subscription, pubsub, tracking }
    }
}

impl Wake for WaitSubscription {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if let Tracking::ForeignHolder(holder) = &self.tracking
                && let Some(key) = holder.key()
            {
                self.subscription.add(Topic::Key(key.as_bytes().to_vec()));
                if !self.pubsub.track(&key).await? {
                    // The hold ended before it was tracked: that is news.
                    return Ok(());
                }
            }
            let notifier = self.subscription.notifier();
            match &mut self.tracking {
                Tracking::Announced(announced) => announced.wait(notifier).await?,
                _ => notifier.wait().await?,
            }
            if let Tracking::Key(key) = &self.tracking {
                self.pubsub.track(key).await?;
            }
            Ok(())
        })
    }
}

/// The entry of a waiting claim in [`ClientState::foreign_holders`].
struct ForeignHolder {
    state: Arc<ClientState>,
    id: ClaimId,
}

impl ForeignHolder {
    fn watch(state: &Arc<ClientState>, id: ClaimId) -> ForeignHolder {
        state.foreign_holders.lock().insert(id, None);
        ForeignHolder { state: state.clone(), id }
    }

    /// The key by which an unannounced holder keeps the claim out, if one does.
    fn key(&self) -> Option<String> {
        self.state.foreign_holders.lock().get(&self.id).cloned().flatten()
    }
}

impl Drop for ForeignHolder {
    fn drop(&mut self) {
        self.state.foreign_holders.lock().remove(&self.id);
    }
}

/// A lock whose changes are announced.
struct AnnouncedLock {
    state: Arc<ClientState>,
    keys: Keys,
    since: Moment,
}

impl AnnouncedLock {
    async fn start(state: Arc<ClientState>, keys: Keys) -> Result<AnnouncedLock> {
        let since = state.env.now();
        let mut announced = AnnouncedLock { state, keys, since };
        announced.renew().await?;
        Ok(announced)
    }

    async fn renew(&mut self) -> Result<()> {
        let sent = self.state.env.now();
        if let Some((_, request)) = self.state.dialect.observe(&self.keys, ANNOUNCED_FOR) {
            first(&mut self.state.send(self.keys.slot(), request).await?)?;
        }
        self.since = sent;
        Ok(())
    }

    /// Waits for news, and keeps them announced. After a pause between two waits, news may have been missed.
    async fn wait(&mut self, notifier: &Notifier) -> Result<()> {
        let env = self.state.env.clone();
        if env.now() > self.since + ANNOUNCED_FOR {
            return self.renew().await;
        }
        loop {
            match env.until(self.since + ANNOUNCED_FOR / 3, notifier.wait()).await {
                Some(woken) => return woken,
                None => self.renew().await?,
            }
        }
    }
}
