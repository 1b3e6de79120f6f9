//! [`Mutant`]: a client of the reference store with one bug.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use leasehold_core::{
    Binding, BoxFuture, Capability, Claim, ClaimId, Contender, Env, FencingToken, Intent, Interest, LockName,
    Mode, Queueing, Release, Renewal, Result, ServerInfo, Snapshot, Standing, Store, Wake, memory::Memory,
};

use super::{bug::Bug, names::distort};

/// The state that all clients of a broken backend share.
#[derive(Default, Debug)]
pub(crate) struct Ledger {
    pub(crate) holders: HashMap<LockName, Claim>,
    pub(crate) grants: HashMap<ClaimId, FencingToken>,
    pub(crate) counters: HashMap<LockName, u64>,
    pub(crate) limits: HashMap<LockName, u32>,
    pub(crate) notes: HashMap<ClaimId, Option<Arc<str>>>,
    pub(crate) fresh: HashMap<ClaimId, ClaimId>,
    pub(crate) waiting: Vec<ClaimId>,
}

/// A client of the reference store with one bug.
#[derive(Debug)]
pub(crate) struct Mutant {
    pub(crate) inner: Memory,
    pub(crate) env: Env,
    pub(crate) bug: Bug,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
}

impl Mutant {
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is(&self, bug: Bug) -> bool {
        self.bug == bug
    }

    /// The claim as the broken store understands it.
    fn distorted(&self, claim: &Claim) -> Claim {
        let mut claim = Claim { name: distort(self.bug, &claim.name), ..claim.clone() };
        let capability = self.inner.capability();
        match self.bug {
            Bug::ClaimForgetsItself => {
                let fresh = ClaimId::mint(&self.env);
                self.ledger().fresh.insert(claim.id, fresh);
                claim.id = fresh;
            }
            Bug::HeldLeavesATrace if claim.queueing == Queueing::No => claim.queueing = Queueing::Barging,
            Bug::WritersAreReaders if claim.mode == Mode::Exclusive => claim.mode = Mode::Shared,
            Bug::ReadersAreWriters if claim.mode == Mode::Shared => claim.mode = Mode::Exclusive,
            Bug::TtlIgnored => claim.ttl = (claim.ttl * 1000).min(capability.ttl_max),
            Bug::TtlHalved => claim.ttl = (claim.ttl / 2).max(capability.ttl_min),
            Bug::FloorIgnored => claim.fence_floor = None,
            Bug::ProposalIsAFloor => claim.fence_floor = claim.fence_floor.max(claim.fence_proposal),
            Bug::FifoIsBarging if claim.queueing == Queueing::Fifo => claim.queueing = Queueing::Barging,
            Bug::WaitersNeverTurn if self.ledger().waiting.contains(&claim.id) => {
                claim.queueing = Queueing::Barging;
            }
            Bug::SilentWaiterStays if claim.queueing != Queueing::No => claim.ttl = capability.ttl_max,
            Bug::WriterHasNoPlace if claim.mode == Mode::Exclusive && claim.queueing == Queueing::Barging => {
                claim.queueing = Queueing::No;
            }
            Bug::AmendCreates => claim.intent = Intent::Hold,
            Bug::DetachIgnored => claim.binding = Binding::Client,
            Bug::NothingIsBound => claim.binding = Binding::Ttl,
            Bug::LockDelayIgnored => claim.lock_delay = Duration::ZERO,
            Bug::DowngradeDoesNothing if claim.intent == Intent::Amend && claim.mode == Mode::Shared => {
                claim.mode = Mode::Exclusive;
            }
            Bug::NoteNeverChanges => {
                claim.note = self.ledger().notes.entry(claim.id).or_insert(claim.note).clone();
            }
            Bug::TtlClamped => claim.ttl = claim.ttl.clamp(capability.ttl_min, capability.ttl_max),
            Bug::NoteCut => {
                claim.note = claim.note.map(|note| note.chars().take(1000).collect::<String>().into())
            }
            Bug::PermitsCountHolders | Bug::MismatchIgnored => claim.mode = self.permits(&claim),
            _ => {}
        }
        claim
    }

    fn permits(&self, claim: &Claim) -> Mode {
        match claim.mode {
            Mode::Permits { take, of } if self.is(Bug::PermitsCountHolders) && take <= of && take > 0 => {
                Mode::Permits { take: 1, of }
            }
            Mode::Permits { take, of } if take <= of && take > 0 => {
                let of = *self.ledger().limits.entry(claim.name.clone()).or_insert(of);
                Mode::Permits { take: take.min(of), of }
            }
            other => other,
        }
    }

