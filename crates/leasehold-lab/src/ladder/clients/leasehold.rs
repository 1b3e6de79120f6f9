//! Rung 8: Leasehold under the failures of the rungs below. The resource is fenced, and a write of the first holder is
//! always in flight when its work is stopped, as in a network that delivers late.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use leasehold::{Client, FencingToken, MutexGuard, env::Moment};
use leasehold_testkit::{
    proxy::Proxy,
    redis::{Replicated, Reply},
};

use crate::ladder::{
    experiment::{Experiment, Read},
    harness::Harness,
    model::{Activity, Expectation, Rung, SOON, TOGETHER},
    result::ExperimentResult,
};

const NAME: &str = "ladder/8";
/// Shorter than the work.
const TTL_SHORT: Duration = Duration::from_millis(500);
/// Long enough that a busy machine can signal the loss in the hundredth that is left for it.
const TTL: Duration = Duration::from_secs(2);
/// The time to live of rung 6: the speed of the machine does not matter there.
const TTL_FAILOVER: Duration = Duration::from_millis(600);
const STEP: Duration = Duration::from_millis(10);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

struct Holder {
    guard: MutexGuard,
    granted: Moment,
    token: FencingToken,
    read: Read,
}

struct Entered {
    guard: MutexGuard,
    asked: Moment,
    granted: Moment,
    token: FencingToken,
    refused: u64,
}

pub(super) fn play(harness: &Harness, rung: &Rung) -> Result<Vec<ExperimentResult>> {
    Ok(vec![
        harness.block_on(long_work(harness, rung))?,
        harness.block_on(cut(harness, rung))?,
        harness.block_on(failover(harness, rung))?,
    ])
}

async fn long_work(harness: &Harness, rung: &Rung) -> Result<ExperimentResult> {
    let address = harness.server.address();
    let (first, next) = (connect(&address, TTL_SHORT).await?, connect(&address, TTL_SHORT).await?);
    let mut experiment =
        Experiment::new(harness, rung, "work is three times as long as the ttl", Expectation::Kept);
    let holder = hold(harness, &mut experiment, &first).await?;
    let work = async {
        let worked = holder.guard.run(harness.env.sleep(TTL_SHORT * 3)).await;
        let left = harness.env.now();
        experiment.span('A', Activity::Holds, holder.granted, left);
        if worked.is_ok() {
            experiment.write(holder.read, Some(holder.token));
        } else {
            experiment.told(left, holder.guard.deadline());
        }
        holder.guard.release().await.context("the release failed")
    };
    let (released, entered) = tokio::join!(work, enter(harness, &next));
    released?;
    let entered = entered?;
    let next_read = experiment.read_fenced(entered.token);
    next_works(harness, &mut experiment, &next, entered, next_read).await?;
    let result = experiment.finish();
    leave(&[first, next]).await;
    Ok(result)
}

async fn cut(harness: &Harness, rung: &Rung) -> Result<ExperimentResult> {
    let network = Proxy::to(&harness.server.address())?;
    let first = connect(&network.address(), TTL).await?;
    let next = connect(&harness.server.address(), TTL).await?;
    let mut experiment =
        Experiment::new(harness, rung, "the connection of the watchdog is cut", Expectation::Told);
    let holder = hold(harness, &mut experiment, &first).await?;
    network.refuse();
    network.reset_all();
    overtaken(harness, &mut experiment, &holder, &next).await?;
    let result = experiment.finish();
    network.pass();
    drop(holder);
    leave(&[first, next]).await;
    Ok(result)
}

