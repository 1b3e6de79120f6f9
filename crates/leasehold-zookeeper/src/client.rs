//! [`Client`]: the state that all operations of one client share.

use std::{collections::HashMap, sync::Arc, time::Duration};

use leasehold_core::{
    ClaimId, Drift, Env, Moment, Result,
    store_kit::{Locked, Subscription, Topic},
};

use crate::{
    capability,
    dialect::ZooKeeperDialect,
    keys::Paths,
    options::ZooKeeperOptions,
    own_claims::{Node, OwnClaims},
    session::SessionManager,
    waiters::Watch,
};

/// The number of nodes whose last change is remembered. A forgotten node is believed for longer, which is safe.
const CHANGES_MAX: usize = 1 << 14;

/// The state that all operations of one client share.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) env: Env,
    pub(crate) session: SessionManager,
    pub(crate) paths: Paths,
    pub(crate) dialect: ZooKeeperDialect,
    pub(crate) own_claims: Arc<OwnClaims>,
    /// The id of the last change of each node by its path, and the time at which it was first seen.
    last_changes: Locked<HashMap<String, (i64, Moment)>>,
}

impl Client {
    /// A client that is not connected, with the capability that it will ask the servers for.
    pub(crate) fn new(options: &ZooKeeperOptions, env: Env) -> Result<Client> {
        options.check()?;
        Ok(Client {
            session: SessionManager::new(options.clone(), env.clone()),
            paths: Paths::new(&options.chroot),
            dialect: options.dialect,
            own_claims: Arc::default(),
            last_changes: Locked::default(),
            env,
        })
    }

    /// A client that is connected, with the capability that the servers agreed to.
    pub(crate) async fn open(options: &ZooKeeperOptions, env: Env) -> Result<Client> {
        let mut client = Client::new(options, env)?;
        let timeout = client.session.ready().await?.timeout;
        client.session.state.capability = capability::of(options.dialect, timeout);
        Ok(client)
    }

    /// The end of a node of ours unless it is extended: not before its holder's own deadline, and in time for others.
    pub(crate) fn end_of(&self, node: &Node) -> Moment {
        node.expires - self.session.state.capability.drift.of(Duration::ZERO)
    }

    /// Subscribes a claim: to the notifier of its last answer, or to a new one.
    pub(crate) async fn subscribe(&self, id: ClaimId) -> Subscription<Topic, Watch> {
        let own = self.own_claims.known(id).await;
        let answered = own.as_ref().and_then(|own| own.answer.as_ref()).map(|answer| answer.notifier.clone());
        let notifier = answered.filter(|notifier| !notifier.is_broken()).unwrap_or_default();
        self.session.waiters.subscribe_with(Topic::Claim(id), notifier)
    }

    /// The rest of `ttl` for a node that is read now; `change` is the id of its last change.
    ///
    /// No wall clock is involved. A hold lasts its time to live after the last change of its node: a client that has seen
    /// it unchanged for that long, by its own clock, knows that it is over, and can only be late.
    pub(crate) fn left(&self, path: String, change: i64, ttl: Duration) -> Duration {
        let (mut changes, now) = (self.last_changes.lock(), self.env.now());
        if changes.len() >= CHANGES_MAX && !changes.contains_key(&path) {
            changes.clear();
        }
        let seen = changes.entry(path).or_insert((change, now));
        if seen.0 != change {
            *seen = (change, now);
        }
        (seen.1 + ttl + Drift::TWO_CLOCKS.of(ttl)).since(now)
    }
}

/// Ends the background task that deletes expired nodes.
impl Drop for Client {
    fn drop(&mut self) {
        self.own_claims.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use leasehold_core::{env::Virtual, url::Address};

    use super::*;

    fn client(world: &Virtual) -> Client {
        Client::new(&ZooKeeperOptions::new(vec![Address::new("a", 2181)]), world.env()).unwrap()
    }

    #[test]
    fn time_counts_from_the_first_sight_of_the_last_change() {
        let (world, ttl) = (Virtual::new(1), Duration::from_secs(1));
        let client = client(&world);
        let left = |change| client.left("/a".into(), change, ttl);
        let whole = ttl + Drift::TWO_CLOCKS.of(ttl);
        world.block_on(async {
            assert_eq!(left(7), whole);
            client.env.sleep(Duration::from_millis(400)).await;
            assert_eq!(left(7), whole - Duration::from_millis(400));
            client.env.sleep(Duration::from_millis(500)).await;
            assert_eq!(left(8), whole);
            client.env.sleep(Duration::from_millis(2100)).await;
            assert_eq!(left(8), Duration::ZERO);
        });
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let client = client(&Virtual::new(1));
        for node in 0..3 * CHANGES_MAX {
            client.left(node.to_string(), 1, Duration::from_secs(1));
        }
        assert!(client.last_changes.lock().len() <= CHANGES_MAX);
    }
}
