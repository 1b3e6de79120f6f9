//! Real servers for tests: started on free ports of the loopback device, in directories of their own, and gone with the
//! value (or with the test process, however it ends).
//!
//! [`redis`], [`memcached`], [`zookeeper`], [`etcd`] and [`postgres`] start servers, and [`server`] has the common part. [`proxy`] stands
//! between a client and a server and injects network faults, [`clock`] moves the wall clock of one process,
//! [`foreign_client`] installs clients of other libraries, and [`peer`] talks to one of them. Nothing is asynchronous but
//! [`peer`].
//!
//! Methods that act return a [`Result`], whose error is a sentence: the missing program, the silent server, the refused
//! option with the server's log. Methods that only read (`calls`, `info`, `node`) panic when the server does not answer or
//! the index is out of range, because a test could do nothing else; so do the functions of [`peer`] and [`foreign_client`].

mod error;
mod ports;
mod temp_dir;
mod tls;

pub mod clock;
pub mod etcd;
pub mod foreign_client;
pub mod memcached;
pub mod peer;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod redis;
pub mod server;
pub mod wait;
pub mod zookeeper;

pub use error::{Error, Result};
