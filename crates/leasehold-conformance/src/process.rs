//! Promise: a process that is killed or paused harms nobody: its locks are freed, and its late verbs touch nothing.
//!
//! The cases need a second process on the same backend, a *taker*. A store's test program is its own taker: when
//! [`TAKER`] is set it calls [`taker`] and does what the cases tell it over its standard input.
//!
//! ```no_run
//! # use leasehold_core::{Env, Result, Store, memory::Memory};
//! # use std::{process::ExitCode, sync::Arc};
//! # async fn connect(url: String) -> Result<Arc<dyn Store>> { Ok(Arc::new(Memory::new(Env::system()?))) }
//! use leasehold_conformance::{Fixture, process};
//!
//! fn main() -> ExitCode {
//!     let env = Env::system().expect("this machine can start a thread");
//!     if let Ok(url) = std::env::var(process::TAKER) {
//!         return process::taker(&env, connect(url));
//!     }
//!     let url = "redis://127.0.0.1:6379".to_owned();
//!     let fixture = Fixture::new(env, move || connect(url.clone()))
//!         .taker(|| process::this_program("redis://127.0.0.1:6379"));
//!     leasehold_conformance::main(vec![("redis", fixture)])
//! }
//! ```

mod child;
mod demand;
mod naive;
mod taker;

use std::process::Command;

use crate::prelude::*;
use child::Child;
use demand::Windows;
use naive::Naive;

pub use taker::taker;

/// The environment variable that makes a test program a taker; its value is for the author: the backend's address.
pub const TAKER: &str = "LEASEHOLD_CONFORMANCE_TAKER";

/// This test program as a taker on `address`.
///
/// # Panics
/// When the operating system does not say where this program is.
pub fn this_program(address: &str) -> Command {
    let program = std::env::current_exe().expect("the operating system knows the running program's file");
    let mut command = Command::new(program);
    command.env(TAKER, address);
    command
}

cases![
    a_killed_holder_is_freed,
    a_killed_holder_keeps_the_lock_shut_for_its_delay[LOCK_DELAY],
    a_detached_hold_outlives_a_killed_process[DETACH],
    a_paused_holder_keeps_its_time_and_no_more,
    a_holder_that_renews_until_it_is_paused_is_freed,
    a_resumed_holder_touches_nobody,
    a_killed_waiter_is_no_obstacle[FIFO],
    a_killed_head_of_the_queue_is_no_obstacle[FIFO],
    no_increment_of_several_processes_is_lost,
    a_process_killed_at_work_leaves_the_lock_usable,
    two_processes_share_a_lock_in_demand[SEEN_OR_WOKEN],
];

/// kill -9: freed at once where the store sees a process end, by the end of the time to live elsewhere.
pub async fn a_killed_holder_is_freed(test: &Test, store: Client) -> CaseResult {
    let mut taker = Child::start(test)?;
    let claim = test.mortal(&test.name());
    taker.expect(test, "granted", &Child::claim(&claim)).await?;
    taker.kill()?;
    let successor = test.claim(&claim.name);
    test.wins(&store, &successor, test.freed_within(&claim), "its holder was killed").await.map(drop)
}

/// kill -9 with a lock-delay: the next enters no earlier than the delay after the death. The controls are two other locks
/// of the same process: what was released before is free at once, and what has no delay is free earlier, unless the machine
/// lets this process stand for the whole delay: then it is tried again.
pub async fn a_killed_holder_keeps_the_lock_shut_for_its_delay(
    test: &Test,
    stores: [Client; 2],
) -> CaseResult {
    let mut entered = Vec::new();
    while entered.len() < 4 {
        let (late, early) = killed_with_delay(test, &stores).await?;
        if early < late {
            return Ok(());
        }
        entered.push((late, early));
    }
    ensure(false, "earlier without a delay than with it", entered)
}