async fn failover(harness: &Harness, rung: &Rung) -> Result<ExperimentResult> {
    let servers = Replicated::start(1)?;
    let network = Proxy::to(&servers.master().address())?;
    let first = connect(&network.address(), TTL_FAILOVER).await?;
    let other = connect(&servers.master().address(), TTL_FAILOVER).await?;
    let mut experiment =
        Experiment::new(harness, rung, "the master dies before it replicates", Expectation::Forgotten);
    servers.link(0).hold_replies();
    let holder = hold(harness, &mut experiment, &first).await?;
    let refused = other.mutex(NAME)?.try_lock().await?.is_none();
    experiment.result.counts.refused_attempts += u64::from(refused);
    servers.master().kill();
    servers.failover_to(0)?;
    network.retarget(&servers.replica(0).address())?;
    let next = connect(&servers.replica(0).address(), TTL_FAILOVER).await?;
    overtaken(harness, &mut experiment, &holder, &next).await?;
    let result = experiment.finish();
    drop(holder);
    leave(&[first, other, next]).await;
    Ok(result)
}

async fn connect(address: &str, ttl: Duration) -> Result<Client> {
    Ok(Client::connect(format!("redis://{address}")).await?.ttl(ttl))
}

async fn hold(harness: &Harness, experiment: &mut Experiment<'_>, client: &Client) -> Result<Holder> {
    let guard = client.mutex(NAME)?.lock().await?;
    let granted = harness.env.now();
    let token = guard.fencing_token().context("there is no fencing token")?;
    let read = experiment.read_fenced(token).context("the first token is refused")?;
    Ok(Holder { guard, granted, token, read })
}

/// Works until the loss is signalled; returns that time.
async fn work_until_told(harness: &Harness, holder: &Holder) -> Moment {
    let steps = async {
        loop {
            harness.env.sleep(STEP).await;
        }
    };
    let limit = harness.env.now() + SOON;
    // Without a signal the limit ends the work, long after the deadline.
    let _: Option<std::result::Result<(), _>> = harness.env.until(limit, holder.guard.run(steps)).await;
    harness.env.now()
}

async fn enter(harness: &Harness, client: &Client) -> Result<Entered> {
    let refused = Arc::new(AtomicU64::new(0));
    let count = refused.clone();
    let mutex = client.mutex(NAME)?.on_busy(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let asked = harness.env.now();
    let guard = mutex.try_lock_for(SOON).await?.context("the next client did not get the lock")?;
    let granted = harness.env.now();
    let token = guard.fencing_token().context("there is no fencing token")?;
    Ok(Entered { guard, asked, granted, token, refused: refused.load(Ordering::Relaxed) })
}

/// The next holder reads as soon as it has the lock; the late write of the first one arrives after that.
async fn overtaken(
    harness: &Harness,
    experiment: &mut Experiment<'_>,
    first: &Holder,
    next: &Client,
) -> Result<()> {
    let enters = async {
        let entered = enter(harness, next).await?;
        let read = experiment.read_fenced(entered.token);
        anyhow::Ok((entered, read))
    };
    let (told, entered) = tokio::join!(work_until_told(harness, first), enters);
    let (entered, next_read) = entered?;
    experiment.span('A', Activity::Holds, first.granted, told);
    experiment.told(told, first.guard.deadline());
    experiment.write(first.read, Some(first.token));
    next_works(harness, experiment, next, entered, next_read).await
}

/// The next holder works, writes and releases.
async fn next_works(
    harness: &Harness,
    experiment: &mut Experiment<'_>,
    client: &Client,
    entered: Entered,
    read: Option<Read>,
) -> Result<()> {
    experiment.result.counts.refused_attempts += entered.refused;
    experiment.span('B', Activity::Waits, entered.asked, entered.granted);
    let held = client.inspect(NAME).await?;
    let tokens = held.holders.iter().filter_map(|it| it.fence).map(|token| token.to_string());
    experiment.result.observe(&["inspect", NAME], &Reply::Text(tokens.collect::<Vec<_>>().join(" ")));
    harness.env.sleep(TOGETHER).await;
    if let Some(read) = read {
        experiment.write(read, Some(entered.token));
    }
    experiment.span('B', Activity::Holds, entered.granted, harness.env.now());
    entered.guard.release().await?;
    Ok(())
}

async fn leave(clients: &[Client]) {
    for client in clients {
        // Fails for a server that is gone.
        let _ = client.close(CLOSE_TIMEOUT).await;
    }
}
