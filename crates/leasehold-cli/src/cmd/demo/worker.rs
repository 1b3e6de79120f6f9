//! [`Worker`]: a process that sells items until none is left, and prints each step on stdout.

use std::{fs::File, io::Write, process::ExitCode, time::Duration};

use anyhow::{Context, Result, ensure};
use leasehold::{Client, FencingToken, Mutex, MutexGuard, env::Env};
use rustix::process::{Signal, getpid, kill_process, set_parent_process_death_signal};

use super::{
    config::{Strategy, WorkerArgs},
    event::{Event, Kind},
    shop::{Access, Shop},
};

/// Polling interval of the naive lock.
const NAIVE_POLL: Duration = Duration::from_millis(5);
/// Time limit for the last release.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The state of a worker process.
struct Worker {
    args: WorkerArgs,
    env: Env,
    shop: Shop,
    random: u64,
}

/// Runs a worker process. The parent reports its failure.
pub(super) async fn run(args: WorkerArgs) -> Result<ExitCode> {
    // The end of the parent ends a worker, also one that is stopped.
    set_parent_process_death_signal(Some(Signal::KILL)).context("no parent-death signal")?;
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
                while self.sell_unfenced().await? {}
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
        let again = self.sell_unfenced().await?;
        self.shop.naive_unlock()?;
        Ok(again)
    }

    async fn sell_with_leasehold(&mut self, mutex: &Mutex) -> Result<bool> {
        self.report(Kind::Waiting)?;
        let guard = mutex.lock().await?;
        let token = guard.fencing_token().context("the store gave no fencing token")?;
        self.report(Kind::Entered { fence: Some(token.get()) })?;
        let again = self.sell_fenced(&guard, token).await?;
        self.report(Kind::Left)?;
        guard.release().await?;
        self.next_customer().await;
        Ok(again)
    }

    /// Reads, pays and writes, without a check between reading and writing.
    async fn sell_unfenced(&mut self) -> Result<bool> {
        self.report(Kind::Entered { fence: None })?;
        let read = self.shop.stock()?;
        if read > 0 {
            self.pay().await;
            self.pause_if_due(read)?;
            let found = self.shop.sell(self.args.worker, read)?;
            self.report(Kind::Sold { read, found })?;
        }
        self.report(Kind::Left)?;
        self.next_customer().await;
        Ok(read > 0)
    }

    /// Presents the token when it reads and again when it writes, and stops if the lease is lost. Only the worker that
    /// was stopped writes even then, to show that the shop refuses it.
    async fn sell_fenced(&mut self, guard: &MutexGuard, token: FencingToken) -> Result<bool> {
        let reading = guard.run(async {
            let reading = self.shop.claim(token)?;
            if matches!(reading, Access::Stock(1..)) {
                self.pay().await;
            }
            anyhow::Ok(reading)
        });
        let read = match reading.await {
            Ok(Ok(Access::Stock(..=0))) => return Ok(false),
            Ok(Ok(Access::Stock(read))) => read,
            Ok(Ok(Access::Refused { mark })) => return self.report_refused(token, mark),
            Ok(Err(error)) => return Err(error),
            Err(_) => return self.report_lost(guard, false),
        };
        let writes_anyway = self.pause_if_due(read)?;
        if guard.check().is_err() {
            self.report_lost(guard, writes_anyway)?;
            if !writes_anyway {
                return Ok(true);
            }
        }
        match self.shop.sell_fenced(self.args.worker, read, token)? {
            Access::Refused { mark } => self.report_refused(token, mark),
            Access::Stock(found) => {
                self.report(Kind::Sold { read, found })?;
                Ok(true)
            }
        }
    }

    /// Waits for the payment service.
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
        self.report(Kind::LeaseLost { deadline_ns: guard.deadline().nanos(), writes_anyway })?;
        Ok(true)
    }

    fn report_refused(&self, token: FencingToken, mark: u64) -> Result<bool> {
        self.report(Kind::Refused { fence: token.get(), mark })?;
        Ok(true)
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
