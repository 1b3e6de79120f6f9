//! Rungs 1 and 2: `SETNX`, work, `DEL`; and `SETNX`, then `EXPIRE`. A holder that crashes, or crashes between the two
//! commands, locks for ever.

use std::time::Duration;

use anyhow::Result;

use crate::{
    ladder::{
        experiment::Experiment,
        harness::Harness,
        model::{Expectation, Rung},
        result::ExperimentResult,
    },
    naive_redis::NaiveRedis,
};

/// The time for which the lock is watched.
const WATCH: Duration = Duration::from_millis(600);
const TTL_MS: &str = "300";

pub(super) fn while_held(harness: &Harness, rung: &Rung) -> Result<Vec<ExperimentResult>> {
    play(harness, rung, "ladder:1", "the holder crashes", |_, _| Ok(()))
}

pub(super) fn before_expire(harness: &Harness, rung: &Rung) -> Result<Vec<ExperimentResult>> {
    let expire = |client: &mut NaiveRedis, key: &str| client.call(&["PEXPIRE", key, TTL_MS]).map(drop);
    play(harness, rung, "ladder:2", "a crash between the two commands", expire)
}

fn play(
    harness: &Harness,
    rung: &Rung,
    key: &str,
    failure: &'static str,
    after_setnx: impl Fn(&mut NaiveRedis, &str) -> Result<()>,
) -> Result<Vec<ExperimentResult>> {
    let setnx = |client: &mut NaiveRedis| Ok(client.call(&["SETNX", key, "locked"])?.int() == Some(1));
    let mut experiment = Experiment::new(harness, rung, failure, Expectation::LockedForEver);
    let (mut first, mut next) = (harness.client(key, "A"), harness.client(key, "B"));
    experiment.acquire('A', || setnx(&mut first))?;
    drop(first);
    experiment.vanish('A');
    experiment.watch_for_ever(key, WATCH, &mut next, |client| {
        let granted = setnx(client)?;
        if granted {
            after_setnx(client, key)?;
        }
        Ok(granted)
    })?;
    Ok(vec![experiment.finish()])
}
