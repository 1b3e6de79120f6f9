//! [`Memory`]: the reference store. One process, any number of clients, nothing on disk.
//!
//! Every other store is compared with it. It lives by [`Env`]'s clock alone, so it runs in virtual time.

use std::{
    collections::BTreeMap,
    sync::{Arc, MutexGuard},
    time::Duration,
};

use crate::{
    Binding, Capability, Claim, ClaimId, Contender, Drift, Env, Exclusion, Fencing, FencingToken, Grant,
    Interest, Liveness, LockName, Moment, Release, Renewal, Result, Revalidations, ServerInfo, Snapshot,
    Standing, Wake,
    decide::lock_state::LockState,
    store_kit::{self, ClientState, Locked, Notifier, Waiters},
};

/// A client of a lock system that lives in this process's memory.
///
/// Clones of one client share its session; [`Memory::client`] opens another session on the same locks.
///
/// ```
/// use leasehold_core::{Claim, ClaimId, Env, LockName, Standing, Store, memory::Memory};
/// use std::time::Duration;
/// # fn main() -> leasehold_core::Result<()> {
/// let world = leasehold_core::env::Virtual::new(1);
/// let store = Memory::new(world.env());
/// let claim = Claim::new(LockName::new("a")?, ClaimId::mint(&world.env()), Duration::from_secs(10));
/// let standing = world.block_on(store.claim(&claim))?;
/// assert!(matches!(standing, Standing::Granted(_)));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Memory {
    session: Arc<Session>,
}

#[derive(Debug)]
struct Session {
    number: u64,
    shared: Arc<Shared>,
    state: ClientState,
}

#[derive(Debug)]
struct Shared {
    env: Env,
    server: Arc<str>,
    state: Locked<Locks>,
}

#[derive(Default, Debug)]
struct Locks {
    sessions: u64,
    fence: u64,
    /// When all data was last deleted.
    forgot: Option<Moment>,
    documents: BTreeMap<LockName, LockState>,
    waiters: Arc<Waiters<LockName, Interest>>,
}

impl Memory {
    /// Its capability.
    pub const CAPABILITY: Capability = Capability {
        scheme: "memory",
        exclusion: Exclusion::Lease,
        commits: false,
        shared: true,
        permits: u32::MAX,
        fifo: true,
        fencing: Fencing::UntilRestart,
        liveness: Liveness::Process,
        waiters: true,
        wakes: true,
        detach: true,
        notes: true,
        lists: true,
        lock_delay: true,
        votes: true,
        ttl_min: Duration::from_millis(10),
        ttl_max: Duration::from_secs(3600 * 24 * 365),
        drift: Drift::SAME_CLOCK,
    };

    /// A new, empty lock system and its first client.
    pub fn new(env: Env) -> Self {
        let server = format!("{:032x}", env.random()).into();
        Memory::on(Arc::new(Shared { env, server, state: Locked::default() }))
    }

    /// Deletes all holds, queues and tokens, like the restart of a server without persistence.
    /// For tests: holders are not notified.
    pub fn forget(&self) {
        let shared = self.shared();
        let mut locks = shared.lock();
        let names: Vec<LockName> = locks.documents.keys().cloned().collect();
        locks.documents.clear();
        locks.fence = 0;
        locks.forgot = Some(shared.env.now());
        names.iter().for_each(|name| locks.waiters.wake(name));
    }

    /// Another client of the same locks, with a session of its own.
    #[must_use]
    pub fn client(&self) -> Self {
        Memory::on(self.session.shared.clone())
    }

    fn on(shared: Arc<Shared>) -> Self {
        let number = {
            let mut locks = shared.lock();
            locks.sessions += 1;
            locks.sessions
        };
        let state = ClientState::new(Memory::CAPABILITY, "memory:", Revalidations::default());
        Memory { session: Arc::new(Session { number, shared, state }) }
    }

    fn shared(&self) -> &Shared {
        &self.session.shared
    }

