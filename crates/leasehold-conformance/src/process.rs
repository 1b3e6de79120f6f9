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
mod naive;
mod taker;

use std::{process::Command, time::Duration};

use leasehold_core::{Binding, Claim, Contender, Liveness, LockName, Queueing};

use crate::{
    CaseResult, Client, Failure, TestContext,
    outcome::{ensure, kept_out, let_go, queued, same, take},
    renewal::renewed,
};
use child::Child;
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

crate::case::cases![
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
];

fn freed_within(context: &TestContext, ttl: Duration) -> Duration {
    if context.capability().liveness == Liveness::Process { Duration::ZERO } else { ttl }
}

/// A claim that ends in time to be waited for, or with the process where the store sees that.
fn mortal(context: &TestContext, name: &LockName) -> Claim {
    if context.capability().liveness == Liveness::Process { context.claim(name) } else { context.brief(name) }
}

/// kill -9: freed at once where the store sees a process end, by the end of the time to live elsewhere.
pub async fn a_killed_holder_is_freed(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let mut taker = Child::start(context)?;
    let claim = mortal(context, &context.name());
    taker.expect(context, "granted", &Child::claim(&claim)).await?;
    taker.kill()?;
    let successor = context.claim(&claim.name);
    context.expect_win(&store, &successor, freed_within(context, claim.ttl), "its holder was killed").await
}

/// kill -9 with a lock-delay: the next enters no earlier than the delay after the death. The controls are two other locks
/// of the same process: what was released before is free at once, and what has no delay is free earlier.
pub async fn a_killed_holder_keeps_the_lock_shut_for_its_delay(context: &TestContext) -> CaseResult {
    let [one, two] = context.clients().await?;
    let mut taker = Child::start(context)?;
    let delay = context.ttl() * 3;
    let [delayed, released] =
        [(); 2].map(|()| Claim { lock_delay: delay, ..mortal(context, &context.name()) });
    let plain = mortal(context, &context.name());
    for claim in [&delayed, &released, &plain] {
        taker.expect(context, "granted", &Child::claim(claim)).await?;
    }
    taker.expect(context, "released", &Child::verb("release", &released)).await?;
    take(&*one, &context.claim(&released.name), "it was released").await?;
    taker.kill()?;
    let killed = context.env().now();
    let freed = freed_within(context, delayed.ttl);
    let enters = |store: Client, name: LockName, within: Duration| async move {
        context.wins(&store, &context.claim(&name), within, "its holder was killed").await?;
        Ok::<Duration, Failure>(context.env().now().since(killed))
    };
    let (late, early) = tokio::join!(
        enters(one.clone(), delayed.name.clone(), freed + delay),
        enters(two, plain.name.clone(), freed)
    );
    let (late, early) = (late?, early?);
    let earliest = delay - context.capability().drift.of(delay);
    ensure(
        late >= earliest,
        format!("shut for {delay:?} after the death"),
        format!("entered after {late:?}"),
    )?;
    ensure(early < late, format!("earlier without a delay than {late:?}"), format!("entered after {early:?}"))
}

/// kill -9 of the process that made a ticket: another process can still use the ticket.
pub async fn a_detached_hold_outlives_a_killed_process(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let mut taker = Child::start(context)?;
    let claim = Claim { binding: Binding::Ttl, ..context.claim(&context.name()) };
    taker.expect(context, "granted", &Child::verb("detach", &claim)).await?;
    taker.kill()?;
    kept_out(&*store, &context.claim(&claim.name), "a detached hold outlives its process").await?;
    renewed(&store, &claim, "who has the ticket may renew").await?;
    let_go(&*store, &claim).await
}

/// SIGSTOP: not freed before the time to live has passed, and then freed.
pub async fn a_paused_holder_keeps_its_time_and_no_more(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let mut taker = Child::start(context)?;
    let claim = context.brief(&context.name());
    let sent = context.env().now();
    taker.expect(context, "granted", &Child::claim(&claim)).await?;
    taker.pause()?;
    context.wins(&store, &context.claim(&claim.name), claim.ttl, "its holder is paused").await?;
    let (end, earliest) = (context.env().now(), context.earliest_end(sent, claim.ttl));
    let found = format!("freed {:?} after the claim was sent", end.since(sent));
    ensure(end >= earliest, format!("a paused holder keeps its {:?}", claim.ttl), found)
}

/// A holder that renews lives on while it runs, and not when it is paused.
pub async fn a_holder_that_renews_until_it_is_paused_is_freed(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let mut taker = Child::start(context)?;
    let claim = Claim { ttl: context.ttl() * 4, ..context.claim(&context.name()) };
    taker.expect(context, "granted", &Child::claim(&claim)).await?;
    taker.expect(context, "keeping", &Child::verb("keep", &claim)).await?;
    for _ in 0..4 {
        context.env().sleep(claim.ttl / 2).await;
        kept_out(&*store, &context.claim(&claim.name), "its holder renews").await?;
    }
    // Halfway between two renewals: a process that is stopped inside of a store's transaction is another matter, which
    // a store that has transactions in the holder's process must test and document by itself.
    context.env().sleep(claim.ttl / 6).await;
    taker.pause()?;
    context.expect_win(&store, &context.claim(&claim.name), claim.ttl, "its holder is paused").await
}

