//! The environment and the files of libpq, for what a URL leaves out.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use leasehold_core::{
    Error, ErrorKind, Result,
    store_kit::{Access, permits},
    url::{ParsedUrl, Password},
};
use tokio_postgres::config::{Host, TargetSessionAttrs};

use crate::{dialect::Dialect, options::PostgresOptions};

pub(crate) const PORT: u16 = 5432;
/// Where Debian's server has its socket, and libpq looks for it.
const SOCKET: &str = "/var/run/postgresql";

/// Variables of the environment; empty ones count as unset.
pub(crate) struct Environment<'e>(pub(crate) &'e dyn Fn(&str) -> Option<String>);

impl Environment<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    /// The path in a variable, or of a file in the user's directory.
    fn path(&self, name: &str, usual: &str) -> Option<PathBuf> {
        self.get(name).or_else(|| Some(format!("{}/{usual}", self.get("HOME")?))).map(PathBuf::from)
    }

    /// The same, if the file is there or the variable names it.
    fn file(&self, name: &str, usual: &str) -> Option<PathBuf> {
        self.path(name, usual).filter(|path| self.get(name).is_some() || path.exists())
    }
}

/// The options that a URL sets, and the environment for what it leaves out.
pub(crate) fn options(url: &ParsedUrl, environment: &Environment<'_>) -> Result<PostgresOptions> {
    let key_or = |key: &str, variable: &str| {
        url.options.get(key).map(String::from).or_else(|| environment.get(variable))
    };
    let port = key_or("port", "PGPORT").and_then(|port| port.parse().ok()).unwrap_or(PORT);
    let mut options = PostgresOptions::new(url.addresses.clone());
    let config = &mut options.config;
    if url.addresses.is_empty() {
        let addresses = match url.options.get("host") {
            Some(_) => Vec::new(),
            None => addresses(environment)?,
        };
        let usual = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let usual = Some(usual).filter(|hosts| !hosts.is_empty()).unwrap_or_else(|| SOCKET.to_string());
        for host in key_or("host", "PGHOST").unwrap_or(usual).split(',') {
            config.host(host).port(port);
        }
        for address in addresses {
            config.hostaddr(address);
        }
    }
    let path = Some(url.text()?.trim_start_matches('/').to_string()).filter(|path| !path.is_empty());
    if let Some(name) = path.or_else(|| environment.get("PGDATABASE")) {
        config.dbname(name);
    }
    if let Some(settings) = environment.get("PGOPTIONS") {
        config.options(settings);
    }
    if let Some(name) = environment.get("PGAPPNAME") {
        config.application_name(name);
    }
    if any_server(key_or("target_session_attrs", "PGTARGETSESSIONATTRS").as_deref())? {
        config.target_session_attrs(TargetSessionAttrs::Any);
    }
    let mode = key_or("sslmode", "PGSSLMODE");
    options.access = access(url, environment, mode.as_deref());
    let passfile = url.options.get("passfile").map(PathBuf::from);
    options.passfile = passfile.or_else(|| environment.path("PGPASSFILE", ".pgpass"));
    options.is_pooled = url.options.get("pooler").is_some();
    options.timeout = url.options.timeout().unwrap_or(options.timeout);
    options.dialect = Dialect::of(url)?;
    options.url = url.to_string();
    Ok(options)
}

/// The addresses of `PGHOSTADDR`, for a URL that names no host.
fn addresses(environment: &Environment<'_>) -> Result<Vec<IpAddr>> {
    if environment.get("PGSERVICE").is_some() {
        return Err(Error::new(ErrorKind::Invalid, "PGSERVICE is set, and service files are not read")
            .hint("name the server in the URL, or by PGHOST with PGSERVICE unset"));
    }
    let given = environment.get("PGHOSTADDR").unwrap_or_default();
    let addresses = given.split(',').filter(|address| !address.is_empty()).map(str::parse);
    addresses.collect::<Result<_, _>>().map_err(|_| {
        Error::new(ErrorKind::Invalid, "PGHOSTADDR is no list of IP addresses").hint("names are for PGHOST")
    })
}

