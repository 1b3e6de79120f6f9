//! Rung 8: Leasehold as its users have it, under the failures of the rungs below. The resource is fenced, and a write
//! of the first holder is always under way when its work is stopped, as in a network that delivers late.

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

use super::{Rung, TOGETHER};
use crate::simulate::ladder::{
    case::{Case, Doing, Expectation, Outcome, SOON},
    resource::Read,
    stage::Stage,
};

const NAME: &str = "ladder/8";
/// For work that is longer.
const TTL_SHORT: Duration = Duration::from_millis(500);
/// Long enough that a busy machine can signal the loss in the hundredth that is left for it.
const TTL: Duration = Duration::from_secs(2);
/// That of rung 6, where it does not matter how quick the machine is.
const TTL_FAILOVER: Duration = Duration::from_millis(600);
/// What work consists of.
const STEP: Duration = Duration::from_millis(10);
/// How long the end of a client is awaited.
const PATIENCE: Duration = Duration::from_secs(1);

/// The first holder, and what it has read.
struct Holder {
    guard: MutexGuard,
    granted: Moment,
    token: FencingToken,
    read: Read,
}

/// The next one.
struct Entered {
    guard: MutexGuard,
    asked: Moment,
    granted: Moment,
    token: FencingToken,
    refused: u64,
}

pub(super) fn play(stage: &Stage, rung: &Rung) -> Result<Vec<Outcome>> {
    Ok(vec![
        stage.block_on(long_work(stage, rung))?,
        stage.block_on(cut(stage, rung))?,
        stage.block_on(failover(stage, rung))?,
    ])
}

async fn long_work(stage: &Stage, rung: &Rung) -> Result<Outcome> {
    let address = stage.server.address();
    let (first, next) = (connect(&address, TTL_SHORT).await?, connect(&address, TTL_SHORT).await?);
    let mut case = Case::new(stage, rung, "work is three times as long as the ttl", Expectation::Kept);
    let holder = hold(stage, &mut case, &first).await?;
    let work = async {
        let worked = holder.guard.run(stage.env.sleep(TTL_SHORT * 3)).await;
        let left = stage.env.now();
        case.span('A', Doing::Holds, holder.granted, left);
        if worked.is_ok() {
            case.resource.write_fenced(holder.read, holder.token);
        } else {
            case.told(left, holder.guard.deadline());
        }
        holder.guard.release().await.context("the release failed")
    };
    let (released, entered) = tokio::join!(work, enter(stage, &next));
    released?;
    let entered = entered?;
    let next_read = case.resource.read_fenced(entered.token);
    next_works(stage, &mut case, &next, entered, next_read).await?;
    let outcome = case.finish();
    leave(&[first, next]).await;
    Ok(outcome)
}

async fn cut(stage: &Stage, rung: &Rung) -> Result<Outcome> {
    let network = Proxy::to(&stage.server.address())?;
    let first = connect(&network.address(), TTL).await?;
    let next = connect(&stage.server.address(), TTL).await?;
    let mut case = Case::new(stage, rung, "the connection of the watchdog is cut", Expectation::Told);
    let holder = hold(stage, &mut case, &first).await?;
    network.refuse();
    network.reset_all();
    overtaken(stage, &mut case, &holder, &next).await?;
    let outcome = case.finish();
    network.pass();
    drop(holder);
    leave(&[first, next]).await;
    Ok(outcome)
}

async fn failover(stage: &Stage, rung: &Rung) -> Result<Outcome> {
    let servers = Replicated::start(1)?;
    let network = Proxy::to(&servers.master().address())?;
    let first = connect(&network.address(), TTL_FAILOVER).await?;
    let other = connect(&servers.master().address(), TTL_FAILOVER).await?;
    let mut case = Case::new(stage, rung, "the master dies before it replicates", Expectation::Forgotten);
    servers.link(0).hold_replies();
    let holder = hold(stage, &mut case, &first).await?;
    let refused = other.mutex(NAME)?.try_lock().await?.is_none();
    case.outcome.counts.refused_attempts += u64::from(refused);
    servers.master().kill();
    servers.failover_to(0)?;
    network.retarget(&servers.replica(0).address())?;
    let next = connect(&servers.replica(0).address(), TTL_FAILOVER).await?;
    overtaken(stage, &mut case, &holder, &next).await?;
    let outcome = case.finish();
    drop(holder);
    leave(&[first, other, next]).await;
    Ok(outcome)
}

