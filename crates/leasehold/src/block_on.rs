//! [`block_on`]: a future on a thread without an async runtime.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::Thread,
};

use leasehold_core::{Error, ErrorKind, Result, env::background};

/// Wakes a parked thread.
struct Parked {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Runs a future to its end on this thread, which blocks meanwhile: for code without an async runtime. The `blocking_…`
/// methods do the same for one call.
///
/// ```
/// # fn main() -> leasehold::Result<()> {
/// let locks = leasehold::Client::blocking_connect("memory:")?;
/// let guard = locks.mutex("billing/42")?.blocking_lock()?;
/// let mut session = locks.session();
/// locks.blocking_force_release("billing/42")?;
/// assert!(guard.blocking_confirm().is_err());
/// assert_eq!(leasehold::block_on(session.changed())?, leasehold::session::SessionState::Expired);
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`ErrorKind::WouldDeadlock`] in an async task: to block its thread would stop all its tasks, among them perhaps the one
/// that the call waits for. `spawn_blocking` and `block_in_place` are accepted.
pub fn block_on<F: Future>(future: F) -> Result<F::Output> {
    refuse_async_context()?;
    Ok(park_on(future))
}

/// [`block_on`] for a future that can fail.
pub(crate) fn wait<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    block_on(future)?
}

/// Runs `future` on any thread: [`refuse_async_context`] comes first.
pub(crate) fn park_on<T>(future: impl Future<Output = T>) -> T {
    // Stores use the sockets of the runtime that they are called in, and this thread may have none. Without a background
    // thread there is no client that could be called.
    let background = match tokio::runtime::Handle::try_current() {
        Ok(_) => None,
        Err(_) => background().ok(),
    };
    let _entered = background.as_ref().map(|handle| handle.enter());
    let parked = Arc::new(Parked { thread: std::thread::current(), woken: AtomicBool::new(false) });
    let waker = Waker::from(parked.clone());
    let mut context = Context::from_waker(&waker);
    let mut future: Pin<&mut dyn Future<Output = T>> = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        // Parking may end for no reason.
        while !parked.woken.swap(false, Ordering::AcqRel) {
            std::thread::park();
        }
    }
}

/// More polls than tokio grants a task before it makes it yield.
const BUDGET_PROBES: u32 = 512;

/// Refuses to block the thread of an async task. tokio cannot be asked whether this is one, as opposed to
/// `spawn_blocking`; but only a task has a budget of polls that runs out. Spending it costs nothing: the call is refused,
/// and the task yields at its next await.
pub(crate) fn refuse_async_context() -> Result<()> {
    if tokio::runtime::Handle::try_current().is_err() {
        return Ok(());
    }
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..BUDGET_PROBES {
        if pin!(tokio::task::coop::consume_budget()).poll(&mut context).is_pending() {
            let message = "a blocking call inside of an async task would stop every task of its thread";
            return Err(Error::new(ErrorKind::WouldDeadlock, message).hint(
                "use the async method, without `blocking_`, or move the call into tokio's spawn_blocking",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use leasehold_core::Env;
    use tokio::runtime::Builder;

    use super::*;

    fn answers() -> Result<u32> {
        let env = Env::system()?;
        wait(async {
            env.sleep(std::time::Duration::from_millis(1)).await;
            Ok(7)
        })
    }

    #[test]
    fn a_plain_thread_waits_and_so_do_the_threads_that_a_runtime_has_for_it() {
        assert_eq!(answers().unwrap(), 7);
        let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let _entered = runtime.enter();
        assert_eq!(answers().unwrap(), 7, "entered, but not in a task");
        let blocking = runtime.spawn_blocking(|| answers().unwrap());
        assert_eq!(runtime.block_on(blocking).unwrap(), 7);
        let in_place = runtime.spawn(async { tokio::task::block_in_place(|| answers().unwrap()) });
        assert_eq!(runtime.block_on(in_place).unwrap(), 7);
    }

    #[test]
    fn a13_a_blocking_call_in_a_task_is_refused_and_the_task_goes_on() {
        let one = Builder::new_current_thread().build().unwrap();
        let many = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let refused = || async {
            let error = answers().unwrap_err();
            tokio::task::yield_now().await;
            error.kind()
        };
        assert_eq!(one.block_on(refused()), ErrorKind::WouldDeadlock);
        assert_eq!(many.block_on(refused()), ErrorKind::WouldDeadlock);
        assert_eq!(many.block_on(many.spawn(refused())).unwrap(), ErrorKind::WouldDeadlock);
    }
}
