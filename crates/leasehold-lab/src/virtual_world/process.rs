//! [`Process`]: a clock, tasks and rng of its own; what can happen to it.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use leasehold_core::{BoxFuture, Env, Moment, env::Environment};

use tokio::sync::oneshot;

use super::{Action, Way, World, clock::Clock, lock, task::Task};
use crate::rng::Rng;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    /// It runs.
    Running,
    /// Nothing of it runs; what arrives is kept for later; its clock goes on.
    Paused,
    /// It is gone.
    Dead,
}

/// A process, as the world has it.
pub(super) struct Member {
    pub(super) status: Status,
    pub(super) clock: Clock,
    /// How far its calendar is ahead of its clock, in microseconds.
    calendar_us: u64,
    rng: Rng,
    timers: BTreeMap<(Moment, u64), Waker>,
    arrivals: u64,
    tasks: Vec<Arc<Task>>,
    /// Messages that arrived while it was paused.
    pub(super) inbox: Vec<Action>,
}

impl Member {
    pub(super) fn new(clock: Clock, rng: Rng) -> Member {
        Member {
            status: Status::Running,
            clock,
            calendar_us: 1_700_000_000_000_000,
            rng,
            timers: BTreeMap::new(),
            arrivals: 0,
            tasks: Vec::new(),
            inbox: Vec::new(),
        }
    }

    /// When its next timer is due.
    pub(super) fn next_ns(&self) -> Option<u64> {
        let runs = self.status == Status::Running;
        self.timers.first_key_value().filter(|_| runs).map(|(key, _)| self.clock.when(key.0))
    }

    pub(super) fn take_due(&mut self, now_ns: u64, due: &mut Vec<Waker>) {
        if self.status != Status::Running || self.timers.is_empty() {
            return;
        }
        let now = self.clock.read(now_ns);
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > now {
                return;
            }
            due.push(entry.remove());
        }
    }
}

/// A handle to a process: an [`Environment`] for what runs in it.
#[derive(Clone)]
pub struct Process {
    world: World,
    number: u32,
}

impl Process {
    pub(super) fn new(world: World, number: u32) -> Process {
        Process { world, number }
    }

