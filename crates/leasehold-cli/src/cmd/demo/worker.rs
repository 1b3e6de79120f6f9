//! [`Worker`]: a process that sells items until none is left, and prints each step on stdout.

use std::{fs::File, io::Write, process::ExitCode, time::Duration};

use anyhow::{Context, Result, ensure};
use leasehold::{Client, FencingToken, Mutex, MutexGuard, env::Env};
use rustix::process::{Signal, getpid, kill_process};

use super::{
    config::{Strategy, WorkerArgs},
    event::{Event, Kind},
    shop::{Access, Shop},
};
use crate::platform::platform;

/// Polling interval of the naive lock.
const NAIVE_POLL: Duration = Duration::from_millis(5);
/// Time limit for the last release.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

struct Worker {
    args: WorkerArgs,
    env: Env,
    shop: Shop,
    random: u64,
}

/// Runs a worker process. The parent reports its failure.
pub(super) async fn run(args: WorkerArgs) -> Result<ExitCode> {
    // The end of the parent ends a worker, also one that is stopped.
    platform().end_with_parent().context("no parent-death signal")?;
    let random = args.config.seed.wrapping_mul(1000).wrapping_add(u64::from(args.worker));
    let shop = Shop::open(&args.shop)?;
    let mut worker = Worker { args, env: Env::system()?, shop, random };
    let Err(error) = worker.sell_all().await else { return Ok(ExitCode::SUCCESS) };
    // Fails if the parent has ended.
    let _ = worker.report(Kind::Failed { message: format!("{error:#}") });
    Ok(ExitCode::FAILURE)
}

impl Worker {
    async fn sell_all(&mut self) -> Result<()> {
        match self.args.strategy {
            Strategy::NoLock => {
                self.wait_for_start()?;
                while self.sell_unlocked().await? {}
            }
            Strategy::NaiveLock => {
                self.wait_for_start()?;
                while self.sell_with_naive_lock().await? {}
            }
            Strategy::Leasehold => {
                let (client, mutex) = self.connect().await?;
                self.wait_for_start()?;
                while self.sell_with_leasehold(&mutex).await? {}
                client.close(CLOSE_TIMEOUT).await?;
            }
        }
        self.report(Kind::SoldOut)
    }

    async fn connect(&self) -> Result<(Client, Mutex)> {
        let path = self.args.locks.to_str().context("the path of the temporary directory is not UTF-8")?;
        let client = Client::connect(&format!("sqlite:{path}")).await?;
        let ttl = self.args.config.ttl();
        let mutex = client.mutex("shop")?.ttl(ttl).fair();
        Ok((client, mutex))
    }

    fn wait_for_start(&self) -> Result<()> {
        self.report(Kind::Ready)?;
        let bytes = std::io::stdin().read_line(&mut String::new())?;
        ensure!(bytes > 0, "the parent has ended");
        Ok(())
    }

    async fn sell_with_naive_lock(&mut self) -> Result<bool> {
        self.report(Kind::Waiting)?;
        let ttl = self.args.config.ttl();
        while !self.shop.naive_lock(self.env.now().nanos(), (self.env.now() + ttl).nanos())? {
            self.env.sleep(NAIVE_POLL).await;
        }
        let again = self.sell_unlocked().await?;
        self.shop.naive_unlock()?;
        Ok(again)
    }

    async fn sell_with_leasehold(&mut self, mutex: &Mutex) -> Result<bool> {
        self.report(Kind::Waiting)?;
        let guard = mutex.lock().await?;
        let again = self.sell(Some(&guard)).await?;
        guard.release().await?;
        self.next_customer().await;
        Ok(again)
    }

    async fn sell_unlocked(&mut self) -> Result<bool> {
        let again = self.sell(None).await?;
        self.next_customer().await;
        Ok(again)
    }

    /// Reads, pays and writes one sale. Answers whether there was an item.
    async fn sell(&mut self, guard: Option<&MutexGuard>) -> Result<bool> {
        let token = |guard: &MutexGuard| guard.fencing_token().context("the store gave no fencing token");
        let token = guard.map(token).transpose()?;
        self.report(Kind::Entered { fence: token.map(FencingToken::get) })?;
        let again = self.sell_entered(guard, token).await?;
        self.report(Kind::Left)?;
        Ok(again)
    }

    /// Without a guard there is no check between reading and writing. With one the shop gets the token when it is read and
    /// again when it is written, and the work stops if the lease is lost; only the worker that was stopped writes even
    /// then, to show that the shop refuses it.
    async fn sell_entered(
        &mut self,
        guard: Option<&MutexGuard>,
        token: Option<FencingToken>,
    ) -> Result<bool> {
        let reading = self.read_and_pay(token);
        let reading = match guard {
            None => reading.await?,
            Some(guard) => match guard.run(reading).await {
                Ok(reading) => reading?,
                Err(_) => return self.report_lost(guard, false),
            },
        };
        let read = match reading {
            Access::Stock(..=0) => return Ok(false),
            Access::Stock(read) => read,
            Access::Refused { fence, mark } => return self.went_on(Kind::Refused { fence, mark }),
        };
        let writes_anyway = self.pause_if_due(read)?;
        if let Some(guard) = guard.filter(|guard| guard.check().is_err()) {
            self.report_lost(guard, writes_anyway)?;
            if !writes_anyway {
                return Ok(true);
            }
        }
        let kind = match self.shop.sell(self.args.worker, read, token)? {
            Access::Stock(found) => Kind::Sold { read, found },
            Access::Refused { fence, mark } => Kind::Refused { fence, mark },
        };
        self.went_on(kind)
    }

    async fn read_and_pay(&mut self, token: Option<FencingToken>) -> Result<Access> {
        let reading = self.shop.read(token)?;
        if matches!(reading, Access::Stock(1..)) {
            self.pay().await;
        }
        Ok(reading)
    }

    async fn pay(&mut self) {
        let time = self.args.config.payment().mul_f64(0.6 + 0.8 * self.random());
        self.env.sleep(time).await;
    }

    /// Waits a moment, so that the worker that sold last is not always the next.
    async fn next_customer(&mut self) {
        let time = Duration::from_millis(4).mul_f64(self.random());
        self.env.sleep(time).await;
    }

    /// Stops this process between reading and writing, if the stock is low enough and no other worker was stopped in this
    /// round. Returns whether it did.
    fn pause_if_due(&mut self, read: i64) -> Result<bool> {
        // The worker that creates the file is the one.
        let marker = self.args.shop.with_extension("paused");
        if read > self.args.config.pause_at() || File::create_new(marker).is_err() {
            return Ok(false);
        }
        self.report(Kind::Paused)?;
        kill_process(getpid(), Signal::STOP).context("cannot stop")?;
        self.report(Kind::Resumed)?;
        Ok(true)
    }

    fn report_lost(&self, guard: &MutexGuard, writes_anyway: bool) -> Result<bool> {
        self.went_on(Kind::LeaseLost { deadline_ns: guard.deadline().nanos(), writes_anyway })
    }

    fn went_on(&self, kind: Kind) -> Result<bool> {
        self.report(kind).map(|()| true)
    }

    /// Prints an event with one write, so that lines of several workers do not mix in their common pipe.
    fn report(&self, kind: Kind) -> Result<()> {
        let line = serde_json::to_string(&Event::now(&self.env, self.args.worker, kind))? + "\n";
        std::io::stdout().lock().write_all(line.as_bytes()).context("the parent does not read events")
    }

    /// A number in [0, 1): SplitMix64, so that a seed gives the same payment times everywhere.
    fn random(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}
