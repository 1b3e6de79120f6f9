//! Real servers for tests: started on free ports of the loopback device, in directories of their own, and gone with the
//! value (or with the test process, however it ends).
//!
//! [`redis`], [`memcached`], [`zookeeper`] and [`etcd`] start servers, and [`server`] has the common part. [`proxy`] stands
//! between a client and a server and injects network faults, [`clock`] moves the wall clock of one process,
//! [`foreign_client`] installs clients of other libraries, and [`peer`] talks to one of them. Nothing is asynchronous but
//! [`peer`].
//!
//! An [`Error`] is a failure of the machinery of a test: a program is missing or does not start (the message has its log), a
//! server does not answer or refuses a command, or a time limit is over. Methods that only read (`calls`, `info`,
//! `master_of`) and those of [`peer`] and [`foreign_client`] panic instead, because a test could do nothing else. An index
//! out of range panics.

mod error;
mod ports;
mod temp_dir;

pub mod clock;
pub mod etcd;
pub mod foreign_client;
pub mod memcached;
pub mod peer;
pub mod process;
pub mod proxy;
pub mod redis;
pub mod server;
pub mod tls;
pub mod wait;
pub mod zookeeper;

pub use error::{Error, Result};
