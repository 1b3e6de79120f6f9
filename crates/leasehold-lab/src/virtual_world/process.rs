//! [`Process`]: a handle to a process, and the environment of its tasks.

use std::{
    fmt,
    future::{Future, pending, poll_fn},
    mem,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use leasehold_core::{BoxFuture, Env, Moment, env::Environment};
use tokio::sync::oneshot;

use super::{
    clock::Clock,
    member::{Member, Status},
    network::Way,
    world::World,
};
use crate::{rng::Rng, sync::lock};

/// The wall clock of a process that has run for no time, in microseconds.
const CALENDAR_US: u64 = 1_700_000_000_000_000;

/// A handle to a process: an [`Environment`] for its tasks.
#[derive(Clone)]
pub(crate) struct Process {
    world: World,
    number: u32,
}

impl World {
    /// Adds a process with an rng of its own, and a clock that shows `shown_ns` at the beginning.
    pub(crate) fn process(&self, seed: u64, shown_ns: u64) -> Process {
        let number = self.add(Clock::starting_at(shown_ns), Rng::new(seed));
        Process { world: self.clone(), number }
    }
}

impl Process {
    /// Its number, from 0 in the order of creation.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    pub(crate) fn env(&self) -> Env {
        Env::new(self.clone())
    }

    pub(crate) fn way_to(&self, other: &Process) -> Way {
        Way { from: self.number, to: other.number }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Member) -> T) -> T {
        self.world.with(self.number, look)
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
        let way = self.way_to(to);
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
                Err(_) => pending().await,
            }
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.with(|member| member.status == Status::Dead)
    }

    pub(crate) fn pause(&self, span: Duration) {
        self.world.pause(self.number, span);
    }

    /// Suspends the machine for that long. Its clock counts it.
    pub(crate) fn suspend(&self, span: Duration) {
        self.pause(span);
    }

    pub(crate) fn kill(&self) {
        self.world.kill(self.number);
    }

    /// Lets it run again, without tasks.
    pub(crate) fn revive(&self) {
        self.with(|member| member.status = Status::Running);
    }

    /// Moves its clock and calendar.
    pub(crate) fn jump(&self, by_ms: i64) {
        let now_ns = self.world.now_ns();
        self.with(|member| member.clock.jump(now_ns, by_ms.saturating_mul(1_000_000)));
    }

    /// Sets the rate of its clock in thousandths.
    pub(crate) fn set_rate(&self, per_mille: u64) {
        let now_ns = self.world.now_ns();
        self.with(|member| member.clock.set_rate(now_ns, per_mille));
    }

    /// Gives way once: other ready tasks may run first, and a pause may begin.
    pub(crate) async fn yield_now(&self) {
        let mut has_waited = false;
        poll_fn(|context| {
            if mem::replace(&mut has_waited, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
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
        CALENDAR_US + self.now().nanos() / 1000
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
        let task = self.world.ready().spawn(self.number, task);
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
