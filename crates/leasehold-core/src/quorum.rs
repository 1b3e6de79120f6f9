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
mod proposals;
mod release;
mod renew;
mod watch;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64},
    },
};

use tokio::sync::watch::Sender;

pub use options::QuorumOptions;

use crate::{
    Capability, Claim, Contender, Env, Error, ErrorKind, Interest, LockName, Release, Renewal, Result,
    Revalidations, ServerInfo, Snapshot, Standing, Store, Wake,
    decide::votes::majority,
    store_kit::{self, ClientState, Explain},
};
use fan_out::FanOut;
use member::MemberState;
use ordering::ClaimOrders;
use proposals::KeptProposals;

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
pub struct Quorum(Arc<Core>);

struct Core {
    members: Vec<Arc<MemberState>>,
    env: Env,
    options: QuorumOptions,
    orders: Arc<ClaimOrders>,
    proposals: KeptProposals,
    identified: AtomicBool,
    /// How far the members' calendar is ahead of our clock.
    clock_offset_us: AtomicI64,
    /// The same for the least token that the member whose clock is furthest ahead grants.
    least_offset_us: AtomicI64,
    ended: Sender<bool>,
    state: ClientState,
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
            state: ClientState::new(capability, &options.url, Revalidations::default()),
            orders: ClaimOrders::new(members.len()),
            proposals: KeptProposals::default(),
            members,
            env,
            options,
            identified: AtomicBool::new(false),
            clock_offset_us: AtomicI64::new(i64::try_from(clock_offset_us).unwrap_or(0)),
            least_offset_us: AtomicI64::new(i64::MIN),
            ended: Sender::new(false),
        });
        for member in &core.members {
            core.env.spawn(watch::forward_revalidations(Arc::downgrade(&core), member.number));
        }
        Ok(Quorum(core))
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
        quorum.0.identified().await.explain_store("connect", quorum.url())?;
        Ok(quorum)
    }
}

impl Core {
    /// The error with the failures of members, of which those that are still called have not answered.
    fn too_few<T: Send>(&self, failures: &[(usize, Error)], calls: &FanOut<T>) -> Error {
        self.no_quorum(self.members.iter().map(|member| {
            let failed = failures.iter().find(|(at, _)| *at == member.number);
            let is_silent = calls.members().any(|at| at == member.number);
            failed.map(|(_, error)| member.says(error)).or(is_silent.then(|| member.says("no answer")))
        }))
    }

    /// The error with the failures of the members.
    fn no_quorum(&self, failures: impl IntoIterator<Item = Option<String>>) -> Error {
        let (needed, all) = (majority(self.members.len()), self.members.len());
        let failures: Vec<String> = failures.into_iter().flatten().collect();
        let message = format!("{needed} of {all} members are needed; {}", failures.join("; "));
        Error::new(ErrorKind::NoQuorum, message).hint("bring members back; `leasehold doctor` diagnoses each")
    }
}

/// Ends the background tasks.
impl Drop for Core {
    fn drop(&mut self) {
        self.ended.send_replace(true);
    }
}

impl store_kit::Verbs for Quorum {
    fn state(&self) -> &ClientState {
        &self.0.state
    }

    async fn server_info(&self) -> Result<ServerInfo> {
        self.0.server_info().await
    }

    async fn claim(&self, claim: &Claim) -> Result<Standing> {
        self.0.claim(claim).await
    }

    async fn renew(&self, claims: &[Claim]) -> Vec<Result<Renewal>> {
        self.0.renew(claims).await
    }

    async fn release(&self, claim: &Claim) -> Result<Release> {
        self.0.release(claim).await
    }

    async fn watch(&self, name: &LockName, interest: Interest) -> Result<Box<dyn Wake>> {
        self.0.watch(name, interest).await
    }

    async fn inspect(&self, name: &LockName) -> Result<Snapshot> {
        self.0.inspect(name).await
    }

    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Snapshot>> {
        self.0.list(prefix, limit).await
    }

    async fn force_release(&self, name: &LockName) -> Result<Vec<Contender>> {
        self.0.force_release(name).await
    }

    /// Closes all members after the requests under way: a release that a majority has answered may still be on its way to
    /// the others. One that hangs is waited for as long as for any answer.
    async fn close(&self) -> Result<()> {
        let core = &self.0;
        if !core.state.close() {
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
    }
}

impl fmt::Debug for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Quorum").field(&self.0.options.url).finish()
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Core").field(&self.options.url).finish()
    }
}

#[cfg(test)]
mod tests;
