//! A machine that is suspended with a lock in hand.

use super::*;

/// C12. An hour passes in which nothing runs, as in suspend: the first instruction afterwards finds the lease over, not one
/// step of the work is executed, and the next holder has the higher token. A clock that does not count suspend, as
/// `Instant` does not, says that no time has passed.
#[test]
fn c12_a_machine_that_was_suspended_executes_no_step_of_its_work() {
    const ASLEEP: Duration = Duration::from_secs(3_600);
    let bench = bench(1);
    let env = bench.world.env();
    let (asleep, other) = (bench.engine(), bench.engine());
    let hold = bench.world.block_on(lock(&asleep));
    let steps = std::cell::Cell::new(0_u32);
    let mut work = pin!(hold.lease().run(std::future::poll_fn::<(), _>(|_| {
        steps.set(steps.get() + 1);
        Poll::Pending
    })));
    let mut context = Context::from_waker(Waker::noop());
    assert!(work.as_mut().poll(&mut context).is_pending() && steps.get() == 1);
    let (before, deadline) = (env.now(), hold.lease().deadline());

    bench.world.pause(ASLEEP);
    assert!(hold.lease().check().is_err() && hold.lease().remaining().is_zero());
    assert!(work.as_mut().poll(&mut context).is_ready(), "told, by its own look at the clock");
    assert_eq!(steps.get(), 1, "no step after waking");
    let next = bench.world.block_on(lock(&other));
    assert!(next.lease().fencing_token() > hold.lease().fencing_token());
    // The control: what a clock shows that stands still meanwhile.
    let stood_still = env.now().since(before).saturating_sub(ASLEEP);
    assert!(before + stood_still < deadline, "the control: valid, beside another holder");
}
