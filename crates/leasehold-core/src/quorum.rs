//! [`Quorum`]: independent stores that vote: Redlock with fencing tokens.
//!
//! A lock is held when a majority of the configured members holds it for the claim. The steps are those of Redlock
//! (Sanfilippo, 2014): the same claim id everywhere, all members asked at once and waited for briefly, the time that passed
//! taken off, all grants released when it fails. In addition: tokens that a majority agrees on (see
//! [`votes`](crate::decide::votes)), and no vote for a member that may have lost its data.

mod claim;
mod doctor;
mod fan_out;
mod inspect;
mod member;
mod membership;
mod options;
mod ordering;
mod release;
mod renew;
mod watch;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch::Sender;

pub use options::QuorumOptions;

use crate::{
    BoxFuture, Capability, Claim, Contender, Env, Error, ErrorKind, Interest, LockName, Release, Renewal,
    Result, Revalidations, ServerInfo, Snapshot, Standing, Store, Wake, decide::votes::majority,
};
use member::MemberState;
use ordering::ClaimOrders;

/// A majority of independent stores. Clones are the same client.
///
/// ```
/// use leasehold_core::{Claim, ClaimId, Env, LockName, Quorum, QuorumOptions, Standing, Store, memory::Memory};
/// use std::{sync::Arc, time::Duration};
/// # fn main() -> leasehold_core::Result<()> {
/// let world = leasehold_core::env::Virtual::new(1);
/// let member = || Arc::new(Memory::new(world.env())) as Arc<dyn Store>;
/// let quorum = Quorum::new(vec![member(), member(), member()], QuorumOptions::default(), world.env())?;
/// let claim = Claim::new(LockName::new("a")?, ClaimId::mint(&world.env()), Duration::from_secs(10));
/// let standing = world.block_on(quorum.claim(&claim))?;
/// assert!(matches!(standing, Standing::Granted(_)));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Quorum(Arc<Handle>);

/// Ends the background tasks with the last clone.
struct Handle(Arc<Core>);

struct Core {
    members: Vec<Arc<MemberState>>,
    env: Env,
    options: QuorumOptions,
    capability: Capability,
    orders: Arc<ClaimOrders>,
    identified: AtomicBool,
    /// How far the members' calendar is ahead of our clock.
    clock_offset_us: AtomicI64,
    revalidations: Revalidations,
    ended: Sender<bool>,
    closed: AtomicBool,
}

impl Quorum {
    /// A client of these members. No I/O: the first verb identifies the members.
    ///
    /// # Errors
    /// [`ErrorKind::Unsafe`] for an even number of members, fewer than three, or a store that does not know for how long it has kept its data; [`ErrorKind::Invalid`] for options that make no sense.
    pub fn new(members: Vec<Arc<dyn Store>>, options: QuorumOptions, env: Env) -> Result<Self> {
        options.check(&members).map_err(|error| error.store(&*options.url))?;
        let each: Vec<Capability> = members.iter().map(|member| member.capability().clone()).collect();
        let capability = options.capability(&each);
        let members: Vec<Arc<MemberState>> =
            members.into_iter().enumerate().map(|(at, store)| MemberState::new(at, store)).collect();
        let clock_offset_us = i128::from(env.wall_us()) - i128::from(env.now().nanos() / 1000);
        let core = Arc::new(Core {
            orders: ClaimOrders::new(members.len()),
            members,
            env,
            options,
            capability,
            identified: AtomicBool::new(false),
            clock_offset_us: AtomicI64::new(i64::try_from(clock_offset_us).unwrap_or(0)),
            revalidations: Revalidations::default(),
            ended: Sender::new(false),
            closed: AtomicBool::new(false),
        });
        for member in &core.members {
            core.env.spawn(watch::forward_revalidations(Arc::downgrade(&core), member.number));
        }
        Ok(Quorum(Arc::new(Handle(core))))
    }

