//! Tasks, and those that are ready.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Wake, Waker},
};

use leasehold_core::BoxFuture;

use crate::{rng::Rng, sync::lock};

pub(super) struct Task {
    /// In the order of spawning.
    number: u64,
    process: u32,
    future: Mutex<Option<BoxFuture<'static, ()>>>,
    is_queued: AtomicBool,
    is_over: AtomicBool,
    ready: Ready,
}

#[derive(Clone, Default)]
pub(super) struct Ready(Arc<Queue>);

#[derive(Default)]
struct Queue {
    tasks: Mutex<Vec<Arc<Task>>>,
    spawned: AtomicU64,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::AcqRel) {
            let ready = self.ready.clone();
            lock(&ready.0.tasks).push(self);
        }
    }
}

impl Task {
    pub(super) fn poll(self: Arc<Self>) {
        self.is_queued.store(false, Ordering::Release);
        let Some(mut future) = lock(&self.future).take() else { return };
        let waker = Waker::from(self.clone());
        let is_over = future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        if is_over {
            self.is_over.store(true, Ordering::Release);
        } else {
            *lock(&self.future) = Some(future);
        }
    }

    /// Takes its future out, so that it never runs again.
    pub(super) fn kill(&self) -> Option<BoxFuture<'static, ()>> {
        self.is_over.store(true, Ordering::Release);
        lock(&self.future).take()
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }
}

impl Ready {
    /// Adds a task that can run at once.
    pub(super) fn spawn(&self, process: u32, future: BoxFuture<'static, ()>) -> Arc<Task> {
        let task = Arc::new(Task {
            number: self.0.spawned.fetch_add(1, Ordering::AcqRel),
            process,
            future: Mutex::new(Some(future)),
            is_queued: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            ready: self.clone(),
        });
        Waker::from(task.clone()).wake();
        task
    }

    /// Forgets all, because each refers to its queue.
    pub(super) fn clear(&self) {
        let tasks = std::mem::take(&mut *lock(&self.0.tasks));
        drop(tasks);
    }

    /// Chooses a ready task of a running process. The order in which they became ready has no influence, because wakers
    /// that threads share wake in no certain order.
    pub(super) fn take(&self, rng: &mut Rng, runs: impl Fn(u32) -> bool) -> Option<Arc<Task>> {
        let mut tasks = lock(&self.0.tasks);
        tasks.retain(|task| !task.is_over());
        let mut ready: Vec<u64> =
            tasks.iter().filter(|task| runs(task.process)).map(|task| task.number).collect();
        if ready.is_empty() {
            return None;
        }
        ready.sort_unstable();
        let chosen = *rng.choose(&ready);
        let at = tasks.iter().position(|task| task.number == chosen)?;
        Some(tasks.swap_remove(at))
    }
}
