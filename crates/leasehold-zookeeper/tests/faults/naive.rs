//! The library below, as somebody uses it who writes a lock on the first day: each test has one that fails where ours
//! does not.

use std::{future::Future, time::Duration};

use leasehold_core::Env;
use zookeeper_client::{Acls, Client, CreateMode, CreateOptions, Error};

use crate::fixture::eventually;

/// A node that ends with its session, in a queue, open to anybody.
pub(crate) fn place() -> CreateOptions<'static> {
    CreateMode::EphemeralSequential.with_acls(Acls::anyone_all())
}

pub(crate) struct Naive {
    pub(crate) client: Client,
}

impl Naive {
    pub(crate) async fn at(address: &str) -> Naive {
        Naive::with(address, Duration::from_secs(10)).await
    }

    pub(crate) async fn with(address: &str, session: Duration) -> Naive {
        let connector = Client::connector().with_session_timeout(session).with_server_version(3, 6, 0);
        Naive { client: connector.connect(address).await.expect("a server") }
    }

    pub(crate) async fn make(&self, path: &str) {
        self.client.mkdir(path, &CreateMode::Persistent.with_acls(Acls::anyone_all())).await.expect("a node");
    }

    /// Stands in a queue, without a name of its own, and answers the number of its node.
    pub(crate) async fn enqueue(&self, directory: &str) -> Result<i64, Error> {
        let made = self.client.create(&format!("{directory}/lock-"), b"", &place()).await;
        made.map(|(_, number)| number.into_i64())
    }

    /// Stands in a queue as soon as that can be done.
    pub(crate) async fn insist(&self, directory: &str) {
        while self.enqueue(directory).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Whether a node of this number is the first of its queue: of all that end in digits, by the digits.
    pub(crate) async fn is_first(&self, directory: &str, number: i64) -> bool {
        self.smallest(directory).await == Some(number)
    }

    /// Whether nobody of its own layout, whose nodes are called `lock-`, has a smaller number.
    pub(crate) async fn leads_its_own(&self, directory: &str, number: i64) -> bool {
        let children = self.children(directory).await;
        let own = children.iter().filter_map(|child| child.strip_prefix("lock-")?.parse::<i64>().ok());
        own.min() == Some(number)
    }

    async fn smallest(&self, directory: &str) -> Option<i64> {
        let children = self.children(directory).await;
        children.iter().filter_map(|child| child.rsplit('-').next()?.parse::<i64>().ok()).min()
    }

    pub(crate) async fn children(&self, directory: &str) -> Vec<String> {
        self.client.list_children(directory).await.expect("a server that answers")
    }
}

/// Something that a naive client waits for without end.
pub(crate) struct Pending(tokio::task::JoinHandle<()>);

impl Pending {
    pub(crate) fn on(asking: impl Future<Output = ()> + Send + 'static) -> Pending {
        Pending(tokio::spawn(asking))
    }

    pub(crate) fn hangs(&self) -> bool {
        !self.0.is_finished()
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits until somebody in a queue is the first of it.
pub(crate) async fn becomes_first(env: &Env, naive: &Naive, directory: &str, number: i64) {
    eventually(env, "the next holder", || naive.is_first(directory, number)).await;
}
