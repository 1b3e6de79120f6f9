//! Promise: a client says how it stands with its store: in jeopardy before anything is lost, safe again when the link
//! heals, expired at the deadline.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::prelude::*;
use tokio::sync::oneshot;

cases![jeopardy_is_announced_before_the_loss_and_taken_back];

/// A link to a backend that can be cut: clients on it, clients beside it, and how long a hold lives.
pub struct Link<'l> {
    /// The clock.
    pub env: Env,
    /// Two clients whose link is cut.
    pub cut_off: [Client; 2],
    /// A client that reaches the backend all the time.
    pub beside: Client,
    /// The lock.
    pub name: LockName,
    /// The time to live of holds: so long that a request can be answered in a quarter of it.
    pub ttl: Duration,
    /// How late the backend may be.
    pub slack: Duration,
    /// Cuts the link: nothing comes through from now on.
    pub cut: &'l (dyn Fn() + Sync),
    /// Heals it.
    pub heal: &'l (dyn Fn() + Sync),
}

/// With the requests of a client lost on the way.
pub async fn jeopardy_is_announced_before_the_loss_and_taken_back(
    test: &Test,
    [one, two, beside]: [Client; 3],
) -> CaseResult {
    let is_cut = Arc::new(AtomicBool::new(false));
    let lossy = |client: Client| -> Client {
        let is_cut = is_cut.clone();
        let plan = move |_, _| if is_cut.load(Ordering::Acquire) { Fault::LoseRequest } else { Fault::None };
        Arc::new(Chaos::new(client, test.env.clone(), plan))
    };
    let link = Link {
        env: test.env.clone(),
        cut_off: [lossy(one), lossy(two)],
        beside,
        name: test.name(),
        ttl: test.lease_ttl(),
        slack: test.slack(),
        cut: &|| is_cut.store(true, Ordering::Release),
        heal: &|| is_cut.store(false, Ordering::Release),
    };
    link.is_told_of().await
}

impl Link<'_> {
    /// Cuts the link and heals it; cuts it again and leaves it so. The client says so in time, each time.
    ///
    /// The control is a client on the same link that looks at the lock in the store, as one does who has no session: when
    /// the loss is announced it has heard nothing since the cut.
    ///
    /// # Errors
    /// The broken promise.
    pub async fn is_told_of(&self) -> CaseResult {
        let [one, naive] = self.cut_off.clone();
        let engine = Engine::new(one, self.env.clone());
        let terms = options(self.ttl);
        let asked = engine.acquire(&self.name, Mode::Exclusive, &terms, Wait::No, None);
        let hold = asked.await?.ok_or_else(|| Failure::new("a hold: the lock is free", "busy"))?;
        let mut session = engine.session();
        same(session.state(), SessionState::Safe, "the state of a client that has just locked")?;
        self.endangered(&mut session, &hold).await?;
        (self.heal)();
        self.next(&mut session, SessionState::Safe).await?;
        ensure(hold.check().is_ok(), "a valid lease after the link has healed", hold.status())?;
        let mut late = self.endangered(&mut session, &hold).await.map(|()| self.look(naive))?;
        let deadline = hold.deadline();
        self.next(&mut session, SessionState::Expired).await?;
        let after = self.env.now().since(deadline);
        ensure(after <= self.slack, "the end announced by the deadline", after)?;
        ensure(hold.check().is_err(), "a lost lease", hold.status())?;
        let heard = late.try_recv();
        ensure(heard.is_err(), "the control: who looks through the same link learns nothing", heard)?;
        drop(hold);
        self.is_free().await?;
        (self.heal)();
        Ok(())
    }

    /// The link is cut: jeopardy is announced while the lease is valid, and the store still shows the holder.
    async fn endangered(&self, session: &mut Session, hold: &Hold) -> CaseResult {
        (self.cut)();
        self.next(session, SessionState::Jeopardy).await?;
        ensure(hold.check().is_ok(), "jeopardy announced before the loss", hold.status())?;
        let shown = self.beside.inspect(&self.name).await?;
        let holds = shown.holders.iter().any(|holder| holder.stance == Stance::Holding);
        ensure(holds, "the control: the lock itself looks as before", shown)
    }

    async fn next(&self, session: &mut Session, wanted: SessionState) -> CaseResult {
        let until = self.env.now() + self.ttl + self.slack;
        let state = self.env.until(until, session.changed()).await;
        same(state, Some(wanted), "the next state of the session")
    }

    /// Looks at the lock until it is seen that nobody holds it.
    fn look(&self, client: Client) -> oneshot::Receiver<Snapshot> {
        let (tell, told) = oneshot::channel();
        let (env, name) = (self.env.clone(), self.name.clone());
        self.env.spawn(async move {
            // The receiver may be gone; then it has been long enough.
            while !tell.is_closed() {
                if let Ok(shown) = client.inspect(&name).await {
                    let _ = tell.send(shown);
                    return;
                }
                env.sleep(Duration::from_millis(50)).await;
            }
        });
        told
    }

    /// Another gets the lock when its time is over.
    async fn is_free(&self) -> CaseResult {
        let claim = Claim::new(self.name.clone(), ClaimId::mint(&self.env), self.ttl);
        let patience = self.ttl + self.slack;
        wins(&self.env, &self.beside, &claim, patience, "its time to live is over").await?;
        self.beside.release(&claim).await?;
        Ok(())
    }
}