    async fn claim_badly(&self, original: &Claim) -> Result<Standing> {
        if self.is(Bug::GhostClaim) {
            self.leave_a_ghost(original).await;
        }
        if let Some(refusal) = self.refuses_early(original).await? {
            return Ok(refusal);
        }
        let claim = self.distorted(original);
        if self.is(Bug::CheckThenAct) {
            return self.check_then_act(&claim).await;
        }
        if self.is(Bug::WaitersAreNotRefreshed) && self.ledger().waiting.contains(&claim.id) {
            return self.inner.claim(&Claim { ttl: Duration::from_millis(10), ..claim }).await;
        }
        let standing = self.inner.claim(&claim).await?;
        let standing = self.retell(original, standing);
        let asked = self.ledger().waiting.iter().filter(|id| **id == claim.id).count();
        if self.is(Bug::ContentionGivesIn) && asked > 3 {
            self.inner.force_release(&claim.name).await?;
            return self.inner.claim(&claim).await;
        }
        if self.is(Bug::UpgradeLosesTheHold) && matches!(standing, Standing::Held(_)) {
            self.inner.release(&claim).await?;
        }
        Ok(standing)
    }

    /// The store does it a little later, whether or not anybody still waits for the answer.
    async fn leave_a_ghost(&self, claim: &Claim) {
        let (inner, env, claim) = (self.inner.clone(), self.env.clone(), claim.clone());
        let (send, receive) = tokio::sync::oneshot::channel();
        self.env.spawn(async move {
            env.sleep(Duration::from_millis(5)).await;
            let _ = inner.claim(&claim).await;
            let _ = send.send(());
        });
        let _ = receive.await;
    }

    async fn refuses_early(&self, claim: &Claim) -> Result<Option<Standing>> {
        let holder = self.ledger().holders.get(&claim.name).cloned();
        if self.is(Bug::EvictedComesBack) && holder.is_some_and(|holder| holder.id != claim.id) {
            let known = self.ledger().grants.contains_key(&claim.id);
            if known {
                self.inner.force_release(&claim.name).await?;
                return self
                    .inner
                    .claim(&Claim { id: ClaimId::mint(&self.env), ..claim.clone() })
                    .await
                    .map(Some);
            }
        }
        if self.is(Bug::RepeatIsRefused) && self.ledger().grants.contains_key(&claim.id) {
            return self
                .inner
                .claim(&Claim { id: ClaimId::mint(&self.env), ..claim.clone() })
                .await
                .map(Some);
        }
        Ok(None)
    }

    /// Reads that the lock is free; by the time it writes that may be wrong.
    async fn check_then_act(&self, claim: &Claim) -> Result<Standing> {
        let free = self.inner.inspect(&claim.name).await?.holders.is_empty();
        self.env.sleep(Duration::from_millis(1)).await;
        let mine = Claim { mode: Mode::Shared, ..claim.clone() };
        if free && claim.mode == Mode::Exclusive {
            self.inner.claim(&mine).await
        } else {
            self.inner.claim(claim).await
        }
    }

    async fn renew_badly(&self, original: &Claim) -> Result<Renewal> {
        let claim = &self.distorted(original);
        match self.bug {
            Bug::RenewDoesNothing => return Ok(Renewal::Renewed { valid_for: claim.ttl }),
            Bug::RenewIgnoresId => {
                let holder = self.ledger().holders.get(&claim.name).cloned();
                let holder = holder.map_or(claim.clone(), |holder| Claim { ttl: claim.ttl, ..holder });
                return self.renew_one(&holder).await;
            }
            Bug::RenewShortens => {
                let renewal = self.renew_one(claim).await?;
                if matches!(renewal, Renewal::Renewed { .. }) {
                    self.inner.release(claim).await?;
                    self.inner.claim(claim).await?;
                }
                return Ok(renewal);
            }
            Bug::RenewGrantsAnew => *self.ledger().counters.entry(claim.name.clone()).or_default() += 1,
            _ => {}
        }
        match self.renew_one(claim).await? {
            Renewal::Gone(_) if self.is(Bug::RenewCreates) => {
                self.inner.claim(claim).await?;
                Ok(Renewal::Renewed { valid_for: claim.ttl })
            }
            Renewal::Gone(leasehold_core::LostReason::ForceReleased) if self.is(Bug::EvictedNotTold) => {
                Ok(Renewal::Renewed { valid_for: claim.ttl })
            }
            other => Ok(other),
        }
    }

    async fn renew_one(&self, claim: &Claim) -> Result<Renewal> {
        self.inner.renew(std::slice::from_ref(claim)).await.remove(0)
    }

