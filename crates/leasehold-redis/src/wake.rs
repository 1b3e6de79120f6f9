//! Wake-ups: who waits for what, and the bell that rings for it.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use leasehold_core::{BoxFuture, Error, ErrorKind, Result, Wake};
use tokio::sync::Notify;

use crate::{
    listener::Listener,
    session::{Observed, Strangers},
};

/// What a bell rings for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Topic {
    /// The turn of the waiter with this tag.
    Turn(u32),
    /// A message on this channel.
    Channel(String),
    /// A change of this key, whoever made it.
    Key(Vec<u8>),
}

/// All bells of one listener.
#[derive(Default, Debug)]
pub(crate) struct Bells(Mutex<HashMap<Topic, Vec<Weak<Bell>>>>);

/// Rings until it is heard.
#[derive(Default, Debug)]
pub(crate) struct Bell {
    news: Notify,
    broken: AtomicBool,
}

impl Bells {
    fn all(&self) -> MutexGuard<'_, HashMap<Topic, Vec<Weak<Bell>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hangs a bell up for a topic; `true` when it is the first.
    fn hang(&self, topic: &Topic, bell: &Arc<Bell>) -> bool {
        let mut all = self.all();
        let bells = all.entry(topic.clone()).or_default();
        bells.retain(|other| other.strong_count() > 0);
        bells.push(Arc::downgrade(bell));
        bells.len() == 1
    }

    /// Takes dead bells down; `true` when none is left for the topic.
    fn tidy(&self, topic: &Topic) -> bool {
        let mut all = self.all();
        let Some(bells) = all.get_mut(topic) else { return false };
        bells.retain(|other| other.strong_count() > 0);
        let none = bells.is_empty();
        if none {
            all.remove(topic);
        }
        none
    }

    /// Whether anybody listens to a topic.
    pub(crate) fn has(&self, topic: &Topic) -> bool {
        self.all().get(topic).is_some_and(|bells| bells.iter().any(|bell| bell.strong_count() > 0))
    }

    pub(crate) fn ring(&self, topic: &Topic) {
        if let Some(bells) = self.all().get(topic) {
            bells.iter().filter_map(Weak::upgrade).for_each(|bell| bell.news.notify_one());
        }
    }

    /// Rings all bells for a topic that `wanted` chooses.
    pub(crate) fn ring_where(&self, wanted: impl Fn(&Topic) -> bool) {
        for (_, bells) in self.all().iter().filter(|(topic, _)| wanted(topic)) {
            bells.iter().filter_map(Weak::upgrade).for_each(|bell| bell.news.notify_one());
        }
    }

    /// Nobody will ring any more: those who listen are told so.
    pub(crate) fn break_all(&self) {
        for bell in self.all().drain().flat_map(|(_, bells)| bells).filter_map(|bell| bell.upgrade()) {
            bell.broken.store(true, Ordering::Release);
            bell.news.notify_one();
        }
    }
}

/// One who listens.
pub(crate) struct Hearing {
    listener: Arc<Listener>,
    bell: Arc<Bell>,
    topics: Vec<Topic>,
    tracked: Tracked,
}

/// Which key is watched by invalidation, which tells of one change each time it is asked for.
pub(crate) enum Tracked {
    None,
    /// The key that a stranger holds, if one does. Asked for before each wait: it is known only after the claim.
    Stranger(Strangers),
    /// This key. Asked for from the beginning, and again before news of it are passed on.
    Always(String),
    /// No key: changes are announced on a channel, for a while at a time.
    Announced(Observed),
}

impl Hearing {
    pub(crate) fn new(listener: Arc<Listener>, topics: Vec<Topic>) -> Hearing {
        let bell = Arc::new(Bell::default());
        for topic in &topics {
            listener.bells().hang(topic, &bell);
        }
        // It may have ended before the bell hung: then nobody has told it.
        if listener.is_broken() {
            bell.broken.store(true, Ordering::Release);
            bell.news.notify_one();
        }
        Hearing { listener, bell, topics, tracked: Tracked::None }
    }

    /// Hears of changes that strangers make, too.
    pub(crate) async fn tracking(mut self, tracked: Tracked) -> Result<Hearing> {
        self.tracked = tracked;
        if let Tracked::Always(key) = &self.tracked {
            let key = key.clone();
            self.track(&key).await?;
        }
        Ok(self)
    }

    /// Whether the key is there.
    async fn track(&mut self, key: &str) -> Result<bool> {
        let topic = Topic::Key(key.as_bytes().to_vec());
        if !self.topics.contains(&topic) {
            self.listener.bells().hang(&topic, &self.bell);
            self.topics.push(topic);
        }
        self.listener.track(key).await
    }
}

impl Wake for Hearing {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if let Tracked::Stranger(strangers) = &self.tracked
                && let Some(key) = strangers.key()
                && !self.track(&key).await?
            {
                // Gone before it could be watched: that is news.
                return Ok(());
            }
            match &mut self.tracked {
                Tracked::Announced(observed) => observed.wait(&self.bell.news).await?,
                _ => self.bell.news.notified().await,
            }
            if self.bell.broken.load(Ordering::Acquire) {
                return Err(Error::new(ErrorKind::Unreachable, "the subscription broke")
                    .hint("ask the store again, and subscribe anew"));
            }
            if let Tracked::Always(key) = &self.tracked {
                let key = key.clone();
                self.track(&key).await?;
            }
            Ok(())
        })
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.bell = Arc::default();
        for topic in std::mem::take(&mut self.topics) {
            if self.listener.bells().tidy(&topic)
                && let Topic::Channel(channel) = topic
            {
                self.listener.leave(channel);
            }
        }
    }
}

/// A wait that nothing ends, for those who are not woken.
pub(crate) struct Deaf;

impl Wake for Deaf {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::pending())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_bell_is_taken_down_and_the_last_one_says_so() {
        let (bells, topic) = (Bells::default(), Topic::Turn(1));
        let (one, two) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
        assert!(bells.hang(&topic, &one));
        assert!(!bells.hang(&topic, &two));
        drop(one);
        assert!(!bells.tidy(&topic));
        drop(two);
        assert!(bells.tidy(&topic));
        assert!(bells.all().is_empty());
    }
}
