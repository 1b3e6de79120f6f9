//! The verbs of the store, a module each, and how one is run.

pub(crate) mod claim;
pub(crate) mod inspect;
pub(crate) mod list;
pub(crate) mod release;
pub(crate) mod renew;

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use leasehold_core::{BoxFuture, Env};

/// A verb that runs to its end: when its future is dropped, it goes on in the background.
pub(crate) struct Detached<T: Send + 'static> {
    work: Option<BoxFuture<'static, T>>,
    env: Env,
}

impl<T: Send + 'static> Detached<T> {
    pub(crate) fn new(env: &Env, work: impl Future<Output = T> + Send + 'static) -> Self {
        Detached { work: Some(Box::pin(work)), env: env.clone() }
    }
}

impl<T: Send + 'static> Future for Detached<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let output = ready!(work.as_mut().poll(context));
        self.work = None;
        Poll::Ready(output)
    }
}

impl<T: Send + 'static> Drop for Detached<T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.env.spawn(async move {
                // The caller is gone.
                let _ = work.await;
            });
        }
    }
}