/// The times after the death of a holder at which others enter, a lock with a delay and one without.
async fn killed_with_delay(
    test: &Test,
    [one, two]: &[Client; 2],
) -> std::result::Result<(Duration, Duration), Failure> {
    let mut taker = Child::start(test)?;
    let delay = test.ttl() * 3;
    let [delayed, released] = [(); 2].map(|()| Claim { lock_delay: delay, ..test.mortal(&test.name()) });
    let plain = test.mortal(&test.name());
    for claim in [&delayed, &released, &plain] {
        taker.expect(test, "granted", &Child::claim(claim)).await?;
    }
    taker.expect(test, "released", &Child::verb("release", &released)).await?;
    take(one, &test.claim(&released.name), "it was released").await?;
    // Read before the end: the kernel frees what shows the death before this process hears of it.
    let killed = test.now();
    taker.kill()?;
    let freed = test.freed_within(&delayed);
    let enters = |store: Client, name: LockName, within: Duration| async move {
        test.wins(&store, &test.claim(&name), within, "its holder was killed").await?;
        Ok::<Duration, Failure>(test.now().since(killed))
    };
    let (late, early) = tokio::join!(
        enters(one.clone(), delayed.name.clone(), freed + delay),
        enters(two.clone(), plain.name.clone(), freed)
    );
    let (late, early) = (late?, early?);
    let earliest = delay - test.capability.drift.of(delay);
    ensure(late >= earliest, format!("shut for {delay:?} after the death"), late)?;
    Ok((late, early))
}

/// kill -9 of the process that made a ticket: another process can still use the ticket.
pub async fn a_detached_hold_outlives_a_killed_process(test: &Test, store: Client) -> CaseResult {
    let mut taker = Child::start(test)?;
    let claim = Claim { binding: Binding::Ttl, ..test.claim(&test.name()) };
    taker.expect(test, "granted", &Child::verb("detach", &claim)).await?;
    taker.kill()?;
    kept_out(&store, &test.claim(&claim.name), "a detached hold outlives its process").await?;
    renewed(&store, &claim, "who has the ticket may renew").await?;
    let_go(&store, &claim).await
}

/// SIGSTOP: not freed before the time to live has passed, and then freed.
pub async fn a_paused_holder_keeps_its_time_and_no_more(test: &Test, store: Client) -> CaseResult {
    let mut taker = Child::start(test)?;
    let claim = test.brief(&test.name());
    let sent = test.now();
    taker.expect(test, "granted", &Child::claim(&claim)).await?;
    taker.pause()?;
    test.wins(&store, &test.claim(&claim.name), claim.ttl, "its holder is paused").await?;
    test.expect_not_early(sent, claim.ttl)
}

/// A holder that renews lives on while it runs, and not when it is paused.
pub async fn a_holder_that_renews_until_it_is_paused_is_freed(test: &Test, store: Client) -> CaseResult {
    let mut taker = Child::start(test)?;
    let claim = Claim { ttl: test.ttl() * 6, ..test.claim(&test.name()) };
    taker.expect(test, "granted", &Child::claim(&claim)).await?;
    taker.expect(test, "keeping", &Child::verb("keep", &claim)).await?;
    for _ in 0..3 {
        test.sleep(claim.ttl / 2).await;
        kept_out(&store, &test.claim(&claim.name), "its holder renews").await?;
    }
    // Halfway between two renewals: a process that is stopped inside of a store's transaction is another matter, which
    // a store that has transactions in the holder's process must test and document by itself.
    test.sleep(claim.ttl / 6).await;
    taker.pause()?;
    test.wins(&store, &test.claim(&claim.name), claim.ttl, "its holder is paused").await.map(drop)
}

