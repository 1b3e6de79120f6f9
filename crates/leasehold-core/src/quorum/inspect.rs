//! The locks as a majority of the members shows them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    Core,
    fan_out::{FanOut, Next},
    member::MemberState,
};
use crate::{
    BoxFuture, Contender, Error, FencingToken, LockName, Result, ServerInfo, Snapshot, Stance,
    decide::votes::{completed, majority},
};

/// The shortest time for further answers after a majority.
const GRACE: Duration = Duration::from_millis(5);

impl Core {
    /// Asks all members and returns the answers that come in time; too few are an error. After a majority the others have
    /// as much time again, and more if their answers can change the result.
    pub(super) async fn gather<T: Send + 'static>(
        self: &Arc<Self>,
        ask: impl Fn(Arc<MemberState>) -> BoxFuture<'static, Result<T>>,
        is_clear: impl Fn(&[T]) -> bool,
    ) -> Result<Vec<T>> {
        let mut calls = FanOut::new(&self.env);
        for member in &self.members {
            calls.add(member.number, ask(member.clone()));
        }
        let begin = self.env.now();
        let mut timer = self.env.sleep(self.options.node_timeout);
        let needed = majority(self.members.len());
        let (mut answers, mut is_grace) = (Vec::new(), false);
        let mut failures = Vec::new();
        loop {
            match calls.next(&mut timer).await {
                Next::Answer(_, Ok(answer)) => {
                    answers.push(answer);
                    if answers.len() == needed {
                        is_grace = true;
                        timer = self.env.sleep(self.env.now().since(begin).max(GRACE));
                    }
                }
                Next::Answer(member, Err(error)) => failures.push((member, error)),
                Next::Late if is_grace && !is_clear(&answers) => {
                    is_grace = false;
                    timer = self.env.sleep_until(begin + self.options.node_timeout);
                }
                Next::Empty | Next::Late => break,
            }
        }
        match answers.len() >= needed {
            true => Ok(answers),
            false => Err(self.too_few(&failures, &calls)),
        }
    }

    pub(super) async fn server_info(self: &Arc<Self>) -> Result<ServerInfo> {
        let ask = |member: Arc<MemberState>| -> BoxFuture<'static, Result<ServerInfo>> {
            Box::pin(async move { member.store.server_info().await })
        };
        // All clients are to see the same name: a member that is slow is waited for.
        let all = self.gather(ask, |known| known.len() == self.members.len()).await?;
        let mut servers: Vec<&str> = all.iter().map(|info| &*info.server).collect();
        servers.sort_unstable();
        let mut calendars: Vec<u64> = all.iter().map(|info| info.wall_us).collect();
        calendars.sort_unstable();
        let mut memories: Vec<Duration> = all.iter().map(|info| info.remembers_for).collect();
        memories.sort_unstable();
        Ok(ServerInfo {
            server: servers.join("+").into(),
            lineage: None,
            remembers_for: memories[memories.len() - majority(self.members.len())],
            wall_us: calendars[calendars.len() / 2],
        })
    }

    pub(super) async fn inspect(self: &Arc<Self>, name: &LockName) -> Result<Snapshot> {
        self.identified().await?;
        // The state of the members is to be that of now.
        let ask = |member: Arc<MemberState>| -> BoxFuture<'static, Result<Snapshot>> {
            let (core, name) = (self.clone(), name.clone());
            Box::pin(async move {
                core.probe(&member).await;
                member.store.inspect(&name).await
            })
        };
        let shown = self.gather(ask, |shown| self.is_clear(shown)).await?;
        let answered = shown.len();
        Ok(self.merge(name, shown, answered))
    }

    pub(super) async fn list(self: &Arc<Self>, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        let ask = |member: Arc<MemberState>| -> BoxFuture<'static, Result<Vec<Snapshot>>> {
            let prefix = prefix.to_string();
            Box::pin(async move { member.store.list(&prefix, limit).await })
        };
        let is_clear = |lists: &[Vec<Snapshot>]| {
            let by_name = by_name(lists.to_vec(), limit);
            by_name.into_values().all(|shown| {
                let strict = self.of_majority(&shown, self.members.len());
                tags(&strict) == tags(&self.of_majority(&shown, lists.len()))
            })
        };
        let lists = self.gather(ask, is_clear).await?;
        let answered = lists.len();
        let merged =
            by_name(lists, limit).into_iter().map(|(name, shown)| self.merge(&name, shown, answered));
        Ok(merged.filter(|it| !it.holders.is_empty() || !it.waiters.is_empty()).take(limit).collect())
    }

    pub(super) async fn force_release(self: &Arc<Self>, name: &LockName) -> Result<Vec<Contender>> {
        let ask = |member: Arc<MemberState>| -> BoxFuture<'static, Result<Snapshot>> {
            let name = name.clone();
            Box::pin(async move {
                let holders = member.store.force_release(&name).await?;
                Ok(Snapshot::of(name, holders))
            })
        };
        let evicted = self.gather(ask, |evicted| self.is_clear(evicted)).await.map_err(Error::unknown)?;
        Ok(self.of_majority(&evicted, evicted.len()).0)
    }

    /// Whether the missing answers cannot change holders and waiters.
    fn is_clear(&self, shown: &[Snapshot]) -> bool {
        tags(&self.of_majority(shown, self.members.len())) == tags(&self.of_majority(shown, shown.len()))
    }

    /// The contenders of a majority. A claim with a minority of members holds nothing.
    fn merge(&self, name: &LockName, shown: Vec<Snapshot>, answered: usize) -> Snapshot {
        let (holders, waiters) = self.of_majority(&shown, answered);
        let mut counters: Vec<Option<FencingToken>> = shown.iter().map(|snapshot| snapshot.fence).collect();
        counters.resize(answered, None);
        let fence =
            completed(counters, self.members.len()).max(holders.iter().filter_map(|it| it.fence).max());
        Snapshot { name: name.clone(), holders, waiters, fence, members: self.members() }
    }

    /// A member without an answer may show any contender.
    fn of_majority(&self, shown: &[Snapshot], answered: usize) -> ContenderLists {
        let missing = self.members.len().saturating_sub(answered);
        let needed = majority(self.members.len()).saturating_sub(missing).max(1);
        let agreed =
            |part: fn(&Snapshot) -> &Vec<Contender>| agreed(shown.iter().flat_map(part).cloned(), needed);
        (agreed(|snapshot| &snapshot.holders), agreed(|snapshot| &snapshot.waiters))
    }
}