async fn connect(address: &str, ttl: Duration) -> Result<Client> {
    Ok(Client::connect(format!("redis://{address}")).await?.ttl(ttl))
}

async fn hold(stage: &Stage, case: &mut Case<'_>, client: &Client) -> Result<Holder> {
    let guard = client.mutex(NAME)?.lock().await?;
    let granted = stage.env.now();
    let token = guard.fencing_token().context("there is no fencing token")?;
    let read = case.resource.read_fenced(token).context("the first token is refused")?;
    Ok(Holder { guard, granted, token, read })
}

/// Works until the lease says that it is lost; when that was.
async fn work_until_told(stage: &Stage, holder: &Holder) -> Moment {
    let steps = async {
        loop {
            stage.env.sleep(STEP).await;
        }
    };
    let limit = stage.env.now() + SOON;
    // Whoever is never told comes to the limit, which is long after the deadline.
    let _: Option<std::result::Result<(), _>> = stage.env.until(limit, holder.guard.run(steps)).await;
    stage.env.now()
}

/// Waits for the lock.
async fn enter(stage: &Stage, client: &Client) -> Result<Entered> {
    let refused = Arc::new(AtomicU64::new(0));
    let count = refused.clone();
    let mutex = client.mutex(NAME)?.on_busy(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let asked = stage.env.now();
    let guard = mutex.try_lock_for(SOON).await?.context("the next one never got the lock")?;
    let granted = stage.env.now();
    let token = guard.fencing_token().context("there is no fencing token")?;
    Ok(Entered { guard, asked, granted, token, refused: refused.load(Ordering::Relaxed) })
}

/// The next holder reads as soon as it is in; the late write of the first one arrives after that.
async fn overtaken(stage: &Stage, case: &mut Case<'_>, first: &Holder, next: &Client) -> Result<()> {
    let resource = &mut case.resource;
    let enters = async {
        let entered = enter(stage, next).await?;
        let read = resource.read_fenced(entered.token);
        anyhow::Ok((entered, read))
    };
    let (told, entered) = tokio::join!(work_until_told(stage, first), enters);
    let (entered, next_read) = entered?;
    case.span('A', Doing::Holds, first.granted, told);
    case.told(told, first.guard.deadline());
    case.resource.write_fenced(first.read, first.token);
    next_works(stage, case, next, entered, next_read).await
}

/// The next holder works, writes and leaves.
async fn next_works(
    stage: &Stage,
    case: &mut Case<'_>,
    client: &Client,
    entered: Entered,
    read: Option<Read>,
) -> Result<()> {
    case.outcome.counts.refused_attempts += entered.refused;
    case.span('B', Doing::Waits, entered.asked, entered.granted);
    let held = client.inspect(NAME).await?;
    let tokens = held.holders.iter().filter_map(|it| it.fence).map(|token| token.to_string());
    case.outcome.observe(&["inspect", NAME], &Reply::Text(tokens.collect::<Vec<_>>().join(" ")));
    stage.env.sleep(TOGETHER).await;
    if let Some(read) = read {
        case.resource.write_fenced(read, entered.token);
    }
    case.span('B', Doing::Holds, entered.granted, stage.env.now());
    entered.guard.release().await?;
    Ok(())
}

async fn leave(clients: &[Client]) {
    for client in clients {
        // A server that is gone cannot be told.
        let _ = client.close(PATIENCE).await;
    }
}
