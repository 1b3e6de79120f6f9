//! Settings of connections that another library has made. Only Linux shows them.

use std::collections::BTreeSet;

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

/// Without it, requests are slower.
#[cfg(not(target_os = "linux"))]
pub(crate) fn set_nodelay(_ports: &BTreeSet<u16>) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

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
