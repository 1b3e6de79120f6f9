//! The thread that drives a session, and TCP_NODELAY on its connections.
//!
//! The client library waits for its socket with a thread of its own (`async-io`), which would wake the background thread,
//! which would wake the caller. A session that is driven by the thread that waits for its socket saves one of the three.
//!
//! A request of ours is often two small messages. The library leaves Nagle's algorithm on and does not expose its socket, so
//! the second message would wait for the confirmation of the first: one round trip more. The option belongs to the socket
//! and not to a descriptor, so it is set through a copy of the descriptor, where that is possible.

use std::{collections::BTreeSet, future::Future, pin::Pin, sync::OnceLock};

use futures_util::future::join_all;
use leasehold_core::store_kit::Locked;
use spawns_core::{Spawn, Task};
use tokio::sync::oneshot;
use zookeeper_client::{Client, Connector, Error};

/// The tasks that the library spawns.
#[derive(Default)]
struct SpawnQueue(Locked<Vec<Pin<Box<dyn Future<Output = ()> + Send>>>>);

impl Spawn for SpawnQueue {
    fn spawn(&self, task: Task) {
        self.0.lock().push(Box::into_pin(task.future));
    }
}

/// Fails in a child that was forked after a session: the thread of the client library stayed in its parent.
///
/// # Errors
/// [`ErrorKind::Unsafe`](leasehold_core::ErrorKind).
pub(crate) fn check_process() -> leasehold_core::Result<()> {
    static PROCESS: OnceLock<u32> = OnceLock::new();
    if *PROCESS.get_or_init(std::process::id) == std::process::id() {
        return Ok(());
    }
    let message = "ZooKeeper was in use before this process was forked";
    Err(leasehold_core::Error::new(leasehold_core::ErrorKind::Unsafe, message)
        .hint("connect after the fork alone, or let the child exec"))
}

/// Connects to one of the servers, on a new thread. The answer is lost when the thread ends. When the receiver is dropped, the
/// session is closed as soon as it is there.
pub(crate) fn connect(
    connector: Connector,
    servers: String,
) -> std::io::Result<oneshot::Receiver<Result<Client, Error>>> {
    let (send, receive) = oneshot::channel();
    let drive = move || {
        let spawned = SpawnQueue::default();
        let _scope = spawns_core::enter(&spawned);
        async_io::block_on(async {
            // A caller that has given up drops the session, which closes it.
            let _ = send.send(connector.connect(&servers).await);
            // The spawned task is the session itself, which ends when the last client is dropped.
            loop {
                let works = std::mem::take(&mut *spawned.0.lock());
                if works.is_empty() {
                    return;
                }
                join_all(works).await;
            }
        });
    };
    std::thread::Builder::new().name("leasehold-zk".into()).spawn(drive)?;
    Ok(receive)
}

/// Sets TCP_NODELAY on all connections of this process to these ports.
#[cfg(target_os = "linux")]
pub(crate) fn set_nodelay(ports: &BTreeSet<u16>) {
    use rustix::{
        net::{getpeername, sockopt::set_tcp_nodelay},
        process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open},
    };
    let Ok(process) = pidfd_open(getpid(), PidfdFlags::empty()) else { return };
    let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") else { return };
    for entry in descriptors.flatten() {
        let link = std::fs::read_link(entry.path()).unwrap_or_default();
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(number) = number.filter(|_| link.to_string_lossy().starts_with("socket:")) else { continue };
        let Ok(copy) = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) else { continue };
        let peer =
            getpeername(&copy).ok().flatten().and_then(|peer| std::net::SocketAddr::try_from(peer).ok());
        if peer.is_some_and(|peer| ports.contains(&peer.port())) {
            // A failure costs speed only.
            let _ = set_tcp_nodelay(&copy, true);
        }
    }
}

/// Not implemented on this platform.
#[cfg(not(target_os = "linux"))]
pub(crate) fn set_nodelay(_ports: &BTreeSet<u16>) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn connections_to_these_ports_send_at_once_and_others_do_not() {
        use std::net::{TcpListener, TcpStream};
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
        let [ours, other] = addresses.map(|address| TcpStream::connect(address).unwrap());
        set_nodelay(&BTreeSet::from([addresses[0].port()]));
        assert!(ours.nodelay().unwrap());
        assert!(!other.nodelay().unwrap());
    }
}
