//! The other process: does what the lines on its standard input say, and answers each with a line.

use std::{
    future::Future,
    io::{BufRead, Write},
    process::ExitCode,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use leasehold_core::{
    Binding, Busy, Claim, ClaimId, Env, LockName, Moment, Queueing, Release, Renewal, Result, Standing, Store,
};

use super::{
    demand::{self, Windows},
    naive::Naive,
};
use crate::outcome::insist;

/// Runs a taker on the store that `connect` opens until its standard input ends.
pub fn taker<F>(env: &Env, connect: F) -> ExitCode
where
    F: Future<Output = Result<Arc<dyn Store>>>,
{
    match serve(env, connect) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error {error}"));
            ExitCode::FAILURE
        }
    }
}

fn serve<F>(env: &Env, connect: F) -> std::result::Result<(), Box<dyn std::error::Error>>
where
    F: Future<Output = Result<Arc<dyn Store>>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let store = runtime.block_on(connect)?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[..] {
            ["naive-take", ttl_ms, path] => {
                let ttl = Duration::from_millis(ttl_ms.parse()?);
                if Naive::at(path).take(env, ttl) { "taken".into() } else { "busy".into() }
            }
            ["naive-free", path] => if Naive::at(path).free() { "freed" } else { "nothing" }.into(),
            ["keep", id, ttl_ms, name] => {
                runtime.spawn(keep(env.clone(), store.clone(), claim(id, ttl_ms, name)?));
                "keeping".into()
            }
            ["contend", id, ttl_ms, name, begin, window_ms, count] => {
                let (claim, begin) = (claim(id, ttl_ms, name)?, Moment::from_nanos(begin.parse()?));
                let windows = Windows::new(begin, Duration::from_millis(window_ms.parse()?), count.parse()?);
                let contended = demand::contend(env, store.clone(), &claim.name, claim.ttl, &windows);
                runtime.block_on(contended)?;
                windows.grants().iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
            }
            [verb @ ("work" | "work-naively"), id, ttl_ms, name, rounds, path] => {
                let template = claim(id, ttl_ms, name)?;
                let guarded = (verb == "work").then_some(template);
                runtime.block_on(work(env, &store, guarded, rounds.parse()?, path))
            }
            [verb, id, ttl_ms, name, delay_ms] => {
                let lock_delay = Duration::from_millis(delay_ms.parse()?);
                let claim = Claim { lock_delay, ..claim(id, ttl_ms, name)? };
                runtime.block_on(obey(&store, verb, &claim))
            }
            [verb, id, ttl_ms, name] => runtime.block_on(obey(&store, verb, &claim(id, ttl_ms, name)?)),
            _ => format!("error unknown: {line}"),
        };
        say(&answer);
    }
    Ok(())
}

/// Answers the other side. When that has gone, so does this process, at the end of its input.
fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    let _ = writeln!(output, "{line}");
    let _ = output.flush();
}

fn claim(id: &str, ttl_ms: &str, name: &str) -> std::result::Result<Claim, Box<dyn std::error::Error>> {
    let digits = name.as_bytes().chunks(2);
    let bytes: std::result::Result<Vec<u8>, _> =
        digits.map(|pair| u8::from_str_radix(&String::from_utf8_lossy(pair), 16)).collect();
    let name = LockName::new(String::from_utf8(bytes?)?)?;
    Ok(Claim::new(name, ClaimId::from_str(id)?, Duration::from_millis(ttl_ms.parse()?)))
}

async fn obey(store: &Arc<dyn Store>, verb: &str, claim: &Claim) -> String {
    match verb {
        "claim" => told(store.claim(claim).await),
        "queue" => told(store.claim(&Claim { queueing: Queueing::Fifo, ..claim.clone() }).await),
        "detach" => told(store.claim(&Claim { binding: Binding::Ttl, ..claim.clone() }).await),
        "renew" => match insist(&**store, claim).await {
            Ok(Renewal::Renewed { .. }) => "renewed".into(),
            Ok(Renewal::Gone(_)) => "gone".into(),
            other => format!("error {other:?}"),
        },
        "release" => match store.release(claim).await {
            Ok(Release::Released) => "released".into(),
            Ok(Release::NotHeld) => "not-held".into(),
            Err(error) => format!("error {error}"),
        },
        other => format!("error unknown: {other}"),
    }
}

fn told(answer: Result<Standing>) -> String {
    match answer {
        Ok(Standing::Granted(_)) => "granted".into(),
        Ok(Standing::Waiting(_)) => "waiting".into(),
        Ok(Standing::Held(_)) => "held".into(),
        other => format!("error {other:?}"),
    }
}

/// Renews every third of the time to live, until the hold is gone.
async fn keep(env: Env, store: Arc<dyn Store>, claim: Claim) {
    while let Ok(Renewal::Renewed { .. }) = insist(&*store, &claim).await {
        env.sleep(claim.ttl / 3).await;
    }
}

/// Adds one to the number in a file, `rounds` times; each time under a claim of its own, or under none.
async fn work(
    env: &Env,
    store: &Arc<dyn Store>,
    guarded: Option<Claim>,
    rounds: usize,
    path: &str,
) -> String {
    let file = Naive::at(path);
    for _ in 0..rounds {
        let claim = guarded.as_ref().map(|it| Claim {
            id: ClaimId::mint(env),
            queueing: Queueing::Barging,
            ..it.clone()
        });
        if let Some(claim) = &claim
            && let Err(what) = wait_for(env, store, claim).await
        {
            return what;
        }
        let read = file.number();
        env.sleep(Duration::from_millis(2)).await;
        if let Err(error) = file.set(read + 1) {
            return format!("error {error}");
        }
        if let Some(claim) = &claim
            && let Err(error) = store.release(claim).await
        {
            return format!("error {error}");
        }
    }
    "done".into()
}

async fn wait_for(env: &Env, store: &Arc<dyn Store>, claim: &Claim) -> std::result::Result<(), String> {
    loop {
        match store.claim(claim).await {
            Ok(Standing::Granted(_)) => return Ok(()),
            Ok(Standing::Waiting(Busy { recheck_in, .. }) | Standing::Held(Busy { recheck_in, .. })) => {
                env.sleep(recheck_in.min(Duration::from_millis(5))).await;
            }
            other => return Err(format!("error {other:?}")),
        }
    }
}
