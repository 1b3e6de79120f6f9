//! From text to [`ParsedUrl`]. An error never quotes a part that may be a password.

use super::{
    Address, Credentials, Form, Hosts, ParsedUrl, Password, Scheme, UrlOptions,
    invalid::invalid,
    percent::{decode, decode_path, encode, encode_path},
};
use crate::{Error, Result, backend::Registry};

const ADDRESSES_MAX: usize = 64;

/// The part before the path, and the path.
struct Parts<'a> {
    scheme: &'static Scheme,
    credentials: Credentials,
    hosts: &'a str,
    path: &'a str,
}

impl ParsedUrl {
    /// Reads a URL of one of the registered schemes. No I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind), naming the nearest known scheme or key;
    /// [`ErrorKind::Unsupported`](crate::ErrorKind) for a store that is not built in. The message holds no password.
    pub fn parse(text: &str, registry: &Registry) -> Result<Self> {
        if text.len() > ParsedUrl::BYTES_MAX {
            let most = ParsedUrl::BYTES_MAX;
            return Err(invalid(format!("a store URL may have at most {most} bytes")));
        }
        let Some((name, rest)) = text.split_once(':') else {
            let error = invalid("the store URL has no scheme");
            return Err(error.hint("for example sqlite:locks.db or redis://host"));
        };
        let shown = rest.starts_with("//") || !rest.contains('@');
        let (backend, scheme) = registry.find(name, shown)?;
        let mut url = match scheme.form {
            Form::Members => members(scheme, rest, registry)?,
            Form::Name | Form::File => {
                let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
                let path = local(scheme.form, rest.strip_prefix("//").unwrap_or(rest))?;
                ParsedUrl { path, options: options(scheme, query, registry)?, ..ParsedUrl::new(scheme) }
            }
            Form::Socket | Form::Hosts { .. } => {
                refuse_stray_marks(scheme, rest)?;
                let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
                let url = network(parts(scheme, rest)?)?;
                ParsedUrl { options: options(scheme, query, registry)?, ..url }
            }
        };
        backend.check.map_or(Ok(()), |check| check(&mut url))?;
        Ok(url)
    }
}

fn options(scheme: &Scheme, query: &str, registry: &Registry) -> Result<UrlOptions> {
    UrlOptions::parse(scheme, query, &registry.keys())
}

/// A password that is not encoded can break a URL anywhere; then nothing of it may be quoted.
fn refuse_stray_marks(scheme: &Scheme, rest: &str) -> Result<()> {
    let Some(rest) = rest.strip_prefix("//") else {
        return Err(invalid(format!("`{0}` is written `{0}://…`", scheme.name)));
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

/// The path of a store without hosts.
fn local(form: Form, text: &str) -> Result<String> {
    match form {
        Form::Name => Ok(encode(&decode(text, "the name")?).to_string()),
        _ => Ok(encode_path(decode_path(text)?.as_os_str().as_encoded_bytes()).to_string()),
    }
}

fn parts<'a>(scheme: &'static Scheme, rest: &'a str) -> Result<Parts<'a>> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    // The path of a socket begins with the slash that ends the empty authority.
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (credentials, hosts) = match authority.rsplit_once('@') {
        Some((login, hosts)) => (credentials(login)?, hosts),
        None => (Credentials::default(), authority),
    };
    Ok(Parts { scheme, credentials, hosts, path })
}

fn credentials(text: &str) -> Result<Credentials> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let password = Password::new(decode(password, "the password")?);
    Ok(Credentials { user: decode(user, "the user name")?, password })
}

fn network(parts: Parts<'_>) -> Result<ParsedUrl> {
    let name = parts.scheme.name;
    let (mut addresses, mut path) = (Vec::new(), parts.path.to_string());
    match parts.scheme.form {
        Form::Hosts { hosts, login, path: has_path } => {
            if !has_path && !matches!(parts.path, "" | "/") {
                return Err(invalid(format!("`{name}` has no path after its hosts")));
            }
            if !login && parts.credentials != Credentials::default() {
                return Err(invalid(format!("`{name}` has no users and passwords")));
            }
            path = if has_path { path } else { String::new() };
            addresses = parts.addresses(hosts)?;
        }
        _ if !parts.hosts.is_empty() => {
            return Err(invalid("a socket has a path and no host")
                .hint(format!("for example {name}:///run/redis/redis.sock")));
        }
        _ => path = local(Form::File, parts.path)?,
    }
    Ok(ParsedUrl { credentials: parts.credentials, addresses, path, ..ParsedUrl::new(parts.scheme) })
}

impl Parts<'_> {
    fn addresses(&self, hosts: Hosts) -> Result<Vec<Address>> {
        if hosts == Hosts::Any && self.hosts.is_empty() {
            return Ok(Vec::new());
        }
        if hosts == Hosts::One && self.hosts.contains(',') {
            let message = format!("`{}` takes one host", self.scheme.name);
            return Err(invalid(message).hint("several are for redis+sentinel, redis+cluster and redlock"));
        }
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
        if hosts == Hosts::Voters {
            refuse_few(addresses.len())?;
        }
        Ok(addresses)
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
            let name = self.scheme.name;
            let message = format!("`{name}` names no host, or not by a name that is one");
            let hint = format!("for example {name}://db.example:{0} or {name}://[::1]:{0}", self.scheme.port);
            return Err(invalid(message).hint(hint));
        }
        Ok(Address { host, port: self.port(port)? })
    }

    fn port(&self, text: &str) -> Result<u16> {
        let error = || {
            invalid("a port is not a number from 1 to 65535").hint(
                "if it is a part of the password, encode the special characters: %40 for @, %2F for /, %3F for ?",
            )
        };
        match text.strip_prefix(':') {
            None if text.is_empty() => Ok(self.scheme.port),
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok().filter(|port| *port > 0).ok_or_else(error)
            }
            _ => Err(error()),
        }
    }
}

fn refuse_few(members: usize) -> Result<()> {
    if members >= 3 {
        return Ok(());
    }
    Err(invalid(format!("a quorum of {members} does not outlive the loss of one"))
        .hint("name 3 or 5 independent stores"))
}

fn members(scheme: &'static Scheme, rest: &str, registry: &Registry) -> Result<ParsedUrl> {
    let mut url = ParsedUrl::new(scheme);
    let texts: Vec<&str> = rest.split(';').collect();
    for (index, text) in texts.iter().enumerate() {
        if let Some(query) = text.strip_prefix('?').filter(|_| index + 1 == texts.len()) {
            url.options = options(scheme, query, registry)?;
            continue;
        }
        let member = ParsedUrl::parse(text, registry)
            .map_err(|error: Error| error.store(format!("member {} of the quorum", index + 1)))?;
        if member.scheme.form == Form::Members {
            return Err(invalid("a quorum may not be a member of a quorum"));
        }
        if member.options.ttl().is_some() {
            return Err(invalid("`ttl` is for the whole quorum").hint("write quorum:URL;URL;URL;?ttl=30s"));
        }
        if url.members.contains(&member) {
            return Err(invalid(format!("`{member}` is named twice: it would vote twice")));
        }
        url.members.push(member);
    }
    refuse_few(url.members.len())?;
    Ok(url)
}
