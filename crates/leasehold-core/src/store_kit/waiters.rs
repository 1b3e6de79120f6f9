//! [`Waiters`]: the waiting subscriptions of a client, by topic.

use std::{any::Any, collections::HashMap, fmt, hash::Hash, sync::Arc};

use super::{Locked, Notifier};
use crate::{BoxFuture, ClaimId, Error, Interest, LockName, Result, Wake};

/// The topic of a subscription in a store that needs no other: one claim, or all changes of one lock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Topic {
    /// The turn of a waiting claim.
    Claim(ClaimId),
    /// Every change of a lock.
    Changes(LockName),
}

impl Topic {
    /// The topic of an interest in a lock.
    pub fn of(name: &LockName, interest: Interest) -> Self {
        match interest {
            Interest::Turn(id) => Topic::Claim(id),
            Interest::Changes => Topic::Changes(name.clone()),
        }
    }
}

/// A table of waiting subscriptions. `T` is the topic, `P` the data that a store attaches to each subscription.
pub struct Waiters<T, P = ()>(Locked<State<T, P>>);

struct State<T, P> {
    by_topic: HashMap<T, Vec<Arc<Notifier<P>>>>,
    closed: Option<Error>,
}

impl<T, P> Default for Waiters<T, P> {
    fn default() -> Self {
        Waiters(Locked::new(State { by_topic: HashMap::new(), closed: None }))
    }
}

impl<T: Clone + Eq + Hash, P> Waiters<T, P> {
    /// Subscribes to a topic. After [`Waiters::close`] the subscription is broken from the start.
    pub fn subscribe(self: &Arc<Self>, topic: T) -> Subscription<T, P>
    where
        P: Default,
    {
        self.subscribe_with(topic, Arc::default())
    }

    /// Subscribes a notifier that exists already, and may have been woken.
    pub fn subscribe_with(self: &Arc<Self>, topic: T, notifier: Arc<Notifier<P>>) -> Subscription<T, P> {
        let mut subscription =
            Subscription { table: self.clone(), notifier, topics: Vec::new(), last_ends: None, kept: None };
        subscription.add(topic);
        subscription
    }

    /// Whether anybody is subscribed to a topic.
    pub fn has(&self, topic: &T) -> bool {
        self.0.lock().by_topic.contains_key(topic)
    }

    /// The notifiers of a topic.
    pub fn of(&self, topic: &T) -> Vec<Arc<Notifier<P>>> {
        self.0.lock().by_topic.get(topic).cloned().unwrap_or_default()
    }

    /// Wakes the subscriptions of one topic.
    pub fn wake(&self, topic: &T) {
        if let Some(notifiers) = self.0.lock().by_topic.get(topic) {
            notifiers.iter().for_each(|notifier| notifier.wake());
        }
    }

    /// Wakes the subscriptions of a topic whose data fit.
    pub fn wake_if(&self, topic: &T, fits: impl Fn(&P) -> bool) {
        if let Some(notifiers) = self.0.lock().by_topic.get(topic) {
            notifiers.iter().filter(|it| fits(&it.payload)).for_each(|notifier| notifier.wake());
        }
    }

    /// Wakes the subscriptions of all topics that fit.
    pub fn wake_where(&self, fits: impl Fn(&T) -> bool) {
        let state = self.0.lock();
        let fitting = state.by_topic.iter().filter(|(topic, _)| fits(topic));
        fitting.flat_map(|(_, notifiers)| notifiers).for_each(|notifier| notifier.wake());
    }

    /// Wakes all subscriptions: something may have been missed.
    pub fn wake_all(&self) {
        self.wake_where(|_| true);
    }

    /// Breaks all subscriptions of now; later ones are not affected.
    pub fn break_all(&self, error: &Error) {
        let broken = std::mem::take(&mut self.0.lock().by_topic);
        broken.values().flatten().for_each(|notifier| notifier.break_off(error.clone()));
    }

    /// Breaks all subscriptions, and every later one.
    pub fn close(&self, error: &Error) {
        self.0.lock().closed.get_or_insert_with(|| error.clone());
        self.break_all(error);
    }
}

impl<T, P> fmt::Debug for Waiters<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiters").finish_non_exhaustive()
    }
}

/// A waiting subscription. Dropping it removes it from the table.
pub struct Subscription<T: Clone + Eq + Hash, P = ()> {
    table: Arc<Waiters<T, P>>,
    notifier: Arc<Notifier<P>>,
    topics: Vec<T>,
    last_ends: Option<Box<dyn FnMut(T) + Send>>,
    kept: Option<Box<dyn Any + Send>>,
}

impl<T: Clone + Eq + Hash, P> Subscription<T, P> {
    /// Calls the hook for each topic that has no other subscription when this one is dropped.
    #[must_use]
    pub fn when_last_ends(mut self, hook: impl FnMut(T) + Send + 'static) -> Self {
        self.last_ends = Some(Box::new(hook));
        self
    }

