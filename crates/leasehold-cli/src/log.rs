//! The log: `LEASEHOLD_LOG=debug` prints the library's log lines. By default only warnings about servers that may lose
//! locks are printed. `LEASEHOLD_LOG_FORMAT=json` makes a line of JSON of each, with the fields of its spans.

use std::fmt;

use serde_json::json;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::{Interest, set_global_default},
};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
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
        // There is no other subscriber yet.
        None => drop(set_global_default(Warnings(output))),
    }
}

/// Prints warnings as messages of the command line. It has no registry of spans, whose tables each start would pay for.
struct Warnings(Output);

impl Subscriber for Warnings {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && SAFETY.contains(&metadata.target()) && *metadata.level() == Level::WARN
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}

    fn event(&self, event: &Event<'_>) {
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
