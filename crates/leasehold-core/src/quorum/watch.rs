//! [`QuorumSubscription`]: woken by the members.

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use super::{
    Core,
    fan_out::{FanOut, Next},
};
use crate::{BoxFuture, Env, Error, ErrorKind, Interest, LockName, Result, Wake, decide::votes::majority};

/// News of one member alone are held back for so long at most: the others are about to say the same, and who asks before
/// they have seen it is refused by them.
const GATHER: Duration = Duration::from_millis(4);

impl Core {
    /// Subscribes at all members and answers once a majority has it, a moment later: a member that hangs is not listened to.
    pub(super) async fn watch(
        self: &Arc<Self>,
        name: &LockName,
        interest: Interest,
    ) -> Result<Box<dyn Wake>> {
        self.refuse_closed()?;
        let mut calls = FanOut::new(&self.env);
        for member in &self.members {
            let (store, name) = (member.store.clone(), name.clone());
            calls.add(member.number, Box::pin(async move { store.watch(&name, interest).await }));
        }
        let mut timer = self.env.sleep(self.options.node_timeout);
        let mut states: Vec<String> =
            self.members.iter().map(|member| format!("{}: no answer", member.url)).collect();
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
                Next::Answer(member, Err(error)) => {
                    states[member] = format!("{}: {error}", self.members[member].url)
                }
                Next::Empty | Next::Late => break,
            }
        }
        match wakes.len() >= needed {
            true => Ok(Box::new(QuorumSubscription { env: self.env.clone(), needed, wakes, woken: 0 })),
            false => Err(self.no_quorum(&states)),
        }
    }
}

/// The bells of the members that could be subscribed at.
struct QuorumSubscription {
    env: Env,
    needed: usize,
    wakes: Vec<Box<dyn Wake>>,
    /// Members, by bit, whose news have come and were not answered yet.
    woken: u64,
}

impl Wake for QuorumSubscription {
    fn wait(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.ring(None).await?;
            if (self.woken.count_ones() as usize) < self.needed {
                let gather = self.env.sleep(GATHER / 4 + self.env.jitter(GATHER - GATHER / 4));
                self.ring(Some(gather)).await?;
            }
            self.woken = 0;
            Ok(())
        })
    }
}

impl QuorumSubscription {
    /// Without an timer: until anybody has woken. With one: until enough have, or it goes.
    async fn ring(&mut self, mut timer: Option<BoxFuture<'static, ()>>) -> Result<()> {
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
            // The others are listened to; what they said meanwhile is asked for.
            true => {
                self.woken = (1 << self.needed) - 1;
                Ok(())
            }
            false => Err(Error::new(ErrorKind::NoQuorum, format!("too few members wake us: {error}"))),
        }
    }
}

/// Looks at a member whenever it says that holds may have been lost, and orders that on.
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
        core.revalidations.raise();
    }
}