    /// The locks, unless this client is closed.
    fn open(&self) -> Result<MutexGuard<'_, Locks>> {
        let locks = self.shared().lock();
        self.session.state.check_open()?;
        Ok(locks)
    }

    fn claim_now(&self, claim: &Claim) -> Result<Standing> {
        let env = &self.shared().env;
        let now = env.now();
        let wall_us = env.wall_us().saturating_sub(FencingToken::SLACK_US);
        let locks = &mut *self.open()?;
        let fence = &mut locks.fence;
        let draw = |floor: Option<FencingToken>| {
            let token = FencingToken::after(*fence, floor.map_or(wall_us, |floor| floor.get().max(wall_us)))?;
            *fence = token.get();
            Ok(Some(token))
        };
        let document = locks.documents.entry(claim.name.clone()).or_default();
        let session = (claim.binding == Binding::Client).then_some(self.session.number);
        let standing = document.claim(claim, session, now, draw)?;
        locks.settle(&claim.name);
        let Standing::Granted(grant) = standing else { return Ok(standing) };
        // A floor may have raised the token of a hold: later tokens are above it.
        locks.fence = locks.fence.max(grant.fence.map_or(0, FencingToken::get));
        Ok(Standing::Granted(Grant { remembers_for: locks.remembers_for(now), ..grant }))
    }

    fn change<T>(&self, name: &LockName, verb: impl FnOnce(&mut LockState) -> T) -> Result<T> {
        let mut locks = self.open()?;
        let answer = verb(locks.documents.entry(name.clone()).or_default());
        locks.settle(name);
        Ok(answer)
    }

    fn snapshot(&self, locks: &Locks, name: &LockName) -> Snapshot {
        let now = self.shared().env.now();
        let (holders, waiters) =
            locks.documents.get(name).map_or_else(Default::default, |document| document.contenders(now));
        let fence = FencingToken::new(locks.fence).ok().filter(|fence| fence.get() > 0);
        Snapshot { name: name.clone(), holders, waiters, fence, members: Vec::new() }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Locks> {
        self.state.lock()
    }
}

impl Session {
    fn end(&self) {
        let now = self.shared.env.now();
        let mut locks = self.shared.lock();
        if !self.state.close() {
            return;
        }
        let names: Vec<_> = locks.documents.keys().cloned().collect();
        for name in names {
            if let Some(document) = locks.documents.get_mut(&name) {
                document.expire(now);
                document.end_session(self.number, now);
            }
            locks.settle(&name);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
    }
}

impl Locks {
    fn remembers_for(&self, now: Moment) -> Duration {
        self.forgot.map_or(Duration::MAX, |forgot| now.since(forgot))
    }

    /// After a verb: wakes the subscriptions that it concerns, and removes an unused lock.
    fn settle(&mut self, name: &LockName) {
        let Some(document) = self.documents.get_mut(name) else { return };
        let runnable: Vec<ClaimId> = document.to_wake().into_iter().map(|entry| entry.id).collect();
        let changed = !document.take_changed().is_empty();
        if document.entries().is_empty() {
            self.documents.remove(name);
        }
        self.waiters.wake_if(name, |interest| match interest {
            Interest::Changes => changed,
            Interest::Turn(id) => runnable.contains(id),
        });
    }
}

impl store_kit::Verbs for Memory {
    fn state(&self) -> &ClientState {
        &self.session.state
    }

    async fn server_info(&self) -> Result<ServerInfo> {
        let (shared, locks) = (self.shared(), self.open()?);
        Ok(ServerInfo {
            server: shared.server.clone(),
            lineage: None,
            remembers_for: locks.remembers_for(shared.env.now()),
            wall_us: shared.env.wall_us(),
        })
    }

    async fn claim(&self, claim: &Claim) -> Result<Standing> {
        self.claim_now(claim)
    }

    async fn renew(&self, claims: &[Claim]) -> Vec<Result<Renewal>> {
        let now = self.shared().env.now();
        claims.iter().map(|claim| self.change(&claim.name, |document| document.renew(claim, now))).collect()
    }

    async fn release(&self, claim: &Claim) -> Result<Release> {
        let now = self.shared().env.now();
        self.change(&claim.name, |document| document.release(claim.id, now))
    }

    async fn watch(&self, name: &LockName, interest: Interest) -> Result<Box<dyn Wake>> {
        let notifier = Arc::new(Notifier::new(interest));
        Ok(Box::new(self.open()?.waiters.subscribe_with(name.clone(), notifier)))
    }

    async fn inspect(&self, name: &LockName) -> Result<Snapshot> {
        Ok(self.snapshot(&*self.open()?, name))
    }

    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        let locks = self.open()?;
        let named = locks.documents.keys().filter(|name| name.as_str().starts_with(prefix));
        let snapshots = named.map(|name| self.snapshot(&locks, name));
        Ok(snapshots.filter(|it| !it.holders.is_empty() || !it.waiters.is_empty()).take(limit).collect())
    }

    async fn force_release(&self, name: &LockName) -> Result<Vec<Contender>> {
        let now = self.shared().env.now();
        let wall_us = self.shared().env.wall_us().saturating_sub(FencingToken::SLACK_US);
        let evicted = self.change(name, |document| document.force_release(now))?;
        let mut locks = self.shared().lock();
        locks.fence = FencingToken::after(locks.fence, wall_us)?.get();
        Ok(evicted)
    }

    async fn close(&self) -> Result<()> {
        self.session.end();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
