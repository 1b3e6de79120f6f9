//! [`SimResource`]: a [`Counter`] in a process of the virtual world.

use std::sync::{Arc, Mutex};

use leasehold_core::FencingToken;

use super::process::Process;
use crate::{
    model::RETRY_TIMEOUT,
    resource::{Counter, Fence},
    sync::lock,
};

/// A counter behind the network.
#[derive(Clone)]
pub(crate) struct SimResource {
    process: Process,
    counter: Arc<Mutex<Counter>>,
}

impl SimResource {
    pub(crate) fn new(process: Process, fence: Fence) -> SimResource {
        SimResource { process, counter: Arc::new(Mutex::new(Counter::new(fence))) }
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    pub(crate) fn value(&self) -> u64 {
        lock(&self.counter).value()
    }

    /// Reads it from another process; `None`: no answer in time, `Some(None)`: the token was refused.
    pub(crate) async fn read(&self, from: &Process, token: Option<FencingToken>) -> Option<Option<u64>> {
        self.call(from, move |counter| counter.read(token.map(FencingToken::get))).await
    }

    /// Writes it from another process; whether it was accepted, `None`: no answer in time.
    pub(crate) async fn write(
        &self,
        from: &Process,
        token: Option<FencingToken>,
        value: u64,
    ) -> Option<bool> {
        self.call(from, move |counter| counter.write(token.map(FencingToken::get), value)).await
    }

    async fn call<T: Send + 'static>(
        &self,
        from: &Process,
        request: impl Fn(&mut Counter) -> T + Send + Sync + 'static,
    ) -> Option<T> {
        let counter = self.counter.clone();
        let reply = from.call(&self.process, move |_| request(&mut lock(&counter)));
        let env = from.env();
        env.until(env.now() + RETRY_TIMEOUT, reply).await
    }
}