    /// Its number: processes are numbered from 0 in the order in which they were made.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The world it is in.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The door through which code in it sees the world.
    pub fn env(&self) -> Env {
        Env::new(self.clone())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Member) -> T) -> T {
        look(&mut self.world.state().members[self.number as usize])
    }

    /// A moment on its clock in microseconds of the world.
    pub(crate) fn world_us(&self, moment: Moment) -> u64 {
        self.with(|member| member.clock.when(moment)) / 1000
    }

    /// Sends a request to another process and completes with the answer. `request` runs once for each time the request
    /// arrives, with `false` when the receiver is dead: its host answers then, without delay. Never completes when the
    /// request or the answer is lost.
    pub(super) fn call<T: Send + 'static, F: Fn(bool) -> T + Send + Sync + 'static>(
        &self,
        to: &Process,
        request: F,
    ) -> impl Future<Output = T> + Send + use<T, F> {
        let way = Way::between(self, to);
        let (answer, reply) = oneshot::channel();
        let answer = Arc::new(Mutex::new(Some(answer)));
        let world = self.world.clone();
        self.world.send(way, move |is_alive| {
            let (answer, answered) = (answer.clone(), Mutex::new(Some(request(is_alive))));
            let deliver = move |_: bool| {
                if let (Some(answer), Some(answered)) = (lock(&answer).take(), lock(&answered).take()) {
                    // A client that no longer waits gets nothing.
                    let _ = answer.send(answered);
                }
            };
            if is_alive {
                world.send(way.reversed(), deliver);
            } else {
                deliver(false);
            }
        });
        async {
            match reply.await {
                Ok(answered) => answered,
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// Whether it is gone.
    pub fn is_dead(&self) -> bool {
        self.with(|member| member.status == Status::Dead)
    }

    /// Nothing of it runs for that long.
    pub fn pause(&self, span: Duration) {
        self.world.pause(self.number, span);
    }

    /// Suspends the machine for that long. Its clock counts it.
    pub fn suspend(&self, span: Duration) {
        self.pause(span);
    }

    /// It ends without running anything more.
    pub fn kill(&self) {
        self.world.kill(self.number);
    }

    /// It may run again, with nothing in it.
    pub fn revive(&self) {
        self.with(|member| member.status = Status::Running);
    }

    /// Moves its clock, calendar and all, by so many milliseconds.
    pub fn jump(&self, by_ms: i64) {
        let now_ns = self.world.now_ns();
        self.with(|member| member.clock.jump(now_ns, by_ms.saturating_mul(1_000_000)));
    }

    /// Lets its clock run so fast.
    pub fn set_rate(&self, per_mille: u64) {
        let now_ns = self.world.now_ns();
        self.with(|member| member.clock.set_rate(now_ns, per_mille));
    }

    /// Gives way once: whatever else is ready may run first, and a pause may begin.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn yield_now(&self) {
        let mut has_waited = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut has_waited, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

impl World {
    fn pause(&self, number: u32, span: Duration) {
        {
            let mut state = self.state();
            let member = &mut state.members[number as usize];
            if member.status != Status::Running {
                return;
            }
            member.status = Status::Paused;
        }
        let world = self.clone();
        self.at(self.age() + span, move || world.resume(number));
    }

    fn resume(&self, number: u32) {
        let inbox = {
            let mut state = self.state();
            let member = &mut state.members[number as usize];
            if member.status != Status::Paused {
                return;
            }
            member.status = Status::Running;
            std::mem::take(&mut member.inbox)
        };
        inbox.into_iter().for_each(|delivery| delivery());
    }

    pub(super) fn kill(&self, number: u32) {
        let (tasks, _timers, _inbox) = {
            let mut state = self.state();
            let member = &mut state.members[number as usize];
            member.status = Status::Dead;
            let tasks = std::mem::take(&mut member.tasks);
            (tasks, std::mem::take(&mut member.timers), std::mem::take(&mut member.inbox))
        };
        // Dropped outside of the lock: what is dropped cancels its timers.
        tasks.iter().for_each(|task| drop(task.kill()));
    }
}

/// Completes when the clock of a process shows a moment.
struct Sleep {
    process: Process,
    moment: Moment,
    arrival: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let now_ns = self.process.world.now_ns();
        let (moment, arrival) = (self.moment, self.arrival);
        let put = self.process.with(|member| {
            if member.clock.read(now_ns) >= moment {
                return None;
            }
            let arrival = arrival.unwrap_or_else(|| {
                member.arrivals += 1;
                member.arrivals
            });
            member.timers.insert((moment, arrival), context.waker().clone());
            Some(arrival)
        });
        self.arrival = put.or(arrival);
        if put.is_some() { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(arrival) = self.arrival {
            let key = (self.moment, arrival);
            let _waker = self.process.with(|member| member.timers.remove(&key));
        }
    }
}

impl Environment for Process {
    fn now(&self) -> Moment {
        let now_ns = self.world.now_ns();
        self.with(|member| member.clock.read(now_ns))
    }

    fn wall_us(&self) -> u64 {
        let now_us = self.now().nanos() / 1000;
        self.with(|member| member.calendar_us) + now_us
    }

    fn sleep_until(&self, moment: Moment) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { process: self.clone(), moment, arrival: None })
    }

    /// Tasks spawned by a dead process, as by guards dropped with it, never run.
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        if self.is_dead() {
            return;
        }
        // A world may be played within a task of tokio's, whose budget is not that of the tasks in it.
        let task = Box::pin(tokio::task::unconstrained(task));
        let task = self.world.0.ready.spawn(self.number, task);
        self.with(|member| {
            member.tasks.retain(|task| !task.is_over());
            member.tasks.push(task);
        });
    }

    fn random(&self) -> u128 {
        self.with(|member| u128::from(member.rng.next_u64()) << 64 | u128::from(member.rng.next_u64()))
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process({})", self.number)
    }
}
