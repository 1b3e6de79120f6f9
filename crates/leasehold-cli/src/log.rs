//! The log: `LEASEHOLD_LOG=debug` prints the library's log lines. By default only warnings about servers that may lose
//! locks are printed. `LEASEHOLD_LOG_FORMAT=json` makes a line of JSON of each, with the fields of its spans.

use std::fmt;

use serde_json::json;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    subscriber::Interest,
};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

use crate::output::{Output, Stderr};

/// Targets of the warnings about a server's configuration that can lose locks, and about servers that have no vote yet.
const SAFETY: [&str; 3] = [
    "leasehold_core::engine::patience",
    "leasehold_memcached::config_check",
    "leasehold_redis::config_check",
];

/// A client library that logs the password of its session at the debug level.
const LOGS_PASSWORDS: &str = "zookeeper_client";

/// Installs the subscriber, which writes to stderr.
pub(crate) fn start(output: Output) {
    let level = std::env::var("LEASEHOLD_LOG").ok().and_then(|level| level.parse::<LevelFilter>().ok());
    match level {
        Some(level) => {
            let lines = tracing_subscriber::fmt::layer().with_writer(|| Stderr).with_ansi(false);
            let is_json = std::env::var("LEASEHOLD_LOG_FORMAT").is_ok_and(|format| format == "json");
            let lines = if is_json { lines.json().boxed() } else { lines.boxed() };
            let wanted =
                Targets::new().with_default(level).with_target(LOGS_PASSWORDS, level.min(LevelFilter::INFO));
            tracing_subscriber::registry().with(lines.with_filter(wanted)).init();
        }
        None => tracing_subscriber::registry().with(Warnings(output)).init(),
    }
}

/// Prints warnings as messages of the command line.
struct Warnings(Output);

impl<S: Subscriber> Layer<S> for Warnings {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let is_ours = SAFETY.contains(&metadata.target()) && *metadata.level() == Level::WARN;
        if is_ours { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut message = Message::default();
        event.record(&mut message);
        self.0.event("warning", json!({ "message": message.0 }));
        self.0.say(format!("warning: {}", message.0));
    }
}

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
