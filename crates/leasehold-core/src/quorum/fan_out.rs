//! [`FanOut`]: the same call on several members. Calls without a waiter go on in the background.

use std::{future::poll_fn, task::Poll};

use crate::{BoxFuture, Env};

/// Calls under way, each with the number of its member.
type Calls<T> = Vec<(usize, BoxFuture<'static, T>)>;

/// The calls; when it is dropped, they go on in the background.
pub(super) struct FanOut<T: Send + 'static> {
    env: Env,
    calls: Calls<T>,
}

/// The first event.
pub(super) enum Next<T> {
    /// A member's answer.
    Answer(usize, T),
    /// Nothing is under way.
    Empty,
    /// The timer.
    Late,
}

impl<T: Send + 'static> FanOut<T> {
    pub(super) fn new(env: &Env) -> Self {
        FanOut { env: env.clone(), calls: Vec::new() }
    }

    pub(super) fn add(&mut self, member: usize, call: BoxFuture<'static, T>) {
        self.calls.push((member, call));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The members that have not answered.
    pub(super) fn members(&self) -> impl Iterator<Item = usize> {
        self.calls.iter().map(|(member, _)| *member)
    }

    /// The next answer, unless the timer fires first. Every call is polled once before the timer.
    pub(super) async fn next(&mut self, timer: &mut BoxFuture<'static, ()>) -> Next<T> {
        next(&mut self.calls, timer).await
    }

    /// Passes all further answers to `seen`, as they come.
    pub(super) fn rest(mut self, seen: impl FnMut(usize, T) + Send + 'static) -> BoxFuture<'static, ()> {
        Box::pin(rest(std::mem::take(&mut self.calls), seen))
    }
}

impl<T: Send + 'static> Drop for FanOut<T> {
    fn drop(&mut self) {
        if !self.is_empty() {
            self.env.spawn(rest(std::mem::take(&mut self.calls), |_, _| {}));
        }
    }
}

async fn next<T>(calls: &mut Calls<T>, timer: &mut BoxFuture<'static, ()>) -> Next<T> {
    poll_fn(|context| {
        for at in 0..calls.len() {
            if let Poll::Ready(answer) = calls[at].1.as_mut().poll(context) {
                let (member, _) = calls.swap_remove(at);
                return Poll::Ready(Next::Answer(member, answer));
            }
        }
        match calls.is_empty() {
            true => Poll::Ready(Next::Empty),
            false => timer.as_mut().poll(context).map(|()| Next::Late),
        }
    })
    .await
}

async fn rest<T>(mut calls: Calls<T>, mut seen: impl FnMut(usize, T)) {
    let mut never: BoxFuture<'static, ()> = Box::pin(std::future::pending());
    while let Next::Answer(member, answer) = next(&mut calls, &mut never).await {
        seen(member, answer);
    }
}
