//! Dropped futures and guards, lost messages, and the end of a client.

use super::*;

#[test]
fn promise_5_whatever_is_lost_at_whatever_operation_nothing_remains_and_nobody_holds_twice() {
    for fault in [Fault::LoseRequest, Fault::LoseReply, Fault::Hang] {
        for at in 0.. {
            let bench = bench(at);
            let env = bench.world.env();
            let chaos = Arc::new(Chaos::at(Arc::new(bench.memory.client()), env.clone(), at, fault));
            let (faulty, other) = (Engine::new(chaos.clone(), env), bench.engine());
            let holders = std::sync::atomic::AtomicU32::new(0);
            let section = async |engine: &Engine| {
                let Ok(hold) = engine.acquire(&name(), Mode::Exclusive, &terms(), Wait::Forever, None).await
                else {
                    return;
                };
                let work = async {
                    assert_eq!(
                        holders.fetch_add(1, std::sync::atomic::Ordering::AcqRel),
                        0,
                        "{fault:?} at {at}"
                    );
                    engine.env().sleep(TTL).await;
                    holders.fetch_sub(1, std::sync::atomic::Ordering::AcqRel);
                };
                let hold = hold.unwrap();
                let _ = hold.run(work).await;
                let _ = hold.release().await;
            };
            bench.world.block_on(async {
                let both = async { tokio::join!(section(&faulty), section(&other)) };
                both.await;
            });
            bench.world.advance(TTL * 2);
            assert!(bench.is_clean(2), "{fault:?} at {at}: {:?}", bench.snapshot());
            if chaos.operations() <= at {
                break;
            }
        }
    }
}

#[test]
fn promise_5_an_acquisition_dropped_after_any_number_of_polls_leaves_nothing() {
    for contended in [false, true] {
        for polls in 0..40 {
            let bench = bench(polls);
            let delay = |_, _| Fault::Delay(Duration::from_millis(7));
            let (slow, other) = (bench.chaotic(delay), bench.engine());
            let hold = contended.then(|| bench.world.block_on(lock(&other)));
            {
                let (name, terms) = (name(), terms());
                let mut acquire = pin!(slow.acquire(&name, Mode::Exclusive, &terms, Wait::Forever, None));
                for _ in 0..polls {
                    let ready = acquire.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                    if let Poll::Ready(answer) = ready {
                        drop(answer);
                        break;
                    }
                    bench.world.advance(Duration::from_millis(3));
                }
            }
            drop(hold);
            bench.world.advance(Duration::from_secs(1));
            assert!(bench.is_clean(2), "{polls} polls: {:?}", bench.snapshot());
            assert_eq!(slow.claims_alive(), 0);
        }
    }
}

#[test]
fn promise_5_a_release_dropped_after_any_number_of_polls_is_carried_out() {
    for polls in 0..10 {
        let bench = bench(polls);
        let slow = bench.chaotic(|_, _| Fault::Delay(Duration::from_millis(7)));
        let hold = bench.world.block_on(lock(&slow));
        {
            let mut release = pin!(hold.release());
            for _ in 0..polls {
                if release.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                    break;
                }
                bench.world.advance(Duration::from_millis(3));
            }
        }
        bench.world.advance(Duration::from_secs(1));
        assert!(bench.is_clean(1), "{polls} polls");
    }
}

#[test]
fn promise_8_a_dropped_hold_is_released_and_close_waits_for_it() {
    let bench = bench(1);
    let slow = bench.chaotic(|_, verb| match verb {
        Verb::Release => Fault::Delay(Duration::from_millis(500)),
        _ => Fault::None,
    });
    bench.world.block_on(async {
        drop(lock(&slow).await);
        assert_eq!(bench.memory.inspect(&name()).await.unwrap().holders.len(), 1);
        slow.close(Duration::from_secs(1)).await.unwrap();
        assert!(bench.memory.inspect(&name()).await.unwrap().holders.is_empty());
        assert_eq!(try_lock(&slow).await.unwrap_err().kind(), ErrorKind::Closed);
    });
    drop(slow);
    assert!(bench.is_clean(0));
}

#[test]
fn promise_8_close_ends_the_leases_that_are_still_held() {
    let bench = bench(1);
    let engine = bench.engine();
    let hold = bench.world.block_on(lock(&engine));
    bench.world.block_on(engine.close(Duration::from_secs(1))).unwrap();
    assert_eq!(hold.check().unwrap_err().reason, LostReason::Closed);
    assert!(bench.snapshot().holders.is_empty());
    drop(hold);
}