    /// Keeps a value alive as long as the subscription.
    #[must_use]
    pub fn keeping(mut self, value: impl Any + Send) -> Self {
        self.kept = Some(Box::new(value));
        self
    }

    /// Subscribes to one more topic.
    pub fn add(&mut self, topic: T) {
        if self.topics.contains(&topic) {
            return;
        }
        let mut state = self.table.0.lock();
        if let Some(error) = &state.closed {
            return self.notifier.break_off(error.clone());
        }
        state.by_topic.entry(topic.clone()).or_default().push(self.notifier.clone());
        self.topics.push(topic);
    }

    /// The notifier, to be woken or waited for directly.
    pub fn notifier(&self) -> &Arc<Notifier<P>> {
        &self.notifier
    }

    /// Removes the subscription from a topic; whether it was the last one.
    fn remove(&self, topic: &T) -> bool {
        let mut state = self.table.0.lock();
        let Some(notifiers) = state.by_topic.get_mut(topic) else { return false };
        notifiers.retain(|other| !Arc::ptr_eq(other, &self.notifier));
        notifiers.is_empty() && state.by_topic.remove(topic).is_some()
    }
}

impl<T, P> Wake for Subscription<T, P>
where
    T: Clone + Eq + Hash + Send + Sync + 'static,
    P: Send + Sync + 'static,
{
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.notifier.wait())
    }
}

impl<T: Clone + Eq + Hash, P> Drop for Subscription<T, P> {
    fn drop(&mut self) {
        for topic in std::mem::take(&mut self.topics) {
            let is_last = self.remove(&topic);
            if let Some(hook) = self.last_ends.as_mut().filter(|_| is_last) {
                hook(topic);
            }
        }
    }
}

impl<T: Clone + Eq + Hash, P> fmt::Debug for Subscription<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn table() -> Arc<Waiters<Topic, u32>> {
        Arc::default()
    }

    fn claim(bits: u128) -> Topic {
        Topic::Claim(ClaimId::from_bits(bits))
    }

    fn changes() -> Topic {
        Topic::of(&LockName::new("a").unwrap(), Interest::Changes)
    }

    #[test]
    fn each_topic_wakes_its_own() {
        let table = table();
        let (mine, other, watcher) =
            (table.subscribe(claim(1)), table.subscribe(claim(2)), table.subscribe(changes()));
        let woken = |expected: [bool; 3]| {
            let woken = [&mine, &other, &watcher].map(|it| it.notifier().take_woken());
            assert_eq!(woken, expected);
        };
        table.wake(&claim(1));
        woken([true, false, false]);
        table.wake(&changes());
        woken([false, false, true]);
        table.wake_where(|topic| matches!(topic, Topic::Claim(_)));
        woken([true, true, false]);
        table.wake_if(&claim(1), |payload| *payload == 1);
        woken([false, false, false]);
        table.wake_all();
        woken([true, true, true]);
    }

    #[test]
    fn a_dropped_subscription_is_gone_and_the_last_one_of_a_topic_is_reported() {
        let (table, ended) = (table(), Arc::new(Locked::new(Vec::new())));
        let subscribe = |topic| {
            let ended = ended.clone();
            table.subscribe(topic).when_last_ends(move |topic| ended.lock().push(topic))
        };
        let (one, mut two) = (subscribe(claim(1)), subscribe(claim(1)));
        two.add(changes());
        two.add(changes());
        drop(one);
        assert!(ended.lock().is_empty() && table.has(&claim(1)));
        drop(two);
        assert_eq!(*ended.lock(), [claim(1), changes()]);
        assert!(table.0.lock().by_topic.is_empty());
    }

    #[test]
    fn a_closed_table_breaks_later_subscriptions_too() {
        let (table, error) = (table(), Error::new(ErrorKind::Closed, "x"));
        let first = table.subscribe(claim(1));
        table.break_all(&error);
        assert!(first.notifier().is_broken() && !table.subscribe(claim(1)).notifier().is_broken());
        let second = table.subscribe(claim(1));
        table.close(&error);
        assert!(second.notifier().is_broken() && table.subscribe(claim(1)).notifier().is_broken());
        assert!(table.0.lock().by_topic.is_empty());
    }

    #[test]
    fn a_subscription_keeps_a_value_and_an_existing_notifier_keeps_its_wake_up() {
        let (table, kept) = (table(), Arc::new(()));
        let notifier = Arc::new(Notifier::new(7));
        notifier.wake();
        let subscription = table.subscribe_with(claim(1), notifier).keeping(kept.clone());
        assert!(subscription.notifier().is_woken() && subscription.notifier().payload == 7);
        assert_eq!((table.of(&claim(1)).len(), Arc::strong_count(&kept)), (1, 2));
        drop(subscription);
        assert_eq!(Arc::strong_count(&kept), 1);
    }
}
