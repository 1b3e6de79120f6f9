//! From text to [`StoreUrl`]. What an error quotes is never a part that may be a password.

use std::time::Duration;

use leasehold_core::{Error, ErrorKind, LockName, Result};

use super::{
    Address, Login, Password, Place, Settings, StoreUrl,
    percent::{decode, decode_path},
    scheme::{Key, Scheme},
};

const ADDRESSES_MAX: usize = 64;

/// A URL taken apart but not yet understood.
struct Parts<'a> {
    scheme: Scheme,
    login: Login,
    hosts: &'a str,
    path: &'a str,
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

pub(super) fn parse(text: &str) -> Result<StoreUrl> {
    if text.len() > StoreUrl::BYTES_MAX {
        return Err(invalid(format!("a store URL may have at most {} bytes", StoreUrl::BYTES_MAX)));
    }
    let Some((name, rest)) = text.split_once(':') else {
        return Err(
            invalid("the store URL has no scheme").hint("for example sqlite:locks.db or redis://host")
        );
    };
    let scheme = Scheme::find(name, rest.starts_with("//") || !rest.contains('@'))?;
    match scheme {
        Scheme::Quorum => return quorum(rest),
        Scheme::Memory | Scheme::Sqlite => {}
        _ => refuse_stray_marks(scheme, rest)?,
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let place = match scheme {
        Scheme::Memory => {
            Place::Memory { name: decode(rest.strip_prefix("//").unwrap_or(rest), "the name")? }
        }
        Scheme::Sqlite => sqlite(rest)?,
        _ => network(parts(scheme, rest)?)?,
    };
    Ok(StoreUrl { place, settings: settings(scheme, query)? })
}

/// A password that is not encoded can break a URL anywhere; then nothing of it may be quoted.
fn refuse_stray_marks(scheme: Scheme, rest: &str) -> Result<()> {
    let Some(rest) = rest.strip_prefix("//") else {
        return Err(invalid(format!("`{0}` is written `{0}://…`", scheme.label())));
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let login = authority.rsplit_once('@').map_or("", |(login, _)| login);
    if tail.contains(['@', '#']) || login.contains(['@', ',']) {
        return Err(invalid("a character of the store URL is not encoded, perhaps one of the password")
            .hint("write %40 for @, %2F for /, %3F for ?, %23 for #, %2C for a comma"));
    }
    Ok(())
}

fn sqlite(rest: &str) -> Result<Place> {
    if rest == ":memory:" {
        return Err(invalid("`sqlite::memory:` would be seen by this process alone").hint("use `memory:`"));
    }
    let path = decode_path(rest.strip_prefix("//").unwrap_or(rest))?;
    Ok(Place::Sqlite { path })
}

fn parts(scheme: Scheme, rest: &str) -> Result<Parts<'_>> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    // The path of a socket begins with the slash that ends the empty authority.
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (login, hosts) = match authority.rsplit_once('@') {
        Some((login, hosts)) => (read_login(login)?, hosts),
        None => (Login::default(), authority),
    };
    Ok(Parts { scheme, login, hosts, path })
}

fn read_login(text: &str) -> Result<Login> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let password = Password::new(decode(password, "the password")?);
    Ok(Login { user: decode(user, "the user name")?, password })
}

fn network(parts: Parts<'_>) -> Result<Place> {
    let login = parts.login.clone();
    Ok(match parts.scheme {
        Scheme::RedisUnix => {
            if !parts.hosts.is_empty() {
                return Err(invalid("a socket has a path and no host")
                    .hint("for example redis+unix:///run/redis/redis.sock"));
            }
            Place::RedisUnix { login, path: decode_path(parts.path)? }
        }
        Scheme::Redis { tls } => {
            let database = parts.database(parts.path.trim_start_matches('/'))?;
            Place::Redis { tls, login, address: parts.one_address()?, database }
        }
        Scheme::RedisSentinel { tls } => {
            let (master, database) = parts.master()?;
            Place::RedisSentinel { tls, login, addresses: parts.addresses()?, master, database }
        }
        Scheme::RedisCluster { tls } => {
            parts.refuse_path()?;
            Place::RedisCluster { tls, login, addresses: parts.addresses()? }
        }
        Scheme::Redlock => {
            parts.refuse_path()?;
            let addresses = parts.addresses()?;
            refuse_few(addresses.len())?;
            Place::Redlock { login, addresses }
        }
        Scheme::Memcached => {
            parts.refuse_path()?;
            parts.refuse_login()?;
            Place::Memcached { address: parts.one_address()? }
        }
        Scheme::ZooKeeper => {
            Place::ZooKeeper { login, addresses: parts.addresses()?, chroot: parts.chroot()? }
        }
        Scheme::Etcd { tls } => {
            parts.refuse_path()?;
            Place::Etcd { tls, login, addresses: parts.addresses()? }
        }
        // The local ones and `quorum` have no authority and do not come here.
        Scheme::Memory | Scheme::Sqlite | Scheme::Quorum => {
            return Err(invalid("a store without hosts"));
        }
    })
}

