//! The deadline, the renewal and the loss of a lease.

use super::*;

#[test]
fn promise_2_the_deadline_counts_from_before_the_request_was_sent() {
    let bench = bench(1);
    let slow = bench.chaotic(|_, verb| match verb {
        Verb::Claim => Fault::DelayReply(Duration::from_secs(4)),
        _ => Fault::None,
    });
    let hold = bench.world.block_on(lock(&slow));
    assert_eq!(hold.remaining(), TTL - Duration::from_secs(4));
}

#[test]
fn promise_2_a_renewal_counts_from_before_it_was_sent() {
    let bench = bench(1);
    let late = Duration::from_secs(2);
    let slow =
        bench.chaotic(move |_, verb| if verb == Verb::Renew { Fault::DelayReply(late) } else { Fault::None });
    let hold = bench.world.block_on(lock(&slow));
    let before = hold.deadline();
    bench.world.advance(TTL / 3 + late + Duration::from_millis(1));
    let gained = hold.deadline().since(before);
    assert!(gained > Duration::ZERO && gained <= TTL / 3, "{gained:?}");
}

#[test]
fn promise_2_a_confirmation_counts_from_before_it_was_sent() {
    let bench = bench(1);
    let late = Duration::from_secs(2);
    let slow =
        bench.chaotic(move |_, verb| if verb == Verb::Renew { Fault::DelayReply(late) } else { Fault::None });
    let once = LockOptions { renew: false, ..terms() };
    bench.world.block_on(async {
        let hold = slow.acquire(&name(), Mode::Exclusive, &once, Wait::No, None).await.unwrap().unwrap();
        slow.env().sleep(late).await;
        hold.confirm().await.unwrap();
        assert_eq!(hold.remaining(), TTL - late);
    });
}

#[test]
fn promise_2_a_grant_whose_reply_comes_after_the_deadline_is_no_lock() {
    let bench = bench(1);
    let slow = bench.chaotic(|_, verb| match verb {
        Verb::Claim => Fault::DelayReply(TTL),
        _ => Fault::None,
    });
    let patient = LockOptions { retry_timeout: TTL * 10, ..terms() };
    let answer = bench.world.block_on(slow.acquire(&name(), Mode::Exclusive, &patient, Wait::Forever, None));
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(bench.is_clean(1));
}

#[test]
fn promise_3_loss_is_signalled_no_later_than_the_deadline_without_the_store() {
    let bench = bench(1);
    let cut = bench.chaotic(|_, verb| if verb == Verb::Renew { Fault::LoseRequest } else { Fault::None });
    let env = bench.world.env();
    bench.world.block_on(async {
        let hold = lock(&cut).await;
        let begin = env.now();
        assert_eq!(hold.lease().changed_from(Status::Safe).await, Status::Jeopardy);
        assert!(env.now().since(begin) < TTL / 2);
        let lost = hold.lost().await;
        assert_eq!(lost, Lost { reason: LostReason::Expired, certain: false });
        let after = env.now().since(begin);
        assert!(after <= TTL && after > TTL - Duration::from_millis(150), "{after:?}");
    });
}

#[test]
fn promise_3_a_hung_renewal_does_not_keep_the_others_from_being_tried() {
    let bench = bench(1);
    let engine = bench.chaotic(|number, verb| match verb {
        Verb::Renew if number < 3 => Fault::Hang,
        _ => Fault::None,
    });
    let hold = bench.world.block_on(lock(&engine));
    bench.world.advance(TTL * 5);
    assert_eq!(hold.status(), Status::Safe);
}

#[test]
fn a_lease_is_renewed_as_long_as_it_is_held_and_no_longer() {
    let bench = bench(1);
    let engine = bench.engine();
    let hold = bench.world.block_on(lock(&engine));
    bench.world.advance(TTL * 100);
    assert_eq!(hold.status(), Status::Safe);
    assert!(hold.remaining() > TTL / 2);
    drop(hold);
    assert!(bench.is_clean(1));
}

#[test]
fn a_lease_without_renewal_ends_at_its_deadline() {
    let bench = bench(1);
    let engine = bench.engine();
    let once = LockOptions { renew: false, ..terms() };
    let hold = bench
        .world
        .block_on(engine.acquire(&name(), Mode::Exclusive, &once, Wait::No, None))
        .unwrap()
        .unwrap();
    assert_eq!(bench.world.block_on(hold.lost()).reason, LostReason::Expired);
}

#[test]
fn max_hold_ends_the_lease_of_a_holder_that_hangs() {
    let bench = bench(1);
    let engine = bench.engine();
    let bounded = LockOptions { max_hold: Some(TTL * 3), ..terms() };
    let begin = bench.world.env().now();
    let hold = bench
        .world
        .block_on(engine.acquire(&name(), Mode::Exclusive, &bounded, Wait::No, None))
        .unwrap()
        .unwrap();
    assert_eq!(bench.world.block_on(hold.lost()).reason, LostReason::MaxHold);
    assert!(bench.world.env().now().since(begin) <= TTL * 3);
}

