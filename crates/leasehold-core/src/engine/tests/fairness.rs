//! A lock in demand: nobody is overtaken without end.

use super::*;
use crate::{Claim, Moment, Standing, engine::fairness::*};

/// From a request to its arrival.
const STEP: Duration = Duration::from_micros(50);
/// How long each holder holds.
const TURN: Duration = Duration::from_millis(1);
/// How long it takes to call a client starved.
const TURNS_MAX: usize = 2000;

impl Bench {
    /// A client that is further away than the crowd.
    fn far(&self) -> Arc<dyn Store> {
        Arc::new(Chaos::new(Arc::new(self.memory.client()), self.world.env(), |_, _| Fault::Delay(STEP)))
    }

    fn barging(&self) -> Claim {
        let claim = Claim::new(name(), ClaimId::mint(&self.world.env()), Duration::from_secs(3600));
        Claim { queueing: Queueing::Barging, ..claim }
    }

    /// Holds the lock again and again, each time for a turn; each holder has a successor that asks in the instant of the
    /// release. Ends when that is refused, and answers how many times it was granted.
    async fn crowd(&self) -> usize {
        let mut holder = self.barging();
        assert!(matches!(self.memory.claim(&holder).await, Ok(Standing::Granted(_))));
        for turn in 0..TURNS_MAX {
            let next = self.barging();
            assert!(matches!(self.memory.claim(&next).await, Ok(Standing::Waiting(_))));
            self.world.env().sleep(TURN).await;
            self.memory.release(&holder).await.unwrap();
            if !matches!(self.memory.claim(&next).await, Ok(Standing::Granted(_))) {
                self.memory.release(&next).await.unwrap();
                return turn;
            }
            holder = next;
        }
        self.memory.release(&holder).await.unwrap();
        TURNS_MAX
    }

    /// The client of old, which lets itself be overtaken for ever.
    async fn naive(&self) {
        let (store, claim) = (self.far(), self.barging());
        let mut wake = store.watch(&name(), Interest::Turn(claim.id)).await.unwrap();
        while !matches!(store.claim(&claim).await, Ok(Standing::Granted(_))) {
            wake.wait().await.unwrap();
        }
        store.release(&claim).await.unwrap();
    }
}

#[test]
fn a_waiter_is_overtaken_for_a_moment_and_the_naive_one_for_ever() {
    let bench = bench(1);
    let engine = Engine::new(bench.far(), bench.world.env());
    let turns_max = (OVERTAKEN_MAX.as_micros() / TURN.as_micros()) as usize + 2;
    for _ in 0..5 {
        let (turns, hold) = bench.world.block_on(async { tokio::join!(bench.crowd(), lock(&engine)) });
        assert!(turns <= turns_max, "overtaken {turns} times");
        bench.world.block_on(hold.release()).unwrap();
    }
    let (turns, ()) = bench.world.block_on(async { tokio::join!(bench.crowd(), bench.naive()) });
    assert_eq!(turns, TURNS_MAX, "the control");
}

/// Tasks whose own waits are short do not begin anew each time: the client waits.
#[test]
fn short_waits_of_several_tasks_add_up() {
    let bench = bench(1);
    let engine = Engine::new(bench.far(), bench.world.env());
    let (env, name, options) = (bench.world.env(), name(), terms());
    let impatient = async |after| {
        env.sleep(after).await;
        loop {
            let wait = Wait::For(OVERTAKEN_MAX / 3);
            let answer = engine.acquire(&name, Mode::Exclusive, &options, wait, None).await.unwrap();
            if let Some(hold) = answer {
                return hold.release().await.unwrap();
            }
        }
    };
    let both = async { tokio::join!(impatient(TURN), impatient(OVERTAKEN_MAX / 6)) };
    let (turns, _) = bench.world.block_on(async { tokio::join!(bench.crowd(), both) });
    assert!(turns < TURNS_MAX, "{turns}");
}

fn at(ms: u64) -> Moment {
    Moment::from_nanos(ms * 1_000_000)
}

/// Takes the lock from `from` on, a millisecond each time, until it has to stand back; answers when that is.
fn streak(streaks: &Streaks, claim: &Claim, from: u64) -> (u64, Duration) {
    for ms in from..from + 1000 {
        if let Some(pause) = streaks.stand_back(&claim.name, at(ms)) {
            return (ms - from, pause);
        }
        streaks.granted(claim, at(ms), at(ms));
        streaks.released(claim, at(ms + 1));
    }
    panic!("it never stands back");
}

#[test]
fn a_client_stands_back_sooner_when_others_come() {
    let (bench, streaks) = (bench(1), Streaks::default());
    let claim = bench.barging();
    let (took, pause) = streak(&streaks, &claim, 0);
    assert_eq!((took, pause), (25, Duration::from_millis(3)));
    assert!(streaks.stand_back(&claim.name, at(took) + pause).is_none(), "it has");
    // Nobody came.
    let mut lengths = vec![took];
    let mut now = took + 3;
    for _ in 0..4 {
        let (took, _) = streak(&streaks, &claim, now);
        lengths.push(took);
        now += took + 3;
        assert!(streaks.stand_back(&claim.name, at(now)).is_none());
    }
    assert_eq!(lengths, [25, 50, 100, 200, 200]);
    // Somebody came.
    let other = Contender {
        tag: Contender::tag_of(claim.id).wrapping_add(1),
        stance: crate::Stance::Holding,
        mode: None,
        expires_in: None,
        age: None,
        fence: None,
        note: None,
    };
    let busy = crate::Busy { holder: Some(other), ahead: None, recheck_in: TURN };
    streaks.refused(&claim.name, &busy);
    assert_eq!(streak(&streaks, &claim, now + 10).0, 25);
}

#[test]
fn a_lock_that_is_left_alone_in_between_is_no_streak() {
    let (bench, streaks) = (bench(1), Streaks::default());
    let claim = bench.barging();
    for ms in (0..2000).step_by(4) {
        assert!(streaks.stand_back(&claim.name, at(ms)).is_none(), "at {ms}");
        streaks.granted(&claim, at(ms), at(ms));
        streaks.released(&claim, at(ms + 1));
    }
    // While a task of the same client holds it for long, too.
    streaks.granted(&claim, at(2000), at(2000));
    assert!(streaks.stand_back(&claim.name, at(2010)).is_none());
    assert!(streaks.stand_back(&claim.name, at(2100)).is_some());
}
