//! What the members together show of locks.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    Core,
    fan::{Fan, Next},
};
use crate::{
    BoxFuture, Contender, FencingToken, LockName, Result, Snapshot, Stance,
    decide::votes::{completed, majority},
};

/// Members that are about to answer have so long after a majority has.
const GRACE: Duration = Duration::from_millis(5);

impl Core {
    /// Asks all members and answers what those say that answer in time; too few are an error. Once there are enough, the
    /// others have as much time again.
    pub(super) async fn gather<T: Send + 'static>(
        self: &Arc<Self>,
        ask: impl Fn(Arc<dyn crate::Store>) -> BoxFuture<'static, Result<T>>,
    ) -> Result<Vec<T>> {
        self.refuse_closed()?;
        let mut fan = Fan::new(&self.env);
        for seat in &self.seats {
            fan.add(seat.number, ask(seat.store.clone()));
        }
        let begin = self.env.now();
        let mut alarm = self.env.sleep(self.options.node_timeout);
        let (mut count, needed) = (0, majority(self.seats.len()));
        let mut answers: Vec<Option<T>> = self.seats.iter().map(|_| None).collect();
        let mut states: Vec<String> =
            self.seats.iter().map(|seat| format!("{}: no answer", seat.url)).collect();
        while let Next::Answer(member, answer) = fan.next(&mut alarm).await {
            match answer {
                Ok(answer) => {
                    answers[member] = Some(answer);
                    count += 1;
                    if count == needed {
                        alarm = self.env.sleep(self.env.now().since(begin).max(GRACE));
                    }
                }
                Err(error) => states[member] = format!("{}: {error}", self.seats[member].url),
            }
        }
        let answers: Vec<T> = answers.into_iter().flatten().collect();
        match answers.len() >= needed {
            true => Ok(answers),
            false => Err(self.no_quorum(&states)),
        }
    }

    pub(super) async fn inspect(self: &Arc<Self>, name: &LockName) -> Result<Snapshot> {
        self.introduced().await?;
        let shown = self
            .gather(|store| {
                let name = name.clone();
                Box::pin(async move { store.inspect(&name).await })
            })
            .await?;
        Ok(self.merge(name, shown))
    }

    pub(super) async fn list(self: &Arc<Self>, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        let lists = self
            .gather(|store| {
                let prefix = prefix.to_string();
                Box::pin(async move { store.list(&prefix, limit).await })
            })
            .await?;
        // Behind the end of a list that was cut off, that member may have more.
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
        let merged = by_name.into_iter().map(|(name, shown)| self.merge(&name, shown));
        Ok(merged.filter(|it| !it.holders.is_empty() || !it.waiters.is_empty()).take(limit).collect())
    }

    pub(super) async fn force_release(self: &Arc<Self>, name: &LockName) -> Result<Vec<Contender>> {
        let before = self.inspect(name).await?;
        let evicted = self
            .gather(|store| {
                let name = name.clone();
                Box::pin(async move { store.force_release(&name).await })
            })
            .await
            .map_err(crate::Error::unknown)?;
        let (holders, _) =
            self.of_majority(evicted.into_iter().map(|evicted| (evicted, Vec::new())).collect());
        // Whoever ended in between was not thrown out; whoever came in between was.
        let known = before.holders.into_iter().filter(|holder| holders.iter().any(|it| it.tag == holder.tag));
        let mut thrown_out: Vec<Contender> = known.collect();
        let is_new = |holder: &Contender| thrown_out.iter().all(|it| it.tag != holder.tag);
        let new: Vec<Contender> = holders.iter().filter(|holder| is_new(holder)).cloned().collect();
        thrown_out.extend(new);
        Ok(thrown_out)
    }

    /// What a majority shows. Whoever has a minority holds nothing.
    fn merge(&self, name: &LockName, shown: Vec<Snapshot>) -> Snapshot {
        let counters: Vec<Option<FencingToken>> = shown.iter().map(|snapshot| snapshot.fence).collect();
        let (holders, waiters) =
            self.of_majority(shown.into_iter().map(|it| (it.holders, it.waiters)).collect());
        let fence = completed(counters, self.seats.len()).max(holders.iter().filter_map(|it| it.fence).max());
        Snapshot { name: name.clone(), holders, waiters, fence, members: self.members() }
    }

    fn of_majority(&self, shown: Vec<(Vec<Contender>, Vec<Contender>)>) -> (Vec<Contender>, Vec<Contender>) {
        // Those that did not answer may be among them.
        let missing = self.seats.len().saturating_sub(shown.len());
        let needed = majority(self.seats.len()).saturating_sub(missing).max(1);
        let (holders, waiters): (Vec<_>, Vec<_>) = shown.into_iter().unzip();
        (agreed(holders, needed), agreed(waiters, needed))
    }
}

/// Those whom `needed` members show in one stance, in the order of the first member that shows them.
fn agreed(shown: Vec<Vec<Contender>>, needed: usize) -> Vec<Contender> {
    let mut groups: Vec<Vec<Contender>> = Vec::new();
    for contender in shown.into_iter().flatten() {
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

/// One contender as a majority has it: what `needed` of them keep at least.
fn together(mut group: Vec<Contender>, needed: usize) -> Contender {
    let first = group[0].clone();
    group.sort_by_key(|contender| std::cmp::Reverse(contender.fence));
    let fence = group.get(needed - 1).and_then(|contender| contender.fence);
    group.sort_by_key(|contender| std::cmp::Reverse(contender.expires_in));
    let expires_in = group.get(needed - 1).and_then(|contender| contender.expires_in);
    let age = group.iter().filter_map(|contender| contender.age).max();
    Contender { fence, expires_in, age, ..first }
}
