//! [`QuorumSubscription`]: a subscription at the members.

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use super::{
    Core,
    fan_out::{FanOut, Next},
};
use crate::{BoxFuture, Env, Error, ErrorKind, Interest, LockName, Result, Wake, decide::votes::majority};

/// The longest delay of a wake-up by one member alone: the others are about to see the same change, and refuse a claim
/// that comes before it.
const GATHER: Duration = Duration::from_millis(4);

impl Core {
    /// Subscribes at all members, and returns a moment after a majority has answered: a member that hangs is left out.
    pub(super) async fn watch(
        self: &Arc<Self>,
        name: &LockName,
        interest: Interest,
    ) -> Result<Box<dyn Wake>> {
        let mut calls = FanOut::new(&self.env);
        for member in &self.members {
            let (store, name) = (member.store.clone(), name.clone());
            calls.add(member.number, Box::pin(async move { store.watch(&name, interest).await }));
        }
        let mut timer = self.env.sleep(self.options.node_timeout);
        let mut failures = Vec::new();
        let mut wakes = Vec::new();
        let needed = majority(self.members.len());
        loop {
            match calls.next(&mut timer).await {
                Next::Answer(_, Ok(wake)) => {
                    wakes.push(wake);
                    if wakes.len() == needed {
                        // The others have a moment more.
                        timer = self.env.sleep(GATHER);
                    }
                }
                Next::Answer(member, Err(error)) => failures.push((member, error)),
                Next::Empty | Next::Late => break,
            }
        }
        match wakes.len() >= needed {
            true => Ok(Box::new(QuorumSubscription { env: self.env.clone(), needed, wakes, woken: 0 })),
            false => Err(self.too_few(&failures, &calls)),
        }
    }
}

/// The subscriptions at the members that answered.
struct QuorumSubscription {
    env: Env,
    needed: usize,
    wakes: Vec<Box<dyn Wake>>,
    /// The members, by bit, that woke since the last return.
    woken: u64,
}

impl Wake for QuorumSubscription {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.wait_for(None).await?;
            if (self.woken.count_ones() as usize) < self.needed {
                let gather = self.env.sleep(GATHER / 4 + self.env.jitter(GATHER - GATHER / 4));
                self.wait_for(Some(gather)).await?;
            }
            self.woken = 0;
            Ok(())
        })
    }
}

impl QuorumSubscription {
    /// Waits for one member without a timer, or for enough members or the timer.
    async fn wait_for(&mut self, mut timer: Option<BoxFuture<'static, ()>>) -> Result<()> {
        let enough = if timer.is_some() { self.needed } else { 1 };
        let (woken, wakes) = (&mut self.woken, &mut self.wakes);
        if woken.count_ones() as usize >= enough {
            return Ok(());
        }
        let broken = {
            let mut waits: Vec<_> = wakes.iter_mut().map(|wake| wake.wait()).collect();
            poll_fn(|context| {
                for (at, wait) in waits.iter_mut().enumerate().filter(|(at, _)| *at < 64) {
                    if *woken & (1 << at) != 0 {
                        continue;
                    }
                    match wait.as_mut().poll(context) {
                        Poll::Ready(Ok(())) => *woken |= 1 << at,
                        Poll::Ready(Err(error)) => return Poll::Ready(Some((at, error))),
                        Poll::Pending => {}
                    }
                }
                if woken.count_ones() as usize >= enough {
                    return Poll::Ready(None);
                }
                match &mut timer {
                    Some(timer) => timer.as_mut().poll(context).map(|()| None),
                    None => Poll::Pending,
                }
            })
            .await
        };
        let Some((at, error)) = broken else { return Ok(()) };
        drop(self.wakes.swap_remove(at));
        self.woken = 0;
        match self.wakes.len() >= self.needed {
            // The others stay; the caller asks for changes meanwhile.
            true => {
                self.woken = (1 << self.needed) - 1;
                Ok(())
            }
            false => Err(Error::new(
                ErrorKind::NoQuorum,
                format!("too few members have a subscription: {error:#}"),
            )),
        }
    }
}

/// Probes a member after each revalidation of its store, and raises the quorum's own.
pub(super) async fn forward_revalidations(core: std::sync::Weak<Core>, member: usize) {
    let mut seen = 0;
    loop {
        let Some((store, mut ended)) =
            core.upgrade().map(|core| (core.members[member].store.clone(), core.ended.subscribe()))
        else {
            return;
        };
        tokio::select! {
            biased;
            _ = ended.wait_for(|ended| *ended) => return,
            () = store.revalidation(&mut seen) => {}
        }
        let Some(core) = core.upgrade() else { return };
        core.probe_later(&core.members[member]);
        core.state.revalidations.raise();
    }
}
