//! [`Chronicle`]: what the nemesis did, as events of the history.

use std::sync::Mutex;

use crate::history::{Event, What};
use leasehold::env::Env;

use crate::torture::pace::{lock, now_us};

/// Events of the director, which knows what was done to whom.
#[derive(Debug)]
pub(crate) struct Chronicle {
    env: Env,
    events: Mutex<Vec<Event>>,
}

impl Chronicle {
    pub(crate) fn new(env: &Env) -> Self {
        Self { env: env.clone(), events: Mutex::default() }
    }

    /// A fault began, or ended.
    pub(crate) fn fault(&self, name: &str, target: &str, ended: bool) {
        self.say(0, What::Fault { name: name.into(), target: target.into(), ended });
    }

    /// A process is about to be killed.
    pub(crate) fn gone(&self, process: u32) {
        self.say(process, What::Gone);
    }

    /// The last fault is over.
    pub(crate) fn healed(&self) {
        self.say(0, What::Healed);
    }

    pub(crate) fn say(&self, process: u32, what: What) {
        let mut events = lock(&self.events);
        events.push(Event { at_us: now_us(&self.env), process, what });
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        lock(&self.events).clone()
    }
}