/// Whether a server will do that takes no writes.
fn any_server(wanted: Option<&str>) -> Result<bool> {
    match wanted {
        None | Some("read-write" | "primary") => Ok(false),
        Some("any" | "prefer-standby") => Ok(true),
        Some(other) => {
            let message = format!("locks cannot be kept by a server with target_session_attrs={other}");
            Err(Error::new(ErrorKind::Invalid, message.escape_debug().to_string())
                .hint("a lock is written: target_session_attrs=read-write"))
        }
    }
}

fn access(url: &ParsedUrl, environment: &Environment<'_>, mode: Option<&str>) -> Access {
    let tls = matches!(mode, Some("require" | "verify-ca" | "verify-full"));
    let mut access = Access { tls, ..Access::of(url) };
    if access.user.is_empty() {
        access.user = environment.get("PGUSER").or_else(|| environment.get("USER")).unwrap_or_default();
    }
    if access.password.is_empty() && access.password_file.is_none() {
        access.password = environment.get("PGPASSWORD").unwrap_or_default().into();
    }
    if tls && access.ca.is_none() {
        let authority = environment.file("PGSSLROOTCERT", ".postgresql/root.crt");
        // So libpq calls those of the system.
        access.ca = authority.filter(|path| path != Path::new("system"));
    }
    if tls && access.cert.is_none() && access.key.is_none() {
        access.cert = environment.file("PGSSLCERT", ".postgresql/postgresql.crt");
        access.key = access.cert.as_ref().and(environment.file("PGSSLKEY", ".postgresql/postgresql.key"));
    }
    access
}

/// The password of a login in the file that the options name, which is read for each connection.
///
/// # Errors
/// The path of a file that others can read: it is not used.
pub(crate) fn password(options: &PostgresOptions) -> Result<Option<Password>, PathBuf> {
    let path = options.passfile.as_ref().filter(|path| path.is_file());
    let Some(path) = path else { return Ok(None) };
    if permits(path, 0o077) {
        tracing::warn!(store = "postgres", path = %path.display(), "a password file that others can read is not used");
        return Err(path.clone());
    }
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let user = &options.access.user;
    let database = options.config.get_dbname().unwrap_or(user);
    let hosts = options.config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(directory) if directory == Path::new(SOCKET) => "localhost".into(),
        Host::Unix(directory) => directory.display().to_string(),
    });
    let mut places = hosts.zip(options.config.get_ports());
    Ok(places.find_map(|(host, port)| line_of(&text, [&host, &port.to_string(), database, user])))
}

/// The password of the first line `host:port:database:user:password` for a login. A field `*` is any, `\` takes a colon or
/// itself literally.
fn line_of(text: &str, login: [&str; 4]) -> Option<Password> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#')).map(fields);
    let matches = |fields: &Vec<String>| {
        fields.len() >= 5 && login.iter().zip(fields).all(|(wanted, field)| field == "*" || field == wanted)
    };
    lines.find(matches).map(|fields| Password::new(fields[4].clone()))
}

fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            // A password may contain colons that are not marked.
            ':' if fields.len() < 5 => fields.push(String::new()),
            other => {
                let literal = if other == '\\' { characters.next() } else { Some(other) };
                fields.last_mut().into_iter().for_each(|field| field.extend(literal));
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let text = "# a comment\nshort:1\nother:*:*:*:no\nh\\:1:5432:app:me:p\\:w\\\\:d\n*:*:*:me:any\n";
        let found = |login| line_of(text, login).map(|password| password.reveal().to_string());
        assert_eq!(found(["h:1", "5432", "app", "me"]).as_deref(), Some("p:w\\:d"));
        assert_eq!(found(["h", "5432", "app", "me"]).as_deref(), Some("any"));
        assert_eq!(found(["h", "5432", "app", "you"]), None);
        assert_eq!(found(["other", "1", "x", "y"]).as_deref(), Some("no"));
    }

    #[test]
    fn a_server_that_takes_no_writes_keeps_no_locks() {
        assert!(!any_server(None).unwrap() && !any_server(Some("primary")).unwrap());
        assert!(any_server(Some("any")).unwrap());
        for refused in ["standby", "read-only", "x\u{1b}"] {
            assert_eq!(any_server(Some(refused)).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
}