#[test]
fn a_forced_release_is_noticed_at_the_next_renewal_and_the_counter_is_raised() {
    let bench = bench(1);
    let (holder, operator) = (bench.engine(), bench.engine());
    bench.world.block_on(async {
        let hold = lock(&holder).await;
        let before = hold.fencing_token().unwrap();
        assert_eq!(operator.force_release(&name()).await.unwrap().len(), 1);
        assert_eq!(hold.lost().await, Lost { reason: LostReason::ForceReleased, certain: true });
        assert_eq!(hold.release().await.unwrap(), Release::NotHeld);
        let next = lock(&operator).await;
        assert!(
            next.fencing_token().unwrap() > FencingToken::after(before.get(), 0).unwrap(),
            "a gap shows the force"
        );
    });
}

#[test]
fn a_thousand_locks_renew_in_few_calls() {
    let bench = bench(1);
    let env = bench.world.env();
    let counted = Arc::new(Chaos::new(Arc::new(bench.memory.client()), env.clone(), |_, _| Fault::None));
    let engine = Engine::new(counted.clone(), env);
    let terms = terms();
    let holds: Vec<Hold> = (0..1000)
        .map(|index| {
            let name = LockName::new(format!("lock {index}")).unwrap();
            let hold = engine.acquire(&name, Mode::Exclusive, &terms, Wait::No, None);
            bench.world.block_on(hold).unwrap().unwrap()
        })
        .collect();
    let before = counted.operations();
    bench.world.advance(TTL / 2);
    assert!(counted.operations() - before <= 10, "{}", counted.operations() - before);
    assert!(holds.iter().all(|hold| hold.status() == Status::Safe));
}

#[test]
fn renewals_that_are_answered_late_are_sent_early_enough() {
    let bench = bench(1);
    let late = Fault::DelayReply(TTL / 8);
    let slow = bench.chaotic(move |_, verb| if verb == Verb::Renew { late } else { Fault::None });
    let hold = bench.world.block_on(lock(&slow));
    let end = bench.world.env().now() + TTL * 10;
    let warned = slow.env().until(end, hold.lease().changed_from(Status::Safe));
    assert_eq!(bench.world.block_on(warned), None, "each renewal is sent a third of the ttl after the last");
}

#[test]
fn a_grant_that_comes_after_the_client_was_closed_is_lost() {
    let bench = bench(1);
    let late = Fault::DelayReply(Duration::from_secs(2));
    let slow = bench.chaotic(move |_, verb| if verb == Verb::Claim { late } else { Fault::None });
    let closing = slow.clone();
    slow.env().spawn(async move {
        closing.env().sleep(Duration::from_secs(1)).await;
        let _ = closing.close(Duration::ZERO).await;
    });
    let hold = bench.world.block_on(lock(&slow));
    assert_eq!(hold.check().unwrap_err().reason, LostReason::Closed);
}

/// A task may have a clone of the lease and go on after the guard has ended: no later than the store is asked to free the lock, it is
/// told so.
#[test]
fn a_clone_of_a_lease_ends_before_the_lock_is_free() {
    type End = fn(&Bench, Hold);
    let ends: [(&str, End); 3] = [
        ("released", |bench, hold| {
            assert_eq!(bench.world.block_on(hold.release()).unwrap(), Release::Released)
        }),
        ("dropped", |_, hold| drop(hold)),
        ("detached", |bench, hold| drop(bench.world.block_on(hold.detach(TTL)).unwrap())),
    ];
    for (end, end_it) in ends {
        let bench = bench(1);
        let (left, seen) = (
            Arc::new(std::sync::OnceLock::<crate::Lease>::new()),
            Arc::new(std::sync::Mutex::new(Vec::new())),
        );
        let (lease, releases) = (left.clone(), seen.clone());
        let engine = bench.chaotic(move |_, verb| {
            if verb == Verb::Release {
                releases.lock().unwrap().push(lease.get().unwrap().check());
            }
            Fault::None
        });
        let hold = bench.world.block_on(lock(&engine));
        left.set(hold.lease().clone()).unwrap();
        assert!(hold.check().is_ok());
        end_it(&bench, hold);
        bench.world.settle();
        let over = Err(Lost { reason: LostReason::Released, certain: true });
        assert_eq!(left.get().unwrap().check(), over, "{end}");
        assert!(seen.lock().unwrap().iter().all(|check| *check == over), "{end}");
        assert_eq!(seen.lock().unwrap().is_empty(), end == "detached", "{end}");
    }
}
