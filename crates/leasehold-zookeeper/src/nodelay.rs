//! Small requests that leave at once.
//!
//! A question of ours is two small requests on one connection. The client library leaves Nagle's algorithm on and does not
//! hand out its socket, so the second one would wait until the server has confirmed the first: a whole round trip more.
//! The option belongs to the socket and not to a descriptor, so a copy of the descriptor is enough to set it. Where that
//! cannot be done everything works, and a lock takes two round trips.

use std::collections::BTreeSet;

/// Which ports servers of this list listen on.
pub(crate) fn ports(servers: &[String]) -> BTreeSet<u16> {
    let port = |server: &String| server.rsplit(':').next().and_then(|port| port.parse().ok());
    servers.iter().map(|server| port(server).unwrap_or(2181)).collect()
}

/// Has all connections of this process to these ports send at once what they are given.
#[cfg(target_os = "linux")]
pub(crate) fn set(ports: &BTreeSet<u16>) {
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
            // It is only a matter of speed.
            let _ = set_tcp_nodelay(&copy, true);
        }
    }
}

/// Not known here how.
#[cfg(not(target_os = "linux"))]
pub(crate) fn set(_ports: &BTreeSet<u16>) {}

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
        set(&ports(&[addresses[0].to_string()]));
        assert!(ours.nodelay().unwrap());
        assert!(!other.nodelay().unwrap());
    }

    #[test]
    fn a_server_without_a_port_has_the_usual_one() {
        assert_eq!(ports(&["a:1".into(), "[::1]:2".into(), "b".into()]), BTreeSet::from([1, 2, 2181]));
    }
}