/// SIGCONT after the lock has gone to another: the late renewal is `Gone`, the late release `NotHeld`, the successor
/// undisturbed. A naive client (create if absent or expired, delete without looking) in the same place deletes the
/// successor's lock, which proves that the pause was long enough.
pub async fn a_resumed_holder_touches_nobody(test: &Test, store: Client) -> CaseResult {
    let mut taker = Child::start(test)?;
    let claim = test.brief(&test.name());
    let naive = Naive::new(test);
    taker.expect(test, "granted", &Child::claim(&claim)).await?;
    taker.expect(test, "taken", &naive.take_line(claim.ttl)).await?;
    taker.pause()?;
    let successor = test.claim(&claim.name);
    test.wins(&store, &successor, claim.ttl, "its holder is paused").await?;
    test.outlive(claim.ttl).await;
    let naively = naive.take(&test.env, test.long());
    ensure(naively, "the naive lock has expired too", naively)?;
    taker.resume()?;
    taker.expect(test, "gone", &Child::verb("renew", &claim)).await?;
    taker.expect(test, "not-held", &Child::verb("release", &claim)).await?;
    taker.expect(test, "freed", &naive.free_line()).await?;
    renewed(&store, &successor, "the resumed holder's late verbs are not its own").await?;
    kept_out(&store, &test.claim(&claim.name), "the successor holds it").await?;
    let expected = "the naive client deletes its successor's lock: else this case proves nothing";
    ensure(naive.is_free(), expected, "it did not")
}

/// A holder, a taker that waits behind it, and a claim that waits behind both.
async fn queue_behind_taker(test: &Test, store: &Client) -> Result<(Child, [Claim; 3]), Failure> {
    let mut taker = Child::start(test)?;
    let holder = test.held(store).await?;
    let dies = Claim { queueing: Queueing::Fifo, ..test.mortal(&holder.name) };
    taker.expect(test, "waiting", &Child::claim(&dies)).await?;
    let next = test.fifo(&holder.name);
    queued(store, &next, "another holds it").await?;
    Ok((taker, [holder, dies, next]))
}

/// A process killed while it waits is skipped.
pub async fn a_killed_waiter_is_no_obstacle(test: &Test, store: Client) -> CaseResult {
    let (mut taker, [holder, dies, next]) = queue_behind_taker(test, &store).await?;
    taker.kill()?;
    let_go(&store, &holder).await?;
    test.wins(&store, &next, test.freed_within(&dies), "the waiter before it was killed").await.map(drop)
}

/// Killed after the lock was handed to it and before it could ask.
pub async fn a_killed_head_of_the_queue_is_no_obstacle(test: &Test, store: Client) -> CaseResult {
    let (mut taker, [holder, dies, next]) = queue_behind_taker(test, &store).await?;
    let_go(&store, &holder).await?;
    taker.kill()?;
    test.wins(&store, &next, test.freed_within(&dies), "the first in the queue was killed").await.map(drop)
}

const WORKERS: usize = 3;
const ROUNDS: usize = 15;

/// How often the processes work without the lock until they have met.
const NAIVE_TRIES: u32 = 20;

/// Several processes read a file, wait a little and write one more: under the lock no increment is lost. Without it,
/// the same processes lose some, which proves that they meet.
pub async fn no_increment_of_several_processes_is_lost(test: &Test, (): ()) -> CaseResult {
    let name = test.name();
    let mut takers = (0..WORKERS).map(|_| Child::start(test)).collect::<Result<Vec<_>, _>>()?;
    let with_lock = increments(test, &mut takers, "work", &name).await?;
    same(with_lock, WORKERS * ROUNDS, "the counter after all increments under the lock")?;
    // On a machine that is busy enough the processes come one after another, and lose nothing.
    for _ in 0..NAIVE_TRIES {
        let without = increments(test, &mut takers, "work-naively", &name).await?;
        // Mostly fewer; more when two writes of different length are torn.
        if without != WORKERS * ROUNDS {
            return Ok(());
        }
    }
    let expected = format!("not just {} increments without the lock", WORKERS * ROUNDS);
    ensure(false, expected, format!("just that, {NAIVE_TRIES} times: this case proves nothing"))
}

async fn increments(
    test: &Test,
    takers: &mut [Child],
    verb: &str,
    name: &LockName,
) -> Result<usize, Failure> {
    let file = Naive::new(test);
    for taker in takers.iter_mut() {
        let claim = test.claim(name);
        taker.send(&format!("{} {ROUNDS} {}", Child::verb(verb, &claim), file.path()))?;
    }
    for taker in takers.iter_mut() {
        let answer = taker.answer(test, test.slack() * 6).await?;
        same(answer.as_str(), "done", "the answer of a process at work")?;
    }
    Ok(file.number())
}

