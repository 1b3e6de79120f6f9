//! The hosts that are answered, and the token of force-release. No I/O.

use std::net::{IpAddr, SocketAddr};

use hyper::{HeaderMap, header};
use subtle::ConstantTimeEq;

/// The hosts that a page is answered for. Another name in the Host header is that of a page of somebody else, whose name
/// was made to lead here (DNS rebinding).
pub(crate) struct Hosts(pub(crate) Vec<String>);

impl Hosts {
    /// Whether a request to the address `local` is meant for us.
    pub(super) fn admit(&self, headers: &HeaderMap, local: SocketAddr) -> bool {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) else {
            return false;
        };
        // The page of another site may send, but not read; it sends its origin along.
        let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
        let is_own = origin.is_none_or(|origin| {
            origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) == Some(host)
        });
        is_own && self.knows(host, local)
    }

    fn knows(&self, host: &str, local: SocketAddr) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        // An IPv6 socket has an IPv4 client at a mapped address.
        let own = local.ip().to_canonical();
        address.is_ok_and(|address| address.to_canonical() == own)
            || self.0.iter().any(|told| told.eq_ignore_ascii_case(name))
            || (own.is_loopback() && name.eq_ignore_ascii_case("localhost"))
    }
}

/// Whether the request has the token. The time does not tell how much of it was right.
pub(super) fn has_token(headers: &HeaderMap, token: &str) -> bool {
    let given =
        headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    given.is_some_and(|given| given.ct_eq(token.as_bytes()).into())
}

#[cfg(test)]
#[path = "tests/access.rs"]
mod tests;
