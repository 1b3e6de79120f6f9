//! The real binary, from outside. Every test has a store of its own and waits for events, not for time to pass.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bad_input;
mod codes;
mod config;
mod containers;
mod credentials;
mod cron_page;
mod death;
mod demo;
mod descendants;
mod doctor;
mod drain;
mod elect;
mod environment;
mod etcd;
mod fixture;
mod golden;
mod hostile;
mod loss;
mod many;
mod memcached;
mod names;
mod once_per;
mod operator;
mod outages;
mod packaging;
mod page;
#[cfg(feature = "portable-twin")]
mod portable;
mod prometheus;
mod quorum;
mod redis;
mod redlock;
mod secrets;
mod serve;
mod sharing;
mod signals;
mod stores;
mod surroundings;
mod terminal;
mod top;
mod waiting;
mod watch;
mod zookeeper;
