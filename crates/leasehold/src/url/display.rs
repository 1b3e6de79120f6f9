//! A URL as text, with its passwords or without.

use std::{fmt, path::Path, time::Duration};

use super::{
    Address, Login, Place, Settings, StoreUrl,
    percent::{encode, encode_path},
};

pub(super) struct Redacted<'a> {
    pub(super) url: &'a StoreUrl,
    pub(super) secrets: bool,
}

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.url.scheme())?;
        match &self.url.place {
            Place::Memory { name } => write!(f, "{}", encode(name))?,
            Place::Sqlite { path } => plain_path(f, path)?,
            Place::RedisUnix { login, path } => {
                self.authority(f, login, &[])?;
                write!(f, "{}", encode_path(path.as_os_str().as_encoded_bytes()))?;
            }
            Place::Redis { login, address, database, .. } => {
                self.authority(f, login, std::slice::from_ref(address))?;
                numbered(f, *database)?;
            }
            Place::RedisSentinel { login, addresses, master, database, .. } => {
                self.authority(f, login, addresses)?;
                write!(f, "/{}", encode(master))?;
                numbered(f, *database)?;
            }
            Place::RedisCluster { login, addresses, .. }
            | Place::Redlock { login, addresses }
            | Place::Etcd { login, addresses, .. } => self.authority(f, login, addresses)?,
            Place::Memcached { address } => {
                self.authority(f, &Login::default(), std::slice::from_ref(address))?;
            }
            Place::ZooKeeper { login, addresses, chroot } => {
                self.authority(f, login, addresses)?;
                write!(f, "{}", encode_path(chroot.as_bytes()))?;
            }
            Place::Quorum { members } => return self.quorum(f, members),
        }
        query(f, &self.url.settings)
    }
}

impl Redacted<'_> {
    fn authority(&self, f: &mut fmt::Formatter<'_>, login: &Login, addresses: &[Address]) -> fmt::Result {
        f.write_str("//")?;
        write!(f, "{}", encode(&login.user))?;
        if !login.password.is_empty() {
            match self.secrets {
                true => write!(f, ":{}", encode(login.password.reveal()))?,
                false => f.write_str(":***")?,
            }
        }
        if *login != Login::default() {
            f.write_str("@")?;
        }
        for (index, address) in addresses.iter().enumerate() {
            write!(f, "{}{address}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }

    fn quorum(&self, f: &mut fmt::Formatter<'_>, members: &[StoreUrl]) -> fmt::Result {
        for (index, url) in members.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { ";" }, Redacted { url, secrets: self.secrets })?;
        }
        if self.url.settings == Settings::default() {
            return Ok(());
        }
        f.write_str(";")?;
        query(f, &self.url.settings)
    }
}

/// `HOST:PORT`, with brackets around an IPv6 address.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

fn plain_path(f: &mut fmt::Formatter<'_>, path: &Path) -> fmt::Result {
    let bytes = path.as_os_str().as_encoded_bytes();
    // Two slashes would be taken for the beginning of an authority.
    let guard = if bytes.starts_with(b"//") { "//" } else { "" };
    write!(f, "{guard}{}", encode_path(bytes))
}

fn numbered(f: &mut fmt::Formatter<'_>, database: u32) -> fmt::Result {
    if database == 0 { Ok(()) } else { write!(f, "/{database}") }
}

fn query(f: &mut fmt::Formatter<'_>, settings: &Settings) -> fmt::Result {
    let Settings { prefix, dialect, ttl, timeout, min_replicas, longest_lease, strict, ca, resp, template } =
        settings;
    let pairs = [
        ("prefix", prefix.as_deref().map(|text| encode(text).to_string())),
        ("dialect", dialect.as_deref().map(|text| encode(text).to_string())),
        ("ttl", ttl.map(span)),
        ("timeout", timeout.map(span)),
        ("min_replicas", min_replicas.map(|count| count.to_string())),
        ("longest_lease", longest_lease.map(span)),
        ("strict", strict.map(|strict| strict.to_string())),
        ("ca", ca.as_deref().map(|path| encode_path(path.as_os_str().as_encoded_bytes()).to_string())),
        ("resp", resp.map(|version| version.to_string())),
        ("template", template.as_deref().map(|text| encode(text).to_string())),
    ];
    let set = pairs.into_iter().filter_map(|(key, value)| Some((key, value?)));
    for (index, (key, value)) in set.enumerate() {
        write!(f, "{}{key}={value}", if index == 0 { "?" } else { "&" })?;
    }
    Ok(())
}

/// A duration as it is read back, exactly.
fn span(span: Duration) -> String {
    match (span.as_secs(), span.subsec_nanos()) {
        (seconds, 0) => format!("{seconds}s"),
        (0, nanos) if nanos % 1_000_000 == 0 => format!("{}ms", nanos / 1_000_000),
        (0, nanos) => format!("{nanos}ns"),
        (seconds, nanos) => format!("{seconds}s{nanos}ns"),
    }
}
