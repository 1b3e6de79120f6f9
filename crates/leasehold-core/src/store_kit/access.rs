//! [`Access`]: the login and the TLS settings of connections, and the files that hold them.

use std::{fmt, fs::File, io::Read, path::PathBuf};

use crate::{
    Error, ErrorKind, Result,
    url::{Credentials, ParsedUrl, Password},
};

/// The largest file that is read.
const BYTES_MAX: u64 = 1 << 20;

/// Login and TLS settings. The files are read again for each connection, so that they can be replaced at any time.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Access {
    /// The beginning of the URL keys that set it: `sentinel_`, or nothing.
    pub prefix: &'static str,
    /// The user; empty for the default one or none.
    pub user: String,
    /// The password; empty for none, or one in a file.
    pub password: Password,
    /// A file with the password.
    pub password_file: Option<PathBuf>,
    /// Whether to use TLS.
    pub tls: bool,
    /// A PEM file of authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// A PEM file with the certificate of this client, for servers that demand one.
    pub cert: Option<PathBuf>,
    /// A PEM file with the private key of that certificate, unless it is in the same file.
    pub key: Option<PathBuf>,
    /// The name that the certificates of the servers contain, if it is not the host's.
    pub server_name: Option<String>,
}

/// The contents of the files of an [`Access`]. `Debug` shows none.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secrets {
    /// The password; empty for none.
    pub password: Password,
    /// The authorities, in PEM; `None` for those of the system.
    pub ca: Option<Vec<u8>>,
    /// The certificate and the private key of this client, in PEM.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Access {
    /// The login and the TLS settings that a URL has.
    pub fn of(url: &ParsedUrl) -> Access {
        let Credentials { user, password } = url.credentials.clone();
        Access { user, password, tls: url.scheme.tls, ..Access::of_keys(url, "") }
    }

    /// The files and names in the keys of a URL that begin with this prefix.
    pub fn of_keys(url: &ParsedUrl, prefix: &'static str) -> Access {
        let text = |key: &str| url.options.get(&format!("{prefix}{key}"));
        let path = |key: &str| text(key).map(PathBuf::from);
        Access {
            prefix,
            user: text("user").unwrap_or_default().to_string(),
            password: text("password").unwrap_or_default().into(),
            password_file: path("password_file"),
            tls: text("tls") == Some("true"),
            ca: path("ca"),
            cert: path("cert"),
            key: path("key"),
            server_name: text("server_name").map(str::to_string),
        }
    }

    /// Refuses a password without a user, for stores without a default user.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`].
    pub fn check_user(&self) -> Result<()> {
        if self.user.is_empty() && (!self.password.is_empty() || self.password_file.is_some()) {
            return Err(Error::new(ErrorKind::Invalid, "a password without a user")
                .hint("name the user before the host: user@host"));
        }
        Ok(())
    }

    /// Refuses settings that contradict each other and files that cannot be read.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], naming the file and the key of the URL.
    pub fn check(&self) -> Result<()> {
        let prefix = self.prefix;
        let invalid = |message: String, hint: &str| Err(Error::new(ErrorKind::Invalid, message).hint(hint));
        if !self.password.is_empty() && self.password_file.is_some() {
            return invalid(format!("a password and `{prefix}password_file`"), "leave one of them out");
        }
        if self.key.is_some() && self.cert.is_none() {
            return invalid(
                format!("`{prefix}key` without `{prefix}cert`"),
                "name the certificate of the key, too",
            );
        }
        if !self.tls && (self.ca.is_some() || self.cert.is_some() || self.server_name.is_some()) {
            return invalid(
                format!("`{prefix}ca`, `{prefix}cert` and `{prefix}server_name` are for TLS"),
                "use a scheme with TLS, such as rediss:// or etcds://",
            );
        }
        self.load(ErrorKind::Invalid).map(drop)
    }

    /// Reads the files.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`], because a file may be missing while it is replaced.
    pub fn read(&self) -> Result<Secrets> {
        self.load(ErrorKind::Unreachable)
    }

    fn load(&self, kind: ErrorKind) -> Result<Secrets> {
        let read = |key: &str, path: &Option<PathBuf>| {
            path.as_ref().map(|path| self.read_file(kind, key, path)).transpose()
        };
        let password = match read("password_file", &self.password_file)? {
            None => self.password.clone(),
            Some(bytes) => self.password_of(kind, bytes)?,
        };
        let cert = read("cert", &self.cert)?;
        let key = read("key", &self.key)?;
        let identity = cert.map(|cert| (cert.clone(), key.unwrap_or(cert)));
        Ok(Secrets { password, ca: read("ca", &self.ca)?, identity })
    }

    fn read_file(&self, kind: ErrorKind, key: &str, path: &PathBuf) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes));
        let problem = match read {
            Ok(_) if bytes.len() as u64 > BYTES_MAX => "it is longer than 1 MiB".to_string(),
            Ok(0) => "it is empty".to_string(),
            Ok(_) => return Ok(bytes),
            Err(source) => source.to_string(),
        };
        let message = format!("{} of `{}{key}` cannot be read: {problem}", path.display(), self.prefix);
        Err(Error::new(kind, message).hint("does the file exist, and may this user read it?"))
    }

    /// The first line of a file.
    fn password_of(&self, kind: ErrorKind, bytes: Vec<u8>) -> Result<Password> {
        let text = String::from_utf8(bytes).ok();
        let line = text.as_ref().and_then(|text| text.lines().next()).filter(|line| !line.is_empty());
        line.map(Password::new).ok_or_else(|| {
            let message = format!("the first line of `{}password_file` is no password", self.prefix);
            Error::new(kind, message).hint("the file contains the password alone, in UTF-8")
        })
    }

    /// Connects with what the files contain, and again if that has changed by the time that the server refuses it.
    ///
    /// # Errors
    /// Those of [`Access::read`] and of `attempt`.
    pub async fn connect<T, F>(&self, mut attempt: impl FnMut(Secrets) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut secrets = self.read()?;
        loop {
            match attempt(secrets.clone()).await {
                Err(error) if error.kind() == ErrorKind::Rejected => {
                    let newer = self.read()?;
                    if newer == secrets {
                        return Err(error);
                    }
                    secrets = newer;
                }
                result => return result,
            }
        }
    }

    /// The error for a failure to connect, by the text of its cause; `None` if that is not about certificates.
    pub fn explain(&self, text: &str) -> Option<Error> {
        let prefix = self.prefix;
        let mentions = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let rejected = |what: &str, hint: String| {
            Some(Error::new(ErrorKind::Rejected, format!("{what}: {text}")).hint(hint))
        };
        if !self.tls || text.contains("does not support TLS") {
            return None;
        }
        if text.contains("fatal alert")
            && mentions(&["Certificate", "UnknownCA", "DecryptError", "AccessDenied", "HandshakeFailure"])
        {
            let what = match self.cert {
                None => "the server demands a certificate of this client",
                Some(_) => "the server does not accept the certificate of this client",
            };
            return rejected(
                what,
                format!("name one that it trusts, and its key, with {prefix}cert=PATH&{prefix}key=PATH"),
            );
        }
        if mentions(&["not valid for name", "NotValidForName"]) {
            let hint = format!("use a name that it contains, in the URL or with {prefix}server_name=NAME");
            return rejected("the server's certificate is for another name", hint);
        }
        if mentions(&["client certificate", "private key", "PrivateKey", "KeyMismatch"]) {
            let hint =
                format!("do the files of {prefix}cert= and {prefix}key= belong together, and are they PEM?");
            return rejected("the certificate of this client cannot be used", hint);
        }
        let hint = format!("name your own authority with {prefix}ca=PATH");
        mentions(&["certificate", "Cert", "tls", "TLS"])
            .then(|| rejected("the server's certificate is not accepted", hint))
            .flatten()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        Access { tls: true, ..Access::default() }
    }

    #[test]
    fn failures_of_tls_have_a_hint_each() {
        for (text, cert, hint) in [
            ("received fatal alert: CertificateRequired", None, "cert=PATH"),
            ("received fatal alert: HandshakeFailure", None, "cert=PATH"),
            ("received fatal alert: UnknownCA", Some("x"), "cert=PATH"),
            ("certificate not valid for name \"10.0.0.1\"", None, "server_name=NAME"),
            ("invalid peer certificate: UnknownIssuer", None, "ca=PATH"),
            ("client certificate: KeyMismatch", Some("x"), "belong together"),
        ] {
            let of = Access { prefix: "sentinel_", cert: cert.map(PathBuf::from), ..access() };
            let error = of.explain(text).expect(text);
            assert_eq!(error.kind(), ErrorKind::Rejected, "{text}");
            let shown = error.hint_text().unwrap_or_default();
            assert!(shown.contains(hint) && shown.contains("sentinel_"), "{text}: {shown}");
        }
        for text in
            ["connection refused", "received fatal alert: ProtocolVersion", "server does not support TLS"]
        {
            assert!(access().explain(text).is_none(), "{text}");
        }
        assert!(Access::default().explain("certificate").is_none(), "not without TLS");
    }

    #[test]
    fn contradictions_are_refused() {
        let file = || Some(PathBuf::from("/none"));
        for (access, says) in [
            (Access { password: "x".into(), password_file: file(), ..access() }, "`password_file`"),
            (Access { key: file(), ..access() }, "`key` without `cert`"),
            (Access { ca: file(), ..Access::default() }, "are for TLS"),
            (Access { server_name: Some("x".into()), ..Access::default() }, "are for TLS"),
            (Access { ca: file(), ..access() }, "/none of `ca` cannot be read"),
        ] {
            let error = access.check().expect_err(says);
            assert_eq!(error.kind(), ErrorKind::Invalid, "{says}");
            assert!(error.to_string().contains(says), "{error}");
        }
        assert!(Access { password: "x".into(), ..access() }.check_user().is_err());
        assert!(Access { user: "u".into(), password: "x".into(), ..access() }.check_user().is_ok());
    }

    /// A refusal is followed by another attempt only if the file has changed by then.
    #[tokio::test]
    async fn a_file_that_changes_while_it_is_used_is_read_again() {
        let file = std::env::temp_dir().join(format!("leasehold-access-{}", std::process::id()));
        let write = |text: &str| std::fs::write(&file, text).expect("a file");
        write("one\r\nsecond line");
        let access = Access { password_file: Some(file.clone()), ..access() };
        let mut seen = Vec::new();
        let connected = access.connect(|secrets| {
            assert!(!format!("{secrets:?}").contains("one"));
            seen.push(secrets.password.reveal().to_string());
            write("two");
            std::future::ready(Err::<(), _>(Error::new(ErrorKind::Rejected, "refused")))
        });
        let error = connected.await.expect_err("refused");
        assert_eq!((error.kind(), &seen[..]), (ErrorKind::Rejected, &["one".to_string(), "two".into()][..]));
        std::fs::remove_file(&file).expect("a file");
        assert_eq!(access.read().expect_err("gone").kind(), ErrorKind::Unreachable, "it may come back");
    }
}
