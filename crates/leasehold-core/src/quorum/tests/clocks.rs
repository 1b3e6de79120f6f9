//! Members whose clocks are apart.

use super::*;
use crate::tests::Altered;

#[test]
fn a_clock_that_jumps_forward_costs_the_vote_and_no_token_is_below_one_that_is_ahead() {
    let world = Virtual::new(5);
    let odd = Arc::new(Altered::new(Memory::new(world.env())));
    odd.ahead_us.store(3_600_000_000, Ordering::Release);
    let members: Vec<Arc<dyn Store>> =
        vec![Arc::new(Memory::new(world.env())), odd.clone(), Arc::new(Memory::new(world.env()))];
    let quorum = Quorum::new(members, QuorumOptions::default(), world.env()).unwrap();
    world.block_on(async {
        let members = quorum.inspect(&name()).await.unwrap().members;
        assert!(members.iter().all(|member| member.votes), "an hour apart from the start: {members:?}");
        let claim = Claim::new(name(), ClaimId::mint(&world.env()), TTL);
        let token = granted(quorum.claim(&claim).await).fence.unwrap();
        let odd_us = world.env().wall_us() + odd.ahead_us.load(Ordering::Acquire) - FencingToken::SLACK_US;
        assert!(
            token.get().abs_diff(odd_us) < 1_000_000,
            "as that member grants by itself, so that none is below"
        );
        odd.ahead_us.fetch_add(20_000_000, Ordering::AcqRel);
        let members = quorum.inspect(&name()).await.unwrap().members;
        assert!(
            !members[1].votes && members[1].state.contains("its clock jumped 20s forward"),
            "{members:?}"
        );
        world.env().sleep(Duration::from_secs(61)).await;
        assert!(quorum.inspect(&name()).await.unwrap().members[1].votes, "for a while");
    });
}
