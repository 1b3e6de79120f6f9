//! Real servers for tests: started on free ports of the loopback device, in directories of their own, and gone with the
//! value (or with the test process, however it ends).
//!
//! Nothing here is asynchronous, so that it can be used from any test. [`redis`], [`memcached`], [`zookeeper`] and [`etcd`]
//! start the servers, [`proxy`] stands between a client and a server and loses what it is told to, [`clock`] lets the wall
//! clock of one process jump, [`stranger`] installs the programs of other libraries.
//!
//! Methods that act answer a [`Result`]. Methods that only look (`calls`, `info`, `master_of_slot`) panic when the
//! server cannot be asked, because a test has nothing better to do.

mod error;
mod ports;
mod scratch;

pub mod clock;
pub mod etcd;
pub mod memcached;
pub mod process;
pub mod proxy;
pub mod redis;
pub mod stranger;
pub mod tls;
pub mod wait;
pub mod zookeeper;

pub use error::{Error, Result};
