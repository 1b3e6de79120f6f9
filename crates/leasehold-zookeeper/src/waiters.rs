//! [`Watch`]: the watch behind a waiting subscription.

use std::{future::Future, pin::pin};

use futures_util::future::select;
use leasehold_core::{Env, store_kit::Locked};
use tokio::sync::oneshot;

/// The watch that wakes a notifier. Replacing or dropping it ends the watch.
#[derive(Default, Debug)]
pub(crate) struct Watch(Locked<Option<oneshot::Sender<()>>>);

impl Watch {
    pub(crate) fn replace(&self, env: &Env, watch: impl Future<Output = ()> + Send + 'static) {
        let (keep, ended) = oneshot::channel();
        *self.0.lock() = Some(keep);
        env.spawn(async move {
            select(pin!(watch), ended).await;
        });
    }
}