    async fn release_badly(&self, original: &Claim) -> Result<Release> {
        let mut claim = Claim { name: distort(self.bug, &original.name), ..original.clone() };
        if let Some(fresh) = self.ledger().fresh.get(&claim.id) {
            claim.id = *fresh;
        }
        match self.bug {
            Bug::ReleaseDoesNothing => return Ok(Release::Released),
            Bug::ReleaseIgnoresId => {
                let holder = self.ledger().holders.remove(&claim.name);
                claim.id = holder.map_or(claim.id, |holder| holder.id);
            }
            Bug::ReleaseLater => {
                let (inner, env) = (self.inner.clone(), self.env.clone());
                self.env.spawn(async move {
                    env.sleep(Duration::from_millis(5)).await;
                    let _ = inner.release(&claim).await;
                });
                return Ok(Release::Released);
            }
            Bug::WaitersCannotLeave => {
                let waiters = self.inner.inspect(&claim.name).await?.waiters;
                if waiters.iter().any(|waiter| waiter.tag == Contender::tag_of(claim.id)) {
                    return Ok(Release::NotHeld);
                }
            }
            Bug::CountersDieWithTheLock => drop(self.ledger().counters.remove(&claim.name)),
            _ => {}
        }
        match self.inner.release(&claim).await? {
            Release::NotHeld if self.is(Bug::ReleaseAlwaysReleased) => Ok(Release::Released),
            Release::NotHeld if self.is(Bug::LateReleaseOpens) => {
                self.inner.force_release(&claim.name).await?;
                Ok(Release::NotHeld)
            }
            other => Ok(other),
        }
    }

    async fn list_badly(&self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        match self.bug {
            Bug::ListContains => {
                let all = self.inner.list("", usize::MAX).await?;
                Ok(all.into_iter().filter(|it| it.name.as_str().contains(prefix)).take(limit).collect())
            }
            Bug::ListPattern => self.inner.list(prefix.trim_end_matches(['%', '*']), limit).await,
            Bug::ListUnlimited => self.inner.list(prefix, usize::MAX).await,
            Bug::ListOnePage => self.inner.list(prefix, limit.min(100)).await,
            Bug::ListUnordered => {
                let mut all = self.inner.list(prefix, limit).await?;
                all.reverse();
                Ok(all)
            }
            _ => self.inner.list(prefix, limit).await,
        }
    }

    async fn force_badly(&self, name: &LockName) -> Result<Vec<Contender>> {
        match self.bug {
            Bug::ForceDoesNothing => return Ok(Vec::new()),
            Bug::ForceKeepsTheToken => {
                let mut ledger = self.ledger();
                let counter = ledger.counters.entry(name.clone()).or_default();
                *counter = counter.saturating_sub(1);
            }
            Bug::ForceTakesPrefixes => {
                for snapshot in self.inner.list(name.as_str(), usize::MAX).await? {
                    self.inner.force_release(&snapshot.name).await?;
                }
            }
            Bug::ForceEvictsTheQueue => {
                let waiting = self.ledger().waiting.clone();
                for id in waiting {
                    self.inner.release(&Claim::new(name.clone(), id, Duration::from_secs(1))).await?;
                }
            }
            _ => {}
        }
        let evicted = self.inner.force_release(name).await?;
        Ok(if self.is(Bug::ForceSaysNobody) { Vec::new() } else { evicted })
    }

    async fn inspect_badly(&self, name: &LockName) -> Result<Snapshot> {
        if self.is(Bug::LookingProlongs) {
            let holder = self.ledger().holders.get(name).cloned();
            if let Some(holder) = holder {
                self.renew_one(&Claim { ttl: holder.ttl * 4, ..holder }).await?;
            }
        }
        let mut snapshot = self.inner.inspect(&distort(self.bug, name)).await?;
        snapshot.name = name.clone();
        match self.bug {
            Bug::WaitersHidden => snapshot.waiters.clear(),
            Bug::QueueShownBackwards => snapshot.waiters.reverse(),
            Bug::NotesHidden => snapshot.holders.iter_mut().for_each(|holder| holder.note = None),
            _ => {}
        }
        Ok(snapshot)
    }
}

impl Mutant {
    async fn vitals_badly(&self) -> Result<ServerInfo> {
        let mut server_info = self.inner.server_info().await?;
        match self.bug {
            Bug::ServerNamedAnew => server_info.server = format!("{:x}", self.env.random()).into(),
            Bug::CalendarStandsStill => server_info.wall_us = 1_700_000_000_000_000,
            _ => {}
        }
        Ok(server_info)
    }
}

impl Store for Mutant {
    fn capability(&self) -> &Capability {
        self.inner.capability()
    }

    fn url(&self) -> &str {
        self.inner.url()
    }

    fn server_info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        Box::pin(self.vitals_badly())
    }

    fn revalidation<'a>(&'a self, seen: &'a mut u64) -> BoxFuture<'a, ()> {
        self.inner.revalidation(seen)
    }

    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Standing>> {
        Box::pin(self.claim_badly(claim))
    }

    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>> {
        Box::pin(async move {
            let mut answers = Vec::new();
            for claim in claims {
                answers.push(self.renew_badly(claim).await);
            }
            if self.is(Bug::RenewReversed) {
                answers.reverse();
            }
            answers
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        Box::pin(self.release_badly(claim))
    }

    fn watch<'a>(&'a self, name: &'a LockName, interest: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        Box::pin(super::wake::watch(self, name, interest))
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        Box::pin(self.inspect_badly(name))
    }

    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        Box::pin(self.list_badly(prefix, limit))
    }

    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        Box::pin(self.force_badly(name))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        if self.is(Bug::CloseDoesNothing) { Box::pin(async { Ok(()) }) } else { self.inner.close() }
    }
}
