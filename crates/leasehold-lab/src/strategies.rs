//! Clients of the virtual world, one for each [`Strategy`], and the critical section that all of them run.

mod leasehold;
mod naive;
mod redlock;
mod work;

use std::{sync::Arc, time::Duration};

use crate::{
    checker::Rule,
    config::RunConfig,
    faults::Kind,
    model::Strategy,
    rng::Rng,
    virtual_world::{Process, Server, SimResource},
};

/// The simulation as a client sees it.
pub(crate) trait Context: Send + Sync {
    fn config(&self) -> &RunConfig;
    fn servers(&self) -> &[Server];
    fn resource(&self) -> &SimResource;
    /// The client has reached a step at which a fault may pause it.
    fn reached(&self, client: u32, step: Kind);
    /// The end of the last fault, as an age of the world.
    fn heals(&self) -> Duration;
    /// Reports a violation that no history shows.
    fn violation(&self, rule: Rule, text: String);
    /// The client has finished its work.
    fn finished(&self, client: u32);
}

pub(crate) struct Client {
    pub(crate) context: Arc<dyn Context>,
    pub(crate) process: Process,
    /// From 1.
    pub(crate) number: u32,
    /// The process number in the history: a restarted client gets another one.
    pub(crate) name: u32,
    pub(crate) rng: Rng,
}

/// Runs a client to the end of its work.
pub(crate) async fn run(client: Client) {
    let (context, number) = (client.context.clone(), client.number);
    match context.config().strategy {
        Strategy::Leasehold => leasehold::run(client, leasehold::Style::Run).await,
        Strategy::LeaseholdGuard => leasehold::run(client, leasehold::Style::Guard).await,
        Strategy::Redlock => redlock::run(client).await,
        Strategy::BareDelete => naive::run(client, naive::Release::Bare, false).await,
        Strategy::OwnerChecked => naive::run(client, naive::Release::Compared, false).await,
        Strategy::Watchdog => naive::run(client, naive::Release::Compared, true).await,
    }
    context.finished(number);
}