/// Holders and waiters.
type ContenderLists = (Vec<Contender>, Vec<Contender>);

fn tags(seen: &ContenderLists) -> Vec<u32> {
    seen.0.iter().chain(&seen.1).map(|contender| contender.tag).collect()
}

/// The snapshots of each name, from every member that answered, up to the end of the shortest list that was cut off.
fn by_name(lists: Vec<Vec<Snapshot>>, limit: usize) -> BTreeMap<LockName, Vec<Snapshot>> {
    let cut = |list: &Vec<Snapshot>| {
        (list.len() >= limit).then(|| list.last().map(|last| last.name.clone())).flatten()
    };
    let end = lists.iter().filter_map(cut).min();
    let mut by_name: BTreeMap<LockName, Vec<Snapshot>> = BTreeMap::new();
    for snapshot in lists.into_iter().flatten() {
        if end.as_ref().is_none_or(|end| snapshot.name <= *end) {
            by_name.entry(snapshot.name.clone()).or_default().push(snapshot);
        }
    }
    by_name
}

/// The contenders that `needed` members show in one state, in the order of the first member that shows them.
fn agreed(shown: impl Iterator<Item = Contender>, needed: usize) -> Vec<Contender> {
    let mut groups: Vec<Vec<Contender>> = Vec::new();
    for contender in shown {
        let same = |group: &&mut Vec<Contender>| {
            group[0].tag == contender.tag
                && (group[0].stance == Stance::Delaying) == (contender.stance == Stance::Delaying)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(contender),
            None => groups.push(vec![contender]),
        }
    }
    groups.retain(|group| group.len() >= needed);
    groups.into_iter().map(|group| together(group, needed)).collect()
}

/// One contender as a majority has it: the values that `needed` members reach at least.
fn together(mut group: Vec<Contender>, needed: usize) -> Contender {
    let first = group[0].clone();
    group.sort_by_key(|contender| std::cmp::Reverse(contender.fence));
    let fence = group.get(needed - 1).and_then(|contender| contender.fence);
    group.sort_by_key(|contender| std::cmp::Reverse(contender.expires_in));
    let expires_in = group.get(needed - 1).and_then(|contender| contender.expires_in);
    let age = group.iter().filter_map(|contender| contender.age).max();
    Contender { fence, expires_in, age, ..first }
}
