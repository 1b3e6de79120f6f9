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
use leasehold::{
    Client, FencingToken, MutexGuard,
    env::{Env, Moment},
};
use leasehold_testkit::{
    proxy::Proxy,
    redis::{Replicated, Reply},
};

use super::{
    experiment::{Experiment, Read, SOON, TOGETHER},
    result::Activity,
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
    asked: Moment,
    granted: Moment,
    token: FencingToken,
    /// `None`: the token was refused.
    read: Option<Read>,
}

pub(super) async fn long_work(experiment: &mut Experiment<'_>) -> Result<()> {
    let (address, env) = (experiment.harness.server.address(), experiment.env());
    let (first, next) = (connect(&address, TTL_SHORT).await?, connect(&address, TTL_SHORT).await?);
    let holder = hold(experiment, &first).await?;
    let work = async {
        let worked = holder.guard.run(env.sleep(TTL_SHORT * 3)).await;
        let left = env.now();
        experiment.span('A', Activity::Holds, holder.granted, left);
        if worked.is_ok() {
            write(experiment, &holder);
        } else {
            experiment.told(left, holder.guard.deadline());
        }
        holder.guard.release().await.context("the release failed")
    };
    let (released, entered) = tokio::join!(work, enter(env, &next));
    released?;
    let (mut entered, refused) = entered?;
    experiment.result.counts.refused_attempts += refused;
    entered.read = experiment.read_fenced(entered.token);
    next_works(experiment, &next, entered).await?;
    leave(&[first, next]).await;
    Ok(())
}

pub(super) async fn cut(experiment: &mut Experiment<'_>) -> Result<()> {
    let server = experiment.harness.server.address();
    let network = Proxy::to(&server)?;
    let (first, next) = (connect(&network.address(), TTL).await?, connect(&server, TTL).await?);
    let holder = hold(experiment, &first).await?;
    network.refuse();
    network.reset_all();
    overtaken(experiment, &holder, &next).await?;
    network.pass();
    drop(holder);
    leave(&[first, next]).await;
    Ok(())
}

pub(super) async fn failover(experiment: &mut Experiment<'_>) -> Result<()> {
    let servers = Replicated::start(1)?;
    let network = Proxy::to(&servers.master().address())?;
    let first = connect(&network.address(), TTL_FAILOVER).await?;
    let other = connect(&servers.master().address(), TTL_FAILOVER).await?;
    servers.link(0).hold_replies();
    let holder = hold(experiment, &first).await?;
    let refused = other.mutex(NAME)?.try_lock().await?.is_none();
    experiment.result.counts.refused_attempts += u64::from(refused);
    servers.master().kill();
    servers.failover_to(0)?;
    network.retarget(&servers.replica(0).address())?;
    let next = connect(&servers.replica(0).address(), TTL_FAILOVER).await?;
    overtaken(experiment, &holder, &next).await?;
    drop(holder);
    leave(&[first, other, next]).await;
    Ok(())
}

async fn connect(address: &str, ttl: Duration) -> Result<Client> {
    Ok(Client::connect(format!("redis://{address}")).await?.ttl(ttl))
}

async fn hold(experiment: &mut Experiment<'_>, client: &Client) -> Result<Holder> {
    let (mut holder, _) = enter(experiment.env(), client).await?;
    holder.read = Some(experiment.read_fenced(holder.token).context("the first token is refused")?);
    Ok(holder)
}

fn write(experiment: &mut Experiment<'_>, holder: &Holder) {
    if let Some(read) = holder.read {
        experiment.write(read, Some(holder.token));
    }
}

/// Works until the loss is signalled; returns that time.
async fn work_until_told(env: &Env, holder: &Holder) -> Moment {
    let steps = async {
        loop {
            env.sleep(STEP).await;
        }
    };
    let limit = env.now() + SOON;
    // Without a signal the limit ends the work, long after the deadline.
    let _: Option<std::result::Result<(), _>> = env.until(limit, holder.guard.run(steps)).await;
    env.now()
}

/// Waits for the lock; returns the holder, which has not read yet, and the number of refusals.
async fn enter(env: &Env, client: &Client) -> Result<(Holder, u64)> {
    let refused = Arc::new(AtomicU64::new(0));
    let count = refused.clone();
    let mutex = client.mutex(NAME)?.on_busy(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let asked = env.now();
    let guard = mutex.try_lock_for(SOON).await?.context("the client did not get the lock")?;
    let granted = env.now();
    let token = guard.fencing_token().context("there is no fencing token")?;
    Ok((Holder { guard, asked, granted, token, read: None }, refused.load(Ordering::Relaxed)))
}

/// The next holder reads as soon as it has the lock; the late write of the first one arrives after that.
async fn overtaken(experiment: &mut Experiment<'_>, first: &Holder, next: &Client) -> Result<()> {
    let env = experiment.env();
    let enters = async {
        let (mut entered, refused) = enter(env, next).await?;
        experiment.result.counts.refused_attempts += refused;
        entered.read = experiment.read_fenced(entered.token);
        anyhow::Ok(entered)
    };
    let (told, entered) = tokio::join!(work_until_told(env, first), enters);
    let entered = entered?;
    experiment.span('A', Activity::Holds, first.granted, told);
    experiment.told(told, first.guard.deadline());
    write(experiment, first);
    next_works(experiment, next, entered).await
}

/// The next holder works, writes and releases.
async fn next_works(experiment: &mut Experiment<'_>, client: &Client, entered: Holder) -> Result<()> {
    let env = experiment.env();
    experiment.span('B', Activity::Waits, entered.asked, entered.granted);
    let held = client.inspect(NAME).await?;
    let tokens = held.holders.iter().filter_map(|it| it.fence).map(|token| token.to_string());
    experiment.result.observe(&["inspect", NAME], &Reply::Text(tokens.collect::<Vec<_>>().join(" ")));
    env.sleep(TOGETHER).await;
    write(experiment, &entered);
    experiment.span('B', Activity::Holds, entered.granted, env.now());
    entered.guard.release().await?;
    Ok(())
}

async fn leave(clients: &[Client]) {
    for client in clients {
        // Fails for a server that is gone.
        let _ = client.close(CLOSE_TIMEOUT).await;
    }
}
