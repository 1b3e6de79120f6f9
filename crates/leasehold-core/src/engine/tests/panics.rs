//! A store that panics.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// A15. The renewal panics: its lease is reported lost no later than its deadline, and the watchdog goes on to renew others.
/// A renewal task that panics unnoticed must not keep a hold for ever.
#[test]
fn a15_a_renewal_that_panics_ends_in_a_loss_and_others_are_renewed() {
    let env = Env::system().unwrap();
    let armed = Arc::new(AtomicBool::new(true));
    let plan = {
        let armed = armed.clone();
        move |_, verb| {
            assert!(
                verb != Verb::Renew || !armed.swap(false, Ordering::SeqCst),
                "on purpose, while renewing"
            );
            Fault::None
        }
    };
    let memory = Memory::new(env.clone());
    let engine = Engine::new(Arc::new(Chaos::new(Arc::new(memory.client()), env.clone(), plan)), env.clone());
    let terms = LockOptions { ttl: Duration::from_secs(2), ..LockOptions::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let take = async |text: &str| {
            let text = LockName::new(text).unwrap();
            let hold = engine.acquire(&text, Mode::Exclusive, &terms, Wait::No, None).await;
            hold.unwrap().expect("a free lock")
        };
        let doomed = take("doomed").await;
        let deadline = doomed.lease().deadline();
        let lost = env.until(deadline + Duration::from_secs(5), doomed.lease().lost()).await;
        assert!(
            lost.is_some() && !armed.load(Ordering::SeqCst),
            "the loss is told though the renewal panicked"
        );
        assert!(doomed.lease().deadline() <= deadline && doomed.lease().check().is_err());
        let calm = take("calm").await;
        let first = calm.lease().deadline();
        while calm.lease().deadline() < first + terms.ttl / 2 {
            calm.lease().check().expect("the watchdog lives, and renews");
            env.sleep(Duration::from_millis(5)).await;
        }
    });
    // The control: a flag, and a thread that renews.
    let held = Arc::new(AtomicBool::new(true));
    let renewing = std::thread::Builder::new().spawn({
        let held = held.clone();
        move || {
            assert!(!held.load(Ordering::SeqCst), "on purpose, while renewing naively");
            held.store(false, Ordering::SeqCst);
        }
    });
    assert!(renewing.unwrap().join().is_err());
    assert!(held.load(Ordering::SeqCst), "the control: nobody is told");
}
