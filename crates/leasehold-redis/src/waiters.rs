//! [`watch`]: the subscription of a waiter, to its turn or to all changes of a lock.

use std::{sync::Arc, time::Duration};

use leasehold_core::{
    BoxFuture, ClaimId, Contender, Interest, LockName, Moment, Result, Wake,
    store_kit::{NeverWakes, Subscription},
};

use crate::{
    client::Client,
    keys::Keys,
    watcher::{Topic, Watcher},
};

/// The time for which changes are announced after each request to.
const ANNOUNCED_FOR: Duration = Duration::from_secs(90);

/// Subscribes to news about a lock.
pub(crate) async fn watch(
    client: &Arc<Client>,
    name: &LockName,
    interest: Interest,
) -> Result<Box<dyn Wake>> {
    let keys = client.dialect.keys(name);
    let releases = client.dialect.releases(&keys).filter(|_| matches!(interest, Interest::Turn(_)));
    if client.options.is_shared || (!client.state.capability.wakes && releases.is_none()) {
        return Ok(Box::new(NeverWakes));
    }
    let announces = client.dialect.observe(&keys, ANNOUNCED_FOR).is_some();
    let (source, topic) = match interest {
        Interest::Turn(id) => {
            let turn = Topic::Turn(Contender::tag_of(id));
            (Source::Turn(id), releases.map_or(turn, Topic::Channel))
        }
        Interest::Changes if announces => {
            (Source::Announced(client.env.now()), Topic::Channel(keys.changes().to_string()))
        }
        Interest::Changes => (Source::Key, Topic::Key(keys.hold().as_bytes().to_vec())),
    };
    let channel = if let Topic::Channel(channel) = &topic { Some(channel.clone()) } else { None };
    let watcher = client.subscribe(keys.slot(), channel).await?;
    let mut subscription = WaitSubscription::new(client.clone(), keys, watcher, topic, source);
    match subscription.source {
        Source::Turn(_) => {}
        Source::Announced(_) => subscription.announce().await?,
        Source::Key => drop(subscription.watcher.track(subscription.keys.hold()).await?),
    }
    Ok(Box::new(subscription))
}

/// A subscription of one waiter.
struct WaitSubscription {
    client: Arc<Client>,
    keys: Keys,
    watcher: Arc<Watcher>,
    subscription: Subscription<Topic>,
    source: Source,
}

/// The source of news. Key tracking tells of one change after each request to.
enum Source {
    /// The turn of a claim; its key is tracked before each wait if its holder is unannounced.
    Turn(ClaimId),
    /// All changes, which are announced for a time after each request to; the last one was then.
    Announced(Moment),
    /// All changes of the key, which is tracked from the start, and again before news of it are passed on.
    Key,
}

impl WaitSubscription {
    fn new(
        client: Arc<Client>,
        keys: Keys,
        watcher: Arc<Watcher>,
        topic: Topic,
        source: Source,
    ) -> WaitSubscription {
        if let Source::Turn(id) = source {
            client.unannounced.lock().insert(id, false);
        }
        let unused = watcher.clone();
        let subscription = watcher.waiters.subscribe(topic).when_last_ends(move |topic| {
            if let Topic::Channel(channel) = topic {
                unused.leave(channel);
            }
        });
        WaitSubscription { client, keys, watcher, subscription, source }
    }

    async fn wait_for_news(&mut self) -> Result<()> {
        match self.source {
            Source::Turn(id) => {
                let is_unannounced = self.client.unannounced.lock().get(&id) == Some(&true);
                if is_unannounced {
                    self.subscription.add(Topic::Key(self.keys.hold().as_bytes().to_vec()));
                    if !self.watcher.track(self.keys.hold()).await? {
                        // The hold ended before it was tracked: that is news.
                        return Ok(());
                    }
                }
                self.subscription.notifier().wait().await
            }
            Source::Announced(since) => self.wait_for_announcement(since).await,
            Source::Key => {
                self.subscription.notifier().wait().await?;
                self.watcher.track(self.keys.hold()).await.map(drop)
            }
        }
    }

    async fn wait_for_announcement(&mut self, mut since: Moment) -> Result<()> {
        let (env, notifier) = (self.client.env.clone(), self.subscription.notifier().clone());
        if env.now() > since + ANNOUNCED_FOR {
            // News may have been missed in a pause between two waits.
            return self.announce().await;
        }
        loop {
            if let Some(woken) = env.until(since + ANNOUNCED_FOR / 3, notifier.wait()).await {
                return woken;
            }
            since = env.now();
            self.announce().await?;
        }
    }

    /// Has changes announced from now on.
    async fn announce(&mut self) -> Result<()> {
        let sent = self.client.env.now();
        if let Some(request) = self.client.dialect.observe(&self.keys, ANNOUNCED_FOR) {
            self.client.send(self.keys.slot(), request).await?;
        }
        self.source = Source::Announced(sent);
        Ok(())
    }
}

impl Wake for WaitSubscription {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.wait_for_news())
    }
}

impl Drop for WaitSubscription {
    fn drop(&mut self) {
        if let Source::Turn(id) = self.source {
            self.client.unannounced.lock().remove(&id);
        }
    }
}
