//! Changes of a hold of which nobody knows whether they were made.

use super::*;

fn becoming_shared(fault: Fault) -> (Mode, Mode, bool) {
    let bench = bench(1);
    let engine = bench.chaotic(move |number, _| if number == 1 { fault } else { Fault::None });
    let reader = bench.engine();
    bench.world.block_on(async {
        let mut hold = lock(&engine).await;
        hold.amend(|claim| claim.mode = Mode::Shared).await.unwrap_err();
        let doubtful = hold.mode();
        let other = reader.acquire(&name(), Mode::Shared, &terms(), Wait::No, None).await.unwrap();
        // Made again it is certain.
        hold.amend(|claim| claim.mode = Mode::Shared).await.unwrap();
        (doubtful, hold.mode(), other.is_some())
    })
}

#[test]
fn a_downgrade_that_may_have_been_made_is_not_believed_away() {
    // It was made, and another reader is there: no lease may say that it is alone.
    assert_eq!(becoming_shared(Fault::LoseReply), (Mode::Shared, Mode::Shared, true));
    // It was not made, which nobody can tell.
    assert_eq!(becoming_shared(Fault::LoseRequest), (Mode::Shared, Mode::Shared, false));
}

#[test]
fn a_change_that_is_refused_leaves_the_mode_as_it_was() {
    let bench = bench(1);
    let (engine, other) = (bench.engine(), bench.engine());
    bench.world.block_on(async {
        let shared = |engine: Engine| async move {
            engine.acquire(&name(), Mode::Shared, &terms(), Wait::No, None).await.unwrap().unwrap()
        };
        let (mut hold, _other) = (shared(engine).await, shared(other).await);
        let error = hold.amend(|claim| claim.mode = Mode::Exclusive).await.unwrap_err();
        assert_eq!((error.kind(), hold.mode()), (ErrorKind::WouldDeadlock, Mode::Shared));
    });
}
