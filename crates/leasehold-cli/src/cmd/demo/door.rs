//! [`Door`]: the three ways into the shop: to enter, read, pay, write and leave.

use std::time::Duration;

use anyhow::{Context, Result};
use leasehold::{Client, Env, FencingToken, Mutex, MutexGuard};

use super::{
    event::Kind,
    plan::{Assignment, Lane},
    shop::{Reading, Sale, Shop},
    worker::Worker,
};

/// How often a naive lock is asked again: it wakes nobody.
const NAIVE_POLL: Duration = Duration::from_millis(5);
/// For how long the last release is awaited.
const CLOSE: Duration = Duration::from_secs(2);

/// The door of the shop, and what must be done to go through it.
pub(crate) struct Door {
    shop: Shop,
    env: Env,
    way: Way,
}

enum Way {
    /// Just in.
    NoLock,
    /// Set if absent, with this expiry; the shop's database keeps the lock.
    NaiveLock { ttl: Duration },
    /// A mutex, and fencing tokens at the shop.
    Leasehold { client: Client, mutex: Box<Mutex> },
}

impl Door {
    /// Opens what the lane needs.
    pub(crate) async fn open(assignment: &Assignment, env: &Env) -> Result<Door> {
        let shop = Shop::open(&assignment.shop)?;
        let ttl = Duration::from_millis(assignment.ttl_ms);
        let way = match assignment.lane {
            Lane::NoLock => Way::NoLock,
            Lane::NaiveLock => Way::NaiveLock { ttl },
            Lane::Leasehold => {
                let path = assignment.locks.to_str().context("the temporary directory is not UTF-8")?;
                let client = Client::connect(&format!("sqlite:{path}")).await?;
                let mutex = client.mutex("shop")?.with_terms(|terms| terms.ttl(ttl).fair())?;
                Way::Leasehold { client, mutex: Box::new(mutex) }
            }
        };
        Ok(Door { shop, env: env.clone(), way })
    }

    /// Sells one item, or tries to; answers whether to come again.
    pub(crate) async fn sell(&mut self, worker: &mut Worker) -> Result<bool> {
        worker.greet().await;
        match &self.way {
            Way::NoLock => sell_unfenced(&mut self.shop, worker).await,
            Way::NaiveLock { ttl } => {
                worker.say(Kind::Waiting)?;
                while !self.shop.naive_lock(self.env.now().nanos(), (self.env.now() + *ttl).nanos())? {
                    self.env.sleep(NAIVE_POLL).await;
                }
                let again = sell_unfenced(&mut self.shop, worker).await?;
                self.shop.naive_unlock()?;
                Ok(again)
            }
            Way::Leasehold { mutex, .. } => {
                worker.say(Kind::Waiting)?;
                let guard = mutex.lock().await?;
                sell_fenced(&mut self.shop, worker, guard).await
            }
        }
    }

    /// Closes it.
    pub(crate) async fn close(self) -> Result<()> {
        if let Way::Leasehold { client, .. } = self.way {
            client.close(CLOSE).await?;
        }
        Ok(())
    }
}

/// Reads, pays, writes; nothing between reading and writing looks whether somebody else came in.
async fn sell_unfenced(shop: &mut Shop, worker: &mut Worker) -> Result<bool> {
    worker.say(Kind::Entered { fence: None })?;
    let read = shop.stock()?;
    if read > 0 {
        worker.pay().await;
        worker.about_to_write(read).await?;
        let found = shop.sell(worker.number(), read)?;
        worker.say(Kind::Sold { read, found })?;
    }
    worker.say(Kind::Left)?;
    Ok(read > 0)
}

/// Presents the token before it reads and again with the write, and stops where the lease is lost: except for the one
/// sale in which it was stopped, to show that the shop does not have to trust it.
async fn sell_fenced(shop: &mut Shop, worker: &mut Worker, guard: MutexGuard) -> Result<bool> {
    let token = guard.fencing_token().context("the lock file gave no fencing token")?;
    worker.say(Kind::Entered { fence: Some(token.get()) })?;
    let again = sell_under(shop, worker, &guard, token).await?;
    worker.say(Kind::Left)?;
    guard.release().await?;
    Ok(again)
}

async fn sell_under(
    shop: &mut Shop,
    worker: &mut Worker,
    guard: &MutexGuard,
    token: FencingToken,
) -> Result<bool> {
    let reading = guard.run(async {
        let reading = shop.claim(token)?;
        if matches!(reading, Reading::Stock(1..)) {
            worker.pay().await;
        }
        anyhow::Ok(reading)
    });
    let read = match reading.await {
        Ok(Ok(Reading::Stock(read))) => read,
        Ok(Ok(Reading::Refused { mark })) => return report(worker, 0, token, Sale::Refused { mark }),
        Ok(Err(error)) => return Err(error),
        Err(_) => return lost(worker, guard, false),
    };
    if read <= 0 {
        return Ok(false);
    }
    let misbehaves = worker.about_to_write(read).await?;
    if guard.check().is_err() {
        lost(worker, guard, misbehaves)?;
        if !misbehaves {
            return Ok(true);
        }
    }
    let sale = shop.sell_fenced(worker.number(), read, token)?;
    report(worker, read, token, sale)
}

/// Says that the lease is lost; there is always a next customer.
fn lost(worker: &Worker, guard: &MutexGuard, writes_anyway: bool) -> Result<bool> {
    worker.say(Kind::LeaseLost { deadline_ns: guard.deadline().nanos(), writes_anyway })?;
    Ok(true)
}

fn report(worker: &Worker, read: i64, token: FencingToken, sale: Sale) -> Result<bool> {
    worker.say(match sale {
        Sale::Written { found } => Kind::Sold { read, found },
        Sale::Refused { mark } => Kind::Refused { fence: token.get(), mark },
    })?;
    Ok(true)
}
