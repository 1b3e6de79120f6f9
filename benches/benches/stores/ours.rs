//! [`Ours`]: the whole of Leasehold, through its facade.

use std::time::Duration;

use leasehold::{Client, Mutex, env::Env};
use tokio::{runtime::Runtime, sync::oneshot, task::JoinHandle};

use crate::contender::{Contender, pause};

/// Two clients of one store.
pub(crate) struct Ours {
    runtime: Runtime,
    env: Env,
    one: Client,
    two: Client,
}

impl Ours {
    pub(crate) fn open(url: &str) -> Ours {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime of two threads starts");
        let connect = || runtime.block_on(Client::connect(url)).expect("the store opens");
        let (one, two) = (connect(), connect());
        Ours { env: Env::system().expect("threads start"), one, two, runtime }
    }

    /// Says of the members of a quorum, which have just come up, that nobody holds anything there: else they would have no
    /// vote for a minute.
    pub(crate) fn promote(url: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let url = url.parse().expect("the URL is valid");
        let vouched =
            runtime.expect("a runtime of one thread starts").block_on(leasehold::diagnose::promote(&url));
        vouched.expect("the members answer");
    }

    fn mutex(client: &Client, name: &str) -> Mutex {
        client.mutex(name).expect("the name is valid")
    }
}

/// On a worker of the runtime, as a server's tasks are.
fn take(runtime: &Runtime, mutex: Mutex, times: usize) -> JoinHandle<()> {
    runtime.spawn(async move {
        for _ in 0..times {
            let guard = mutex.lock().await.expect("the store answers");
            guard.release().await.expect("the store answers");
        }
    })
}

async fn hand_over(env: &Env, one: &Mutex, two: Mutex, turn: usize) -> Duration {
    let guard = one.lock().await.expect("the store answers");
    let (answer, got) = oneshot::channel();
    let clock = env.clone();
    env.spawn(async move {
        let guard = two.lock().await.expect("the store answers");
        // Who asked waits for it.
        let _ = answer.send((clock.now(), guard));
    });
    env.sleep(pause(turn)).await;
    let begin = env.now();
    guard.release().await.expect("the store answers");
    let (taken, guard) = got.await.expect("the task answers");
    guard.release().await.expect("the store answers");
    taken.since(begin)
}

impl Contender for Ours {
    fn label(&self) -> String {
        "Leasehold".into()
    }

    fn word(&self) -> &'static str {
        "ours"
    }

    fn pairs(&mut self, name: &str, times: usize, tasks: usize) -> Option<Duration> {
        let names: Vec<_> = if tasks == 1 {
            vec![name.to_string()]
        } else {
            (0..tasks).map(|at| format!("{name}-{at}")).collect()
        };
        let mutexes: Vec<_> = names.iter().map(|name| Ours::mutex(&self.one, name)).collect();
        let begin = self.env.now();
        let tasks: Vec<_> = mutexes.into_iter().map(|mutex| take(&self.runtime, mutex, times)).collect();
        for task in tasks {
            self.runtime.block_on(task).expect("the task does not panic");
        }
        Some(self.env.now().since(begin))
    }

    fn hand_overs(&mut self, name: &str, times: usize) -> Vec<Duration> {
        let (one, two) = (Ours::mutex(&self.one, name), Ours::mutex(&self.two, name));
        let one_by_one = async {
            let mut waits = Vec::new();
            for turn in 0..times {
                waits.push(hand_over(&self.env, &one, two.clone(), turn).await);
            }
            waits
        };
        self.runtime.block_on(one_by_one)
    }
}
