//! Release on all members.

use std::{sync::Arc, time::Duration};

use super::{
    Core,
    fan_out::{FanOut, Next},
    member::MemberState,
    ordering::OrderHandle,
};
use crate::{Claim, Release, Result, decide::votes::majority};

/// How long to wait before a member that failed is asked again to release.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

impl Core {
    /// Releases on all members, and returns once a majority has answered. The others go on in the background.
    pub(super) async fn release(self: &Arc<Self>, claim: &Claim) -> Result<Release> {
        let order = self.orders.of(claim.id);
        order.end();
        let mut calls = FanOut::new(&self.env);
        for member in &self.members {
            calls.add(member.number, self.release_surely(member, &order, claim));
        }
        let mut timer = self.env.sleep(self.options.node_timeout);
        let needed = majority(self.members.len());
        let (mut released, mut nothing) = (0, 0);
        let mut states = self.no_answers();
        while released < needed && nothing < needed {
            let Next::Answer(member, answer) = calls.next(&mut timer).await else { break };
            match answer {
                Ok(Release::Released) => released += 1,
                Ok(Release::NotHeld) => nothing += 1,
                Err(error) => states[member] = self.members[member].says(error),
            }
        }
        match released + nothing >= needed {
            true if released > 0 && nothing < needed => Ok(Release::Released),
            true => Ok(Release::NotHeld),
            false => Err(self.no_quorum(&states).unknown()),
        }
    }

    /// Releases on one member; when that fails, again in the background until the hold would have ended by itself.
    fn release_surely(
        self: &Arc<Self>,
        member: &Arc<MemberState>,
        order: &OrderHandle,
        claim: &Claim,
    ) -> crate::BoxFuture<'static, Result<Release>> {
        let first = member.release(order, claim.clone());
        let (core, member, order, claim) = (self.clone(), member.clone(), order.clone(), claim.clone());
        Box::pin(async move {
            let answer = first.await;
            if answer.is_err() {
                core.release_later(&member, &order, &claim);
            }
            answer
        })
    }

    /// Releases the current round on one member in the background, again and again until it answers or the hold has
    /// ended by itself.
    pub(super) fn release_later(
        self: &Arc<Self>,
        member: &Arc<MemberState>,
        order: &OrderHandle,
        claim: &Claim,
    ) {
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
            // The doubt outlives the answered attempt: the one without an answer may still arrive.
            if order.doubts() > 0 {
                let _ = env.until(until, ended.wait_for(|ended| *ended)).await;
            }
        });
    }
}