    /// As [`Quorum::new`], and identifies the members: a wrong configuration is refused at once, as far as the members
    /// can be reached.
    ///
    /// # Errors
    /// Those of [`Quorum::new`]; [`ErrorKind::Unsafe`] for a server that is named twice and for replicas of each other.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn open(members: Vec<Arc<dyn Store>>, options: QuorumOptions, env: Env) -> Result<Self> {
        let quorum = Quorum::new(members, options, env)?;
        quorum.core().identified().await.map_err(|error| error.verb("connect"))?;
        Ok(quorum)
    }

    fn core(&self) -> &Arc<Core> {
        &self.0.0
    }
}

impl Core {
    fn refuse_closed(&self) -> Result<()> {
        match self.closed.load(Ordering::Acquire) {
            true => Err(self.closed()),
            false => Ok(()),
        }
    }

    fn closed(&self) -> Error {
        Error::new(ErrorKind::Closed, "this client is closed").store(&*self.options.url)
    }

    /// The error with the state of each member.
    fn no_quorum(&self, states: &[String]) -> Error {
        let (needed, all) = (majority(self.members.len()), self.members.len());
        let message = format!("{needed} of {all} members are needed; {}", states.join("; "));
        Error::new(ErrorKind::NoQuorum, message)
            .store(&*self.options.url)
            .hint("bring members back; `leasehold doctor` diagnoses each")
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.ended.send_replace(true);
    }
}

impl Store for Quorum {
    fn capability(&self) -> &Capability {
        &self.core().capability
    }

    fn url(&self) -> &str {
        &self.core().options.url
    }

    fn server_info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        Box::pin(async move {
            let core = self.core();
            let ask = |member: Arc<MemberState>| -> BoxFuture<'static, Result<ServerInfo>> {
                Box::pin(async move { member.store.server_info().await })
            };
            let all = core.gather(ask, |_| true).await?;
            let mut servers: Vec<&str> = all.iter().map(|info| &*info.server).collect();
            servers.sort_unstable();
            let mut calendars: Vec<u64> = all.iter().map(|info| info.wall_us).collect();
            calendars.sort_unstable();
            let mut memories: Vec<Duration> = all.iter().map(|info| info.remembers_for).collect();
            memories.sort_unstable();
            Ok(ServerInfo {
                server: servers.join("+").into(),
                lineage: None,
                remembers_for: memories[memories.len() - majority(core.members.len())],
                wall_us: calendars[calendars.len() / 2],
            })
        })
    }

    fn revalidation<'a>(&'a self, seen: &'a mut u64) -> BoxFuture<'a, ()> {
        Box::pin(self.core().revalidations.after(seen))
    }

    fn claim<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Standing>> {
        Box::pin(self.core().claim(claim))
    }

    fn renew<'a>(&'a self, claims: &'a [Claim]) -> BoxFuture<'a, Vec<Result<Renewal>>> {
        Box::pin(self.core().renew(claims))
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Release>> {
        Box::pin(self.core().release(claim))
    }

    fn watch<'a>(&'a self, name: &'a LockName, interest: Interest) -> BoxFuture<'a, Result<Box<dyn Wake>>> {
        Box::pin(self.core().watch(name, interest))
    }

    fn inspect<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Snapshot>> {
        Box::pin(self.core().inspect(name))
    }

    fn list<'a>(&'a self, prefix: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Snapshot>>> {
        Box::pin(self.core().list(prefix, limit))
    }

    fn force_release<'a>(&'a self, name: &'a LockName) -> BoxFuture<'a, Result<Vec<Contender>>> {
        Box::pin(self.core().force_release(name))
    }

    /// Closes all members after the requests under way: a release that a majority has answered may still be on its way to
    /// the others. One that hangs is waited for as long as for any answer.
    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let core = self.core();
            if core.closed.swap(true, Ordering::AcqRel) {
                return Ok(());
            }
            let until = core.env.now() + core.options.node_timeout;
            for member in &core.members {
                // A member that hangs has its ttl.
                let _ = core.env.until(until, member.idle()).await;
            }
            core.ended.send_replace(true);
            let mut first = Ok(());
            for member in &core.members {
                let closed = member.store.close().await;
                first = first.and(closed);
            }
            first
        })
    }
}

impl fmt::Debug for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Quorum").field(&self.core().options.url).finish()
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Core").field(&self.options.url).finish()
    }
}

#[cfg(test)]
mod tests;
