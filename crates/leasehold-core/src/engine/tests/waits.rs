//! The end of a wait: the reason that is answered, the time that it takes, and the patience with a store that fails.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::*;

const WAIT: Duration = Duration::from_millis(50);

async fn wait_for(engine: &Engine, wait: Duration) -> Result<Option<Hold>> {
    engine.acquire(&name(), Mode::Exclusive, &terms(), Wait::For(wait), None).await
}

#[test]
fn a_store_that_fails_for_the_whole_wait_is_not_busy() {
    for fault in
        [Fault::LoseRequest, Fault::LoseReply, Fault::Hang, Fault::Delay(TTL), Fault::DelayReply(TTL)]
    {
        let bench = bench(1);
        let (away, other) = (bench.chaotic(move |_, _| fault), bench.engine());
        let env = bench.world.env();
        bench.world.block_on(async {
            let hold = lock(&other).await;
            let begin = env.now();
            let error = wait_for(&away, WAIT).await.unwrap_err();
            assert!(error.is_transient(), "{fault:?}: {error}");
            let took = env.now().since(begin);
            // One answer that is due, and the release of what may have been granted.
            assert!(took <= WAIT + Duration::from_millis(200), "{fault:?}: {took:?}");
            // The control: a client that bounds its wait from outside calls it busy.
            assert!(env.until(env.now() + WAIT, lock(&away)).await.is_none(), "{fault:?}");
            drop(hold);
        });
        bench.world.advance(TTL * 4);
        assert!(bench.is_clean(2), "{fault:?}: {:?}", bench.snapshot());
    }
}

#[test]
fn a_store_that_said_taken_and_fails_later_is_busy() {
    let bench = bench(1);
    let fails = bench.chaotic(|number, _| if number < 1 { Fault::None } else { Fault::Hang });
    let other = bench.engine();
    bench.world.block_on(async {
        let _hold = lock(&other).await;
        assert!(wait_for(&fails, WAIT).await.unwrap().is_none());
    });
}

#[test]
fn tasks_behind_in_the_local_queue_answer_what_the_first_has_seen() {
    let bench = bench(1);
    let (free, cut) = (bench.engine(), Arc::new(AtomicU64::new(0)));
    let plan = cut.clone();
    let engine = bench.chaotic(move |_, _| match plan.load(Ordering::Acquire) {
        0 => Fault::None,
        _ => Fault::LoseRequest,
    });
    bench.world.block_on(async {
        let hold = lock(&free).await;
        let answers = async || tokio::join!(wait_for(&engine, WAIT), wait_for(&engine, WAIT));
        let (one, two) = answers().await;
        assert!(one.unwrap().is_none() && two.unwrap().is_none());
        cut.store(1, Ordering::Release);
        let (one, two) = answers().await;
        assert_eq!(one.unwrap_err().kind(), ErrorKind::Unreachable);
        assert_eq!(two.unwrap_err().kind(), ErrorKind::Unreachable);
        drop(hold);
    });
}

#[test]
fn patience_begins_anew_after_each_answer() {
    let bench = bench(1);
    let (env, clock) = (bench.world.env(), bench.world.env());
    // Two failures, further apart than the retry timeout.
    let moments = [env.now(), env.now() + TTL * 4];
    let failures = AtomicUsize::new(0);
    let waiter = bench.chaotic(move |_, verb| {
        let due = moments.get(failures.load(Ordering::Acquire));
        if verb != Verb::Claim || due.is_none_or(|moment| clock.now() < *moment) {
            return Fault::None;
        }
        failures.fetch_add(1, Ordering::AcqRel);
        Fault::LoseRequest
    });
    let holder = bench.engine();
    bench.world.block_on(async {
        let hold = lock(&holder).await;
        let release = async {
            env.sleep(TTL * 5).await;
            hold.release().await.unwrap();
        };
        let (granted, ()) = tokio::join!(lock(&waiter), release);
        granted.release().await.unwrap();
    });
}

#[test]
fn an_answer_does_not_end_the_doubt_about_a_claim_before_it() {
    let bench = bench(1);
    let releases = Arc::new(AtomicUsize::new(0));
    let counted = releases.clone();
    let doubtful = bench.chaotic(move |number, verb| match verb {
        Verb::Claim if number == 0 => Fault::LoseReply,
        Verb::Release => {
            counted.fetch_add(1, Ordering::AcqRel);
            Fault::None
        }
        _ => Fault::None,
    });
    let other = bench.engine();
    bench.world.block_on(async {
        let _hold = lock(&other).await;
        assert!(try_lock(&doubtful).await.unwrap().is_none());
    });
    assert_eq!(releases.load(Ordering::Acquire), 1, "the first claim may still arrive");
}
