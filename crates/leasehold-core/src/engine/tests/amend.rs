//! Holds that are confirmed, changed in place and left.

use super::*;

#[test]
fn a_confirmation_that_finds_nothing_ends_the_lease_at_once() {
    let bench = bench(1);
    let (engine, operator) = (bench.engine(), bench.engine());
    bench.world.block_on(async {
        let hold = lock(&engine).await;
        operator.force_release(&name()).await.unwrap();
        hold.check().unwrap();
        assert_eq!(hold.confirm().await.unwrap_err().kind(), ErrorKind::Lost);
        assert_eq!(hold.check().unwrap_err().reason, LostReason::ForceReleased);
        assert_eq!(engine.session().state(), SessionState::Expired);
    });
}

#[test]
fn a_hold_is_renewed_as_it_was_amended() {
    let bench = bench(1);
    let engine = bench.engine();
    bench.world.block_on(async {
        let mut hold = lock(&engine).await;
        hold.amend(|claim| claim.ttl = TTL * 3).await.unwrap();
        engine.env().sleep(TTL * 10).await;
        assert!(hold.remaining() >= TTL * 2, "{:?}", hold.remaining());
    });
}

#[test]
fn promise_2_a_change_counts_from_before_it_was_sent() {
    let bench = bench(1);
    let late = Duration::from_secs(2);
    let slow =
        bench.chaotic(move |number, _| if number == 1 { Fault::DelayReply(late) } else { Fault::None });
    let once = LockOptions { renew: false, ..terms() };
    bench.world.block_on(async {
        let hold = slow.acquire(&name(), Mode::Exclusive, &once, Wait::No, None).await.unwrap();
        let mut hold = hold.unwrap();
        slow.env().sleep(late).await;
        hold.amend(|claim| claim.note = Some("noted".into())).await.unwrap();
        assert_eq!(hold.remaining(), TTL - late);
    });
}

#[test]
fn permits_that_may_be_given_back_are_gone_for_their_holder() {
    let bench = bench(1);
    let lossy = bench.chaotic(|number, _| if number == 1 { Fault::LoseReply } else { Fault::None });
    let permits = |take| Mode::Permits { take, of: 3 };
    let once = LockOptions { renew: false, ..terms() };
    bench.world.block_on(async {
        let hold = lossy.acquire(&name(), permits(2), &once, Wait::No, None).await.unwrap();
        let mut hold = hold.unwrap();
        hold.amend(|claim| claim.mode = permits(1)).await.unwrap_err();
        assert_eq!(hold.mode(), permits(1));
    });
}

#[test]
fn a_lost_hold_is_not_left_with_a_ticket() {
    let bench = bench(1);
    let engine = bench.engine();
    let lasting = LockOptions { binding: Binding::Ttl, renew: false, ..terms() };
    bench.world.block_on(async {
        let hold = engine.acquire(&name(), Mode::Exclusive, &lasting, Wait::No, None).await.unwrap();
        bench.world.pause(TTL * 2);
        assert_eq!(hold.unwrap().into_ticket().unwrap_err().kind(), ErrorKind::Lost);
    });
}
