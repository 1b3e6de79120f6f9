//! [`ParsedUrl`]: the URL of a store, taken apart by the grammar of its [`Scheme`]. No I/O.

mod display;
mod invalid;
mod options;
mod parse;
pub mod percent;
mod scheme;

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
};

pub use options::UrlOptions;
pub use scheme::{Form, Hosts, Key, Scheme, Value};

use crate::{Error, ErrorKind, Result};

/// The URL of a store in its parts, which its [`Backend`](crate::backend::Backend) has checked.
///
/// `Debug` and `Display` never show a password; [`ParsedUrl::reveal`] does.
#[derive(Clone, PartialEq, Eq)]
pub struct ParsedUrl {
    /// The scheme.
    pub scheme: &'static Scheme,
    /// User and password; both empty for anonymous access.
    pub credentials: Credentials,
    /// The hosts; empty for a scheme without any.
    pub addresses: Vec<Address>,
    /// The path as it is printed, percent-encoded: the file of an embedded store, the database of a server.
    pub path: String,
    /// The options of the query.
    pub options: UrlOptions,
    /// The stores that a quorum is made of.
    pub members: Vec<ParsedUrl>,
}

/// A host and a port. An IPv6 address has no brackets here.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Address {
    /// Name or IP address.
    pub host: String,
    /// The port; the scheme's default unless the URL states another.
    pub port: u16,
}

impl Address {
    /// A host and a port.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Address { host: host.into(), port }
    }

    /// Whether a connection to it stays on this machine.
    pub fn is_local(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

/// User name and password. Both are empty for anonymous access.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Credentials {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: Password,
}

/// A password: neither `Debug` nor `Display` shows it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Password(String);

impl ParsedUrl {
    /// The longest URL in bytes.
    pub const BYTES_MAX: usize = 8192;

    /// A URL of this scheme without hosts, path and options.
    pub fn new(scheme: &'static Scheme) -> Self {
        let (credentials, addresses, path, options, members) = Default::default();
        ParsedUrl { scheme, credentials, addresses, path, options, members }
    }

    /// The path as a file name; it need not be UTF-8.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an empty path or one with a zero byte.
    pub fn file(&self) -> Result<PathBuf> {
        percent::decode_path(&self.path)
    }

    /// Replaces the path by a file name.
    #[must_use]
    pub fn with_file(mut self, path: &Path) -> Self {
        self.path = percent::encode_path(path.as_os_str().as_encoded_bytes()).to_string();
        self
    }

    /// The path as text, or a part of it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a path that is not UTF-8 when decoded.
    pub fn text(&self) -> Result<String> {
        percent::decode(&self.path, "the path")
    }

    /// The whole URL **with** its passwords. Never print it.
    pub fn reveal(&self) -> String {
        display::Redacted { url: self, secrets: true }.to_string()
    }

    /// An error for a URL whose options its store does not have.
    pub fn unsupported_dialect(dialect: &str, hint: &str) -> Error {
        Error::new(ErrorKind::Unsupported, format!("the dialect `{dialect}` is not spoken")).hint(hint)
    }
}

impl Password {
    /// Wraps a password.
    pub fn new(text: impl Into<String>) -> Self {
        Password(text.into())
    }

    /// The password itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Into<String>> From<T> for Password {
    fn from(text: T) -> Self {
        Password::new(text)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "none" } else { "***" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_to_this_machine_stay_on_it() {
        for (host, is_local) in [
            ("127.0.0.1", true),
            ("127.1.2.3", true),
            ("::1", true),
            ("LocalHost", true),
            ("10.0.0.1", false),
            ("zk1", false),
        ] {
            assert_eq!(Address::new(host, 1).is_local(), is_local, "{host}");
        }
    }
}
