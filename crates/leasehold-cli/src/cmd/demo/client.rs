//! [`ShopClient`]: sells items with one of the three strategies.

use std::time::Duration;

use anyhow::{Context, Result};
use leasehold::{Client, FencingToken, Mutex, MutexGuard};

use super::{
    config::{Strategy, WorkerArgs},
    event::Kind,
    shop::{Reading, Sale, Shop},
    worker::Worker,
};

/// Polling interval of the naive lock.
const NAIVE_POLL: Duration = Duration::from_millis(5);
/// Time limit for the last release.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Sells items with one of the three strategies.
pub(super) struct ShopClient {
    shop: Shop,
    lock: Lock,
}

enum Lock {
    None,
    /// Set if absent with an expiry, in the shop's database.
    Naive(Duration),
    Leasehold(Client, Box<Mutex>),
}

impl ShopClient {
    /// Opens the shop and the lock.
    pub(super) async fn open(args: &WorkerArgs) -> Result<ShopClient> {
        let ttl = Duration::from_millis(args.ttl_ms);
        let lock = match args.strategy {
            Strategy::NoLock => Lock::None,
            Strategy::NaiveLock => Lock::Naive(ttl),
            Strategy::Leasehold => {
                let path = args.locks();
                let path = path.to_str().context("the path of the temporary directory is not UTF-8")?;
                let client = Client::connect(&format!("sqlite:{path}")).await?;
                let mutex = client.mutex("shop")?.with_terms(|terms| terms.ttl(ttl).fair())?;
                Lock::Leasehold(client, Box::new(mutex))
            }
        };
        Ok(ShopClient { shop: Shop::open(&args.shop())?, lock })
    }

    /// Sells one item; `false` when none is left.
    pub(super) async fn sell(&mut self, worker: &mut Worker) -> Result<bool> {
        worker.next_customer().await;
        match &self.lock {
            Lock::None => sell_unfenced(&mut self.shop, worker).await,
            Lock::Naive(ttl) => {
                worker.report(Kind::Waiting)?;
                while !self.shop.naive_lock(worker.env.now().nanos(), (worker.env.now() + *ttl).nanos())? {
                    worker.env.sleep(NAIVE_POLL).await;
                }
                let again = sell_unfenced(&mut self.shop, worker).await?;
                self.shop.naive_unlock()?;
                Ok(again)
            }
            Lock::Leasehold(_, mutex) => {
                worker.report(Kind::Waiting)?;
                let guard = mutex.lock().await?;
                let token = guard.fencing_token().context("the store gave no fencing token")?;
                worker.report(Kind::Entered { fence: Some(token.get()) })?;
                let again = sell_fenced(&mut self.shop, worker, &guard, token).await?;
                worker.report(Kind::Left)?;
                guard.release().await?;
                Ok(again)
            }
        }
    }

    /// Closes the client of the lock.
    pub(super) async fn close(self) -> Result<()> {
        if let Lock::Leasehold(client, _) = self.lock {
            client.close(CLOSE_TIMEOUT).await?;
        }
        Ok(())
    }
}

/// Reads, pays and writes, without a check between reading and writing.
async fn sell_unfenced(shop: &mut Shop, worker: &mut Worker) -> Result<bool> {
    worker.report(Kind::Entered { fence: None })?;
    let read = shop.stock()?;
    if read > 0 {
        worker.pay().await;
        worker.about_to_write(read).await?;
        let found = shop.sell(worker.args.worker, read)?;
        worker.report(Kind::Sold { read, found })?;
    }
    worker.report(Kind::Left)?;
    Ok(read > 0)
}

/// Presents the token when it reads and again when it writes, and stops if the lease is lost. Only the worker that was
/// stopped writes even then, to show that the shop refuses it.
async fn sell_fenced(
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
        Err(_) => return report_lost(worker, guard, false),
    };
    if read <= 0 {
        return Ok(false);
    }
    let writes_anyway = worker.about_to_write(read).await?;
    if guard.check().is_err() {
        report_lost(worker, guard, writes_anyway)?;
        if !writes_anyway {
            return Ok(true);
        }
    }
    let sale = shop.sell_fenced(worker.args.worker, read, token)?;
    report(worker, read, token, sale)
}

/// Reports a lost lease; the worker goes on with the next customer.
fn report_lost(worker: &Worker, guard: &MutexGuard, writes_anyway: bool) -> Result<bool> {
    worker.report(Kind::LeaseLost { deadline_ns: guard.deadline().nanos(), writes_anyway })?;
    Ok(true)
}

fn report(worker: &Worker, read: i64, token: FencingToken, sale: Sale) -> Result<bool> {
    worker.report(match sale {
        Sale::Written { found } => Kind::Sold { read, found },
        Sale::Refused { mark } => Kind::Refused { fence: token.get(), mark },
    })?;
    Ok(true)
}