impl Parts<'_> {
    fn addresses(&self) -> Result<Vec<Address>> {
        let mut addresses = Vec::new();
        for text in self.hosts.split(',') {
            let address = self.address(text)?;
            if addresses.contains(&address) {
                return Err(invalid(format!("`{address}` is named twice")));
            }
            addresses.push(address);
        }
        if addresses.len() > ADDRESSES_MAX {
            return Err(invalid(format!("a store URL may name at most {ADDRESSES_MAX} hosts")));
        }
        Ok(addresses)
    }

    fn one_address(&self) -> Result<Address> {
        if self.hosts.contains(',') {
            let message = format!("`{}` takes one host", self.scheme.label());
            return Err(invalid(message).hint("several are for redis+sentinel, redis+cluster and redlock"));
        }
        self.address(self.hosts)
    }

    fn address(&self, text: &str) -> Result<Address> {
        let bracketed = text.strip_prefix('[').and_then(|text| text.split_once(']'));
        let (host, port) = match bracketed {
            Some((host, port)) => {
                let host: std::net::Ipv6Addr =
                    host.parse().map_err(|_| invalid("what is in brackets is no IPv6 address"))?;
                (host.to_string(), port)
            }
            None => {
                let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
                (host.to_string(), port)
            }
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if bracketed.is_none() && (host.is_empty() || !host.chars().all(plain)) {
            let message = format!("`{}` names no host, or not by a name that is one", self.scheme.label());
            return Err(invalid(message).hint("for example redis://db.example:6379 or redis://[::1]:6379"));
        }
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => self.scheme.port(),
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok().filter(|port| *port > 0).ok_or_else(bad_port)?
            }
            _ => return Err(bad_port()),
        };
        Ok(Address { host, port })
    }

    fn database(&self, text: &str) -> Result<u32> {
        if text.is_empty() {
            return Ok(0);
        }
        text.parse().map_err(|_| {
            invalid(format!("`/{}` is not the number of a database", text.escape_debug()))
                .hint("for example redis://host/0")
        })
    }

    fn master(&self) -> Result<(String, u32)> {
        let path = self.path.trim_start_matches('/');
        let (master, database) = path.split_once('/').unwrap_or((path, ""));
        if master.is_empty() {
            return Err(invalid("the URL does not name the master")
                .hint("for example redis+sentinel://h1,h2,h3/mymaster"));
        }
        Ok((decode(master, "the name of the master")?, self.database(database)?))
    }

    fn chroot(&self) -> Result<String> {
        let chroot = decode(self.path.trim_end_matches('/'), "the chroot")?;
        let bad = |part: &str| matches!(part, "" | "." | "..");
        if chroot.split('/').skip(1).any(bad) || chroot.chars().any(char::is_control) {
            return Err(invalid("the chroot has an empty, relative or unprintable part")
                .hint("for example zookeeper://h1,h2/apps/locks"));
        }
        Ok(chroot)
    }

    fn refuse_path(&self) -> Result<()> {
        match self.path {
            "" | "/" => Ok(()),
            _ => Err(invalid(format!("`{}` has no path after its hosts", self.scheme.label()))),
        }
    }

    fn refuse_login(&self) -> Result<()> {
        if self.login == Login::default() {
            return Ok(());
        }
        Err(invalid(format!("`{}` has no users and passwords", self.scheme.label())))
    }
}

fn bad_port() -> Error {
    invalid("a port is not a number from 1 to 65535").hint(
        "if it is a part of the password, encode the special characters: %40 for @, %2F for /, %3F for ?",
    )
}

