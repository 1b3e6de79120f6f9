//! Release on all members.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    Core,
    fan_out::{FanOut, Next},
    member::MemberState,
    ordering::ClaimOrder,
};
use crate::{Claim, Moment, Release, Result, decide::votes::majority};

/// How long to wait before a member that failed is asked again to release.
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// The longest wait for members beyond a majority.
const STEP_MAX: Duration = Duration::from_millis(100);

impl Core {
    /// Releases on all members, and returns a moment after a majority has answered. The others go on in the background.
    pub(super) async fn release(self: &Arc<Self>, claim: &Claim) -> Result<Release> {
        let order = self.orders.of(claim.id);
        order.end();
        let claim = Arc::new(claim.clone());
        let mut calls = FanOut::new(&self.env);
        for member in &self.members {
            calls.add(member.number, self.release_surely(member, &order, &claim));
        }
        let begin = self.env.now();
        let mut timer = self.env.sleep_until(begin + self.options.node_timeout);
        let needed = majority(self.members.len());
        let (mut released, mut nothing, mut failures) = (0, 0, Vec::new());
        while released < needed && nothing < needed {
            let Next::Answer(member, answer) = calls.next(&mut timer).await else { break };
            match answer {
                Ok(Release::Released) => released += 1,
                Ok(Release::NotHeld) => nothing += 1,
                Err(error) => failures.push((member, error)),
            }
        }
        self.hear_the_rest(&mut calls, begin, |_, _| {}).await;
        match released + nothing >= needed {
            true if released > 0 && nothing < needed => Ok(Release::Released),
            true => Ok(Release::NotHeld),
            false => Err(self.too_few(&failures, &calls).unknown()),
        }
    }

    /// Waits for those who have not answered, for three times as long as the others took: members that are as near as those
    /// stay in step. One that falls behind would find each claim of a lock before the release of the last one. A member that
    /// was late is not waited for until it answers. `seen` gets the answers.
    pub(super) async fn hear_the_rest<T: Send + 'static>(
        &self,
        calls: &mut FanOut<T>,
        begin: Moment,
        mut seen: impl FnMut(usize, T),
    ) {
        let now = self.env.now();
        let mut timer = self.env.sleep_until(now + (now.since(begin) * 3).min(STEP_MAX));
        while calls.members().any(|member| !self.members[member].is_late.load(Ordering::Acquire)) {
            let Next::Answer(member, answer) = calls.next(&mut timer).await else { break };
            seen(member, answer);
        }
        calls.members().for_each(|member| self.members[member].is_late.store(true, Ordering::Release));
    }

    /// Releases on one member; when that fails, again in the background until the hold would have ended by itself.
    fn release_surely(
        self: &Arc<Self>,
        member: &Arc<MemberState>,
        order: &Arc<ClaimOrder>,
        claim: &Arc<Claim>,
    ) -> crate::BoxFuture<'static, Result<Release>> {
        let entered = member.enter();
        let (core, member, order, claim) = (self.clone(), member.clone(), order.clone(), claim.clone());
        Box::pin(async move {
            let answer = member.release(entered, &order, &claim).await;
            if answer.is_err() {
                drop(core.release_later(&member, &order, &claim));
            }
            answer
        })
    }

    /// Releases the current round on one member in the background, again and again until it answers or the hold has
    /// ended by itself; then the channel closes.
    pub(super) fn release_later(
        self: &Arc<Self>,
        member: &Arc<MemberState>,
        order: &Arc<ClaimOrder>,
        claim: &Arc<Claim>,
    ) -> oneshot::Receiver<()> {
        let (open, end) = oneshot::channel();
        let until = self.env.now() + claim.ttl + claim.lock_delay;
        let round = order.round();
        let mut next = member.give_back(order, claim.clone(), round);
        let (env, member, order, claim) = (self.env.clone(), member.clone(), order.clone(), claim.clone());
        let mut ended = self.ended.subscribe();
        self.env.spawn(async move {
            while next.await.is_err() && env.now() < until && !*ended.borrow_and_update() {
                env.sleep(AGAIN_AFTER + env.jitter(AGAIN_AFTER)).await;
                next = member.give_back(&order, claim.clone(), round);
            }
            drop(open);
            // The doubt outlives the answered attempt: the one without an answer may still arrive.
            if order.doubts() > 0 {
                let _ = env.until(until, ended.wait_for(|ended| *ended)).await;
            }
        });
        end
    }
}