/// A process is killed somewhere in the middle of lock and unlock, again and again: the lock is usable each time.
pub async fn a_process_killed_at_work_leaves_the_lock_usable(test: &Test, store: Client) -> CaseResult {
    let name = test.name();
    for round in 0..5u32 {
        let mut taker = Child::start(test)?;
        let file = Naive::new(test);
        let claim = test.mortal(&name);
        taker.send(&format!("{} 100000 {}", Child::verb("work", &claim), file.path()))?;
        file.await_number(test, 1 + round as usize).await?;
        taker.kill()?;
        let mine = test.claim(&name);
        test.wins(&store, &mine, test.freed_within(&claim), "the process at work was killed").await?;
        let snapshot = store.inspect(&name).await?;
        let tags: Vec<_> = snapshot.holders.iter().map(|holder| holder.tag).collect();
        same(tags, vec![Contender::tag_of(mine.id)], "the tags of the holders")?;
        let_go(&store, &mine).await?;
    }
    Ok(())
}

/// Of the grants in a window, a process gets more than one in so many.
const SHARE_MIN: u64 = 20;
const WINDOWS: usize = 3;
/// The tries on a machine that is busy.
const TRIES_MAX: u32 = 6;
const WINDOW: Duration = Duration::from_millis(700);

/// Two processes of four tasks each take one lock again and again: each has its share in every window of time. A client that
/// tries without a place and sleeps, in the same time, has not. A try in which the machine let one of the processes stand says
/// nothing, and is repeated.
pub async fn two_processes_share_a_lock_in_demand(test: &Test, stores: [Client; 2]) -> CaseResult {
    let mut taker = Child::start(test)?;
    let mut grants = Default::default();
    for _ in 0..TRIES_MAX {
        grants = grants_in_demand(test, &mut taker, &stores).await?;
        if has_its_share(&grants, 0) && has_its_share(&grants, 1) && !has_its_share(&grants, 2) {
            break;
        }
    }
    let [mine, theirs, naive] = &grants;
    let found = format!("{mine:?}, {theirs:?}, and naively {naive:?} grants by window");
    let expected = format!("each process has a {SHARE_MIN}th of the grants in every window");
    ensure(has_its_share(&grants, 0) && has_its_share(&grants, 1), expected, &found)?;
    let proves = !has_its_share(&grants, 2);
    ensure(proves, "a client that polls has not: else this case proves nothing", found)
}

fn has_its_share(grants: &[Vec<u64>; 3], whose: usize) -> bool {
    let all = |at: usize| grants.iter().map(|grants| grants[at]).sum::<u64>();
    (0..WINDOWS).all(|at| grants[whose][at] * SHARE_MIN > all(at))
}

/// The grants by window of this process, of the other one, and of the client that polls.
async fn grants_in_demand(
    test: &Test,
    taker: &mut Child,
    [store, other]: &[Client; 2],
) -> Result<[Vec<u64>; 3], Failure> {
    let claim = test.claim(&test.name());
    let begin = test.now() + WINDOW;
    let [mine, naive] = [(); 2].map(|()| Windows::new(begin, WINDOW, WINDOWS));
    let demand = Child::verb("contend", &claim);
    taker.send(&format!("{demand} {} {} {WINDOWS}", begin.nanos(), WINDOW.as_millis()))?;
    let (answer, contended, polled) = tokio::join!(
        taker.answer(test, WINDOW * (WINDOWS as u32 + 1) + test.slack() * 2),
        demand::contend(&test.env, store.clone(), &claim.name, claim.ttl, &mine),
        demand::poll(&test.env, other, &claim.name, claim.ttl, &naive),
    );
    contended?;
    polled?;
    let answer = answer?;
    let theirs: Vec<u64> = answer.split(' ').filter_map(|word| word.parse().ok()).collect();
    same(theirs.len(), WINDOWS, &format!("the counts of the other process, which says `{answer}`"))?;
    Ok([mine.grants(), theirs, naive.grants()])
}