fn refuse_few(members: usize) -> Result<()> {
    if members >= 3 {
        return Ok(());
    }
    Err(invalid(format!("a majority of {members} is not more than each of them"))
        .hint("name 3 or 5 independent stores"))
}

fn quorum(rest: &str) -> Result<StoreUrl> {
    let mut members = Vec::new();
    let mut own = Settings::default();
    let texts: Vec<&str> = rest.split(';').collect();
    for (index, text) in texts.iter().enumerate() {
        if let Some(query) = text.strip_prefix('?').filter(|_| index + 1 == texts.len()) {
            own = settings(Scheme::Quorum, query)?;
            continue;
        }
        let member =
            parse(text).map_err(|error| error.store(format!("member {} of the quorum", index + 1)))?;
        if matches!(member.place, Place::Quorum { .. }) {
            return Err(invalid("a quorum may not be a member of a quorum"));
        }
        if member.settings.ttl.is_some() {
            return Err(invalid("`ttl` is for the whole quorum").hint("write quorum:URL;URL;URL;?ttl=30s"));
        }
        if members.contains(&member) {
            return Err(invalid(format!("`{member}` is named twice: it would vote twice")));
        }
        members.push(member);
    }
    refuse_few(members.len())?;
    Ok(StoreUrl { place: Place::Quorum { members }, settings: own })
}

fn settings(scheme: Scheme, query: &str) -> Result<Settings> {
    let mut settings = Settings::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = Key::find(name, scheme)?;
        let value = decode(value, &format!("the value of `{name}`"))?;
        let twice = match key {
            Key::Prefix => settings.prefix.replace(prefix(value)?).is_some(),
            Key::Dialect => settings.dialect.replace(dialect(value)?).is_some(),
            Key::Ttl => settings.ttl.replace(span(name, &value)?).is_some(),
            Key::Timeout => settings.timeout.replace(span(name, &value)?).is_some(),
            Key::MinReplicas => settings.min_replicas.replace(count(name, &value)?).is_some(),
            Key::LongestLease => settings.longest_lease.replace(span(name, &value)?).is_some(),
            Key::Strict => settings.strict.replace(truth(name, &value)?).is_some(),
            Key::Ca => settings.ca.replace(value.into()).is_some(),
            Key::Resp => settings.resp.replace(version(&value)?).is_some(),
            Key::Template => settings.template.replace(template(value)?).is_some(),
        };
        if twice {
            return Err(invalid(format!("the key `{name}` is there twice")));
        }
    }
    Ok(settings)
}

fn prefix(value: String) -> Result<String> {
    if value.is_empty() || value.len() >= LockName::BYTES_MAX {
        let message =
            format!("`prefix` has 1 to {} bytes, for names have at most one more", LockName::BYTES_MAX - 1);
        return Err(invalid(message));
    }
    Ok(value)
}

fn dialect(value: String) -> Result<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if value.is_empty() || !value.chars().all(plain) {
        return Err(invalid("`dialect` is a name in lower-case letters, such as `redisson`"));
    }
    Ok(value)
}

fn truth(name: &str, value: &str) -> Result<bool> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(invalid(format!("`{name}` is `true` or `false`"))),
    }
}

fn version(value: &str) -> Result<u32> {
    match value {
        "2" => Ok(2),
        "3" => Ok(3),
        _ => Err(invalid("`resp` is the version of the protocol: 2 or 3")),
    }
}

fn template(value: String) -> Result<String> {
    if value.matches('*').count() != 1 || value.len() >= LockName::BYTES_MAX {
        return Err(
            invalid("`template` has one `*` for the name of the lock").hint("for example template=redlock:*")
        );
    }
    Ok(value)
}

fn span(name: &str, value: &str) -> Result<Duration> {
    let span = humantime::parse_duration(value).map_err(|source| {
        invalid(format!("`{name}={}` is not a duration", value.escape_debug()))
            .hint("for example 30s, 500ms or 2m")
            .source(source)
    })?;
    if span.is_zero() {
        return Err(invalid(format!("`{name}` must be longer than nothing")).hint("for example 30s"));
    }
    Ok(span)
}

fn count(name: &str, value: &str) -> Result<u32> {
    value.parse().map_err(|_| invalid(format!("`{name}={}` is not a number", value.escape_debug())))
}
