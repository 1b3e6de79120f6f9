//! Holds that change hands.

use super::*;

#[test]
fn a_ticket_hands_a_hold_from_one_client_to_another() {
    let bench = bench(1);
    let (a, b) = (bench.engine(), bench.engine());
    bench.world.block_on(async {
        let hold = lock(&a).await;
        let token = hold.fencing_token();
        let ticket = hold.detach(TTL).await.unwrap();
        a.close(Duration::from_secs(1)).await.unwrap();
        let ticket: Ticket = ticket.to_string().parse().unwrap();
        let hold = b.adopt(&ticket, &terms()).await.unwrap();
        assert_eq!(hold.fencing_token(), token);
        b.env().sleep(TTL * 3).await;
        hold.check().unwrap();
        hold.release().await.unwrap();
        assert_eq!(b.adopt(&ticket, &terms()).await.unwrap_err().kind(), ErrorKind::Lost);
        assert_eq!(b.release_ticket(&ticket).await.unwrap(), Release::NotHeld);
    });
}

#[test]
fn promise_2_an_adoption_counts_from_before_it_was_sent() {
    let bench = bench(1);
    let late = Duration::from_secs(2);
    let slow = bench.chaotic(move |_, _| Fault::DelayReply(late));
    let once = LockOptions { renew: false, ..terms() };
    bench.world.block_on(async {
        let ticket = lock(&bench.engine()).await.detach(TTL).await.unwrap();
        let hold = slow.adopt(&ticket, &once).await.unwrap();
        assert_eq!(hold.remaining(), TTL - late);
    });
}

#[test]
fn a_hold_that_outlives_its_client_can_be_left_without_io_and_another_is_released() {
    let bench = bench(1);
    let env = bench.world.env();
    let counted = Arc::new(Chaos::new(Arc::new(bench.memory.client()), env.clone(), |_, _| Fault::None));
    let engine = Engine::new(counted.clone(), env);
    bench.world.block_on(async {
        let lasting = LockOptions { binding: Binding::Ttl, ..terms() };
        let hold = engine.acquire(&name(), Mode::Exclusive, &lasting, Wait::No, None).await.unwrap().unwrap();
        let ticket = hold.into_ticket().unwrap();
        assert_eq!((counted.operations(), engine.claims_alive()), (1, 0));
        engine.env().sleep(TTL / 2).await;
        assert!(try_lock(&engine).await.unwrap().is_none());
        assert_eq!(engine.release_ticket(&ticket).await.unwrap(), Release::Released);
        let error = lock(&engine).await.into_ticket().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    });
    assert!(bench.is_clean(1));
}
