//! [`Virtual`]: an environment with virtual time, one thread and one seed.

use std::{
    collections::VecDeque,
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use super::{
    Env, Environment, Moment,
    timer::{Sleep, Timers},
};
use crate::{BoxFuture, store_kit::Locked};

/// A virtual world. Time stands still while anything can run and then jumps to the next timer, so an hour of waiting
/// takes no time, and one seed gives one run.
///
/// ```
/// use std::time::Duration;
/// let world = leasehold_core::env::Virtual::new(7);
/// let env = world.env();
/// let begin = env.now();
/// world.block_on(env.sleep(Duration::from_secs(3600)));
/// assert_eq!(env.now().since(begin), Duration::from_secs(3600));
/// ```
#[derive(Clone)]
pub struct Virtual(Arc<World>);

struct World {
    now: AtomicU64,
    wall_offset_us: AtomicU64,
    random: Locked<u64>,
    timers: Arc<Timers>,
    ready: Locked<VecDeque<Arc<Task>>>,
    alive: AtomicU64,
}

struct Task {
    world: Arc<World>,
    future: Locked<Option<BoxFuture<'static, ()>>>,
    queued: AtomicBool,
}

/// How long the future of [`Virtual::block_on`] may go without a wake-up or a timer.
const UNWOKEN_MAX: Duration = Duration::from_secs(24 * 3600);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            let world = self.world.clone();
            world.ready.lock().push_back(self);
        }
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

impl Virtual {
    /// A world that starts an hour after its boot.
    pub fn new(seed: u64) -> Self {
        Virtual(Arc::new(World {
            now: AtomicU64::new(3_600_000_000_000),
            wall_offset_us: AtomicU64::new(1_700_000_000_000_000),
            random: Locked::new(seed),
            timers: Arc::default(),
            ready: Locked::default(),
            alive: AtomicU64::new(0),
        }))
    }

    /// The environment of this world.
    pub fn env(&self) -> Env {
        Env::new(self.clone())
    }

    /// Runs `future` and all tasks until it completes, moving the clock whenever nothing can run.
    ///
    /// # Panics
    /// When nothing can run and no timer is left: a deadlock. And when `future` is not woken for a virtual day and has no
    /// timer of its own, while background tasks go on, such as the renewals of a watchdog.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let woken = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        let mut future = pin!(future);
        let mut polled = self.now();
        loop {
            if woken.0.swap(false, Ordering::AcqRel) {
                if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return output;
                }
                polled = self.now();
            }
            if self.run_one() || woken.0.load(Ordering::Acquire) {
                continue;
            }
            let due = self.0.timers.next_due().expect("deadlock: nothing can run and no timer is set");
            assert!(
                due.since(polled) < UNWOKEN_MAX || self.0.timers.wakes(&waker),
                "this virtual world cannot end: the future of block_on was not woken for a virtual day, and only background \
                 tasks run; does it wait for something outside of this world, such as tokio::time or a socket?"
            );
            self.jump_to(due);
        }
    }

    /// Lets `span` pass while tasks run.
    pub fn advance(&self, span: Duration) {
        self.block_on(self.env().sleep(span));
    }

    /// Lets `span` pass while nothing runs: the process is paused, or the machine sleeps.
    pub fn pause(&self, span: Duration) {
        self.0.now.store((self.now() + span).nanos(), Ordering::Release);
    }

    /// Steps the calendar, not the clock.
    pub fn step_wall(&self, by_us: i64) {
        self.0.wall_offset_us.fetch_add(by_us as u64, Ordering::AcqRel);
    }

    /// Runs tasks until none can run without time passing.
    pub fn settle(&self) {
        while self.run_one() {}
    }

    /// How many spawned tasks have not ended.
    pub fn tasks_alive(&self) -> u64 {
        self.0.alive.load(Ordering::Acquire)
    }

    fn jump_to(&self, moment: Moment) {
        let now = self.now().max(moment);
        self.0.now.store(now.nanos(), Ordering::Release);
        self.0.timers.fire(now);
    }

    /// Polls one ready task, chosen at random; whether there was one.
    fn run_one(&self) -> bool {
        self.0.timers.fire(self.now());
        let task = {
            let mut ready = self.0.ready.lock();
            if ready.is_empty() {
                return false;
            }
            let at = (self.roll() % ready.len() as u64) as usize;
            ready.swap_remove_front(at).expect("at is below the length of the queue")
        };
        task.queued.store(false, Ordering::Release);
        let Some(mut future) = task.future.lock().take() else { return true };
        let waker = Waker::from(task.clone());
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            *task.future.lock() = Some(future);
        } else {
            self.0.alive.fetch_sub(1, Ordering::AcqRel);
        }
        true
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn roll(&self) -> u64 {
        let mut state = self.0.random.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl std::fmt::Debug for Virtual {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Virtual({:?})", self.now())
    }
}

impl Environment for Virtual {
    fn now(&self) -> Moment {
        Moment::from_nanos(self.0.now.load(Ordering::Acquire))
    }

    fn wall_us(&self) -> u64 {
        self.0.wall_offset_us.load(Ordering::Acquire).wrapping_add(self.now().nanos() / 1000)
    }

    fn sleep_until(&self, moment: Moment) -> BoxFuture<'static, ()> {
        let world = self.clone();
        let now = move || world.now();
        Box::pin(Sleep { timers: self.0.timers.clone(), moment, queued: None, now })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.alive.fetch_add(1, Ordering::AcqRel);
        let task =
            Task { world: self.0.clone(), future: Locked::new(Some(task)), queued: AtomicBool::new(false) };
        Waker::from(Arc::new(task)).wake();
    }

    fn random(&self) -> u128 {
        u128::from(self.roll()) << 64 | u128::from(self.roll())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_is_one_run() {
        let run = |seed| {
            let world = Virtual::new(seed);
            let env = world.env();
            let log = Arc::new(Locked::new(Vec::new()));
            for index in 0..20 {
                let (env, log) = (env.clone(), log.clone());
                world.env().spawn(async move {
                    env.sleep(env.jitter(Duration::from_secs(1))).await;
                    log.lock().push((index, env.now()));
                });
            }
            world.advance(Duration::from_secs(2));
            assert_eq!(world.tasks_alive(), 0);
            std::mem::take(&mut *log.lock())
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    #[should_panic(expected = "this virtual world cannot end")]
    fn a_future_that_nothing_wakes_is_reported_although_a_background_task_goes_on() {
        let world = Virtual::new(1);
        let env = world.env();
        world.env().spawn(async move {
            loop {
                env.sleep(Duration::from_secs(10)).await;
            }
        });
        world.advance(Duration::from_secs(3 * 24 * 3600));
        world.block_on(std::future::pending::<()>());
    }

    #[test]
    fn a_pause_moves_the_clock_and_runs_nothing() {
        let world = Virtual::new(1);
        let ran = Arc::new(AtomicBool::new(false));
        let (env, flag) = (world.env(), ran.clone());
        world.env().spawn(async move {
            env.sleep(Duration::from_secs(1)).await;
            flag.store(true, Ordering::Release);
        });
        world.settle();
        let before = world.now();
        world.pause(Duration::from_secs(5));
        assert_eq!(world.now().since(before), Duration::from_secs(5));
        assert!(!ran.load(Ordering::Acquire));
        world.settle();
        assert!(ran.load(Ordering::Acquire));
    }
}