/// SIGCONT after the lock has gone to another: the late renewal is `Gone`, the late release `NotHeld`, the successor
/// undisturbed. A naive client (create if absent or expired, delete without looking) in the same place deletes the
/// successor's lock, which proves that the pause was long enough.
pub async fn a_resumed_holder_touches_nobody(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let mut taker = Child::start(context)?;
    let claim = context.brief(&context.name());
    let naive = Naive::new(context);
    taker.expect(context, "granted", &Child::claim(&claim)).await?;
    taker.expect(context, "taken", &naive.take_line(claim.ttl)).await?;
    taker.pause()?;
    let successor = context.claim(&claim.name);
    context.wins(&store, &successor, claim.ttl, "its holder is paused").await?;
    context.outlive(claim.ttl).await;
    let naively = naive.take(context.env(), context.long());
    ensure(naively, "the naive lock has expired too", naively)?;
    taker.resume()?;
    taker.expect(context, "gone", &Child::verb("renew", &claim)).await?;
    taker.expect(context, "not-held", &Child::verb("release", &claim)).await?;
    taker.expect(context, "freed", &naive.free_line()).await?;
    renewed(&store, &successor, "the resumed holder's late verbs are not its own").await?;
    kept_out(&*store, &context.claim(&claim.name), "the successor holds it").await?;
    ensure(
        naive.is_free(),
        "the naive client deletes its successor's lock: else this case proves nothing",
        "it did not",
    )
}

async fn queue_behind_taker(context: &TestContext) -> Result<(Client, Child, Claim, Claim, Claim), Failure> {
    let store = context.client().await?;
    let mut taker = Child::start(context)?;
    let holder = context.held(&store).await?;
    let dies = Claim { queueing: Queueing::Fifo, ..mortal(context, &holder.name) };
    taker.expect(context, "waiting", &Child::claim(&dies)).await?;
    let next = Claim { queueing: Queueing::Fifo, ..context.claim(&holder.name) };
    queued(&*store, &next, "another holds it").await?;
    Ok((store, taker, holder, dies, next))
}

/// A process killed while it waits is skipped.
pub async fn a_killed_waiter_is_no_obstacle(context: &TestContext) -> CaseResult {
    let (store, mut taker, holder, dies, next) = queue_behind_taker(context).await?;
    taker.kill()?;
    let_go(&*store, &holder).await?;
    context
        .expect_win(&store, &next, freed_within(context, dies.ttl), "the waiter before it was killed")
        .await
}

/// Killed after the lock was handed to it and before it could ask.
pub async fn a_killed_head_of_the_queue_is_no_obstacle(context: &TestContext) -> CaseResult {
    let (store, mut taker, holder, dies, next) = queue_behind_taker(context).await?;
    let_go(&*store, &holder).await?;
    taker.kill()?;
    context
        .expect_win(&store, &next, freed_within(context, dies.ttl), "the first in the queue was killed")
        .await
}

const WORKERS: usize = 3;
const ROUNDS: usize = 15;

/// How often the processes work without the lock until they have met.
const NAIVE_TRIES: u32 = 20;

/// Several processes read a file, wait a little and write one more: under the lock no increment is lost. Without it,
/// the same processes lose some, which proves that they meet.
pub async fn no_increment_of_several_processes_is_lost(context: &TestContext) -> CaseResult {
    let name = context.name();
    let mut takers = Vec::new();
    for _ in 0..WORKERS {
        takers.push(Child::start(context)?);
    }
    let with_lock = increments(context, &mut takers, "work", &name).await?;
    same(with_lock, WORKERS * ROUNDS, "the counter after all increments under the lock")?;
    // On a machine that is busy enough the processes come one after another, and lose nothing.
    for _ in 0..NAIVE_TRIES {
        let without = increments(context, &mut takers, "work-naively", &name).await?;
        // Mostly fewer; more when two writes of different length are torn.
        if without != WORKERS * ROUNDS {
            return Ok(());
        }
    }
    let expected = format!("not just {} increments without the lock", WORKERS * ROUNDS);
    ensure(false, expected, format!("just that, {NAIVE_TRIES} times: this case proves nothing"))
}

async fn increments(
    context: &TestContext,
    takers: &mut [Child],
    verb: &str,
    name: &LockName,
) -> Result<usize, Failure> {
    let file = Naive::new(context);
    for taker in takers.iter_mut() {
        let claim = context.claim(name);
        taker.send(&format!("{} {ROUNDS} {}", Child::verb(verb, &claim), file.path()))?;
    }
    for taker in takers.iter_mut() {
        let answer = taker.answer(context, context.slack() * 6).await?;
        same(answer.as_str(), "done", "the answer of a process at work")?;
    }
    Ok(file.number())
}

/// A process is killed somewhere in the middle of lock and unlock, again and again: the lock is usable each time.
pub async fn a_process_killed_at_work_leaves_the_lock_usable(context: &TestContext) -> CaseResult {
    let store = context.client().await?;
    let name = context.name();
    for round in 0..5u32 {
        let mut taker = Child::start(context)?;
        let file = Naive::new(context);
        let claim = mortal(context, &name);
        taker.send(&format!("{} 100000 {}", Child::verb("work", &claim), file.path()))?;
        file.await_number(context, 1 + round as usize).await?;
        taker.kill()?;
        let mine = context.claim(&name);
        context
            .wins(&store, &mine, freed_within(context, claim.ttl), "the process at work was killed")
            .await?;
        let snapshot = store.inspect(&name).await?;
        let tags: Vec<_> = snapshot.holders.iter().map(|holder| holder.tag).collect();
        same(tags, vec![Contender::tag_of(mine.id)], "the tags of the holders")?;
        let_go(&*store, &mine).await?;
    }
    Ok(())
}
