//! A URL as text, with its passwords or without.

use std::fmt;

use super::{
    Address, Form, ParsedUrl, Value,
    percent::{encode, encode_path},
};

pub(super) struct Redacted<'a> {
    pub(super) url: &'a ParsedUrl,
    pub(super) secrets: bool,
}

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url;
        write!(f, "{}:", url.scheme.name)?;
        match url.scheme.form {
            Form::Name | Form::File => {
                // Two slashes would be taken for the beginning of an authority.
                let guard = if url.path.starts_with("//") { "//" } else { "" };
                write!(f, "{guard}{}", url.path)?;
            }
            Form::Socket | Form::Hosts { .. } => {
                self.authority(f)?;
                f.write_str(&url.path)?;
            }
            Form::Members => self.members(f)?,
        }
        query(f, self)
    }
}

impl Redacted<'_> {
    fn authority(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credentials = &self.url.credentials;
        write!(f, "//{}", encode(&credentials.user))?;
        if !credentials.password.is_empty() {
            match self.secrets {
                true => write!(f, ":{}", encode(credentials.password.reveal()))?,
                false => f.write_str(":***")?,
            }
        }
        if *credentials != Default::default() {
            f.write_str("@")?;
        }
        for (index, address) in self.url.addresses.iter().enumerate() {
            write!(f, "{}{address}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }

    fn members(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, url) in self.url.members.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { ";" }, Redacted { url, secrets: self.secrets })?;
        }
        f.write_str(if self.url.options.is_empty() { "" } else { ";" })
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

fn query(f: &mut fmt::Formatter<'_>, Redacted { url, secrets }: &Redacted<'_>) -> fmt::Result {
    let set = url.scheme.keys().filter_map(|key| Some((key, url.options.get(key.name)?)));
    for (index, (key, value)) in set.enumerate() {
        write!(f, "{}{}=", if index == 0 { "?" } else { "&" }, key.name)?;
        match key.value {
            Value::Path => write!(f, "{}", encode_path(value.as_bytes()))?,
            Value::Secret if !secrets => f.write_str("***")?,
            _ => write!(f, "{}", encode(value))?,
        }
    }
    Ok(())
}

/// Without passwords.
impl fmt::Display for ParsedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Redacted { url: self, secrets: false }, f)
    }
}

/// As [`Display`](fmt::Display).
impl fmt::Debug for ParsedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParsedUrl({self})")
    }
}
