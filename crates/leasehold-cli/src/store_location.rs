//! The store that the command line names, and the connection to it.

use std::{
    env,
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use leasehold::{Client, LockOptions, url::StoreUrl};

use crate::exit::{self, CliError};

const VARIABLE: &str = "LEASEHOLD_STORE";
/// The password of a redacted URL.
const REDACTED: &str = ":***@";
/// Time limit for pending releases when the client is closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct StoreLocation {
    url: StoreUrl,
    from_environment: bool,
}

impl StoreLocation {
    /// The named store, or the default SQLite file of this user.
    pub(crate) fn find(named: Option<&str>) -> Result<Self> {
        let Some(text) = named.filter(|text| !text.is_empty()) else {
            return Ok(StoreLocation { url: StoreUrl::sqlite(default_path()?)?, from_environment: false });
        };
        let url = StoreUrl::parse(text)?;
        if text.contains(REDACTED) {
            let hint = "an outer `leasehold run` got the password with --store and does not pass it on: name the store \
                        here too, or put its URL into LEASEHOLD_STORE";
            return Err(CliError::usage(format!("the password of {url} is masked"), hint));
        }
        let from_environment = env::var(VARIABLE).is_ok_and(|value| value == text);
        Ok(StoreLocation { url, from_environment })
    }

    /// The value of LEASEHOLD_STORE for the command, so that a nested `leasehold` uses the same store; `None` leaves the
    /// variable unchanged.
    ///
    /// A URL without secrets is passed on. A URL with a password from the variable stays there, since the command has it
    /// already. A URL with a password from `--store` is passed on redacted: a nested `leasehold` then refuses it with an
    /// explanation, instead of taking its locks in another store.
    pub(crate) fn for_child(&self) -> Option<String> {
        let has_secret = self.url.reveal() != self.url.to_string();
        (!(has_secret && self.from_environment)).then(|| self.url.to_string())
    }

    pub(crate) fn ttl(&self) -> Option<Duration> {
        self.url.options().ttl()
    }

    pub(crate) fn url(&self) -> &StoreUrl {
        &self.url
    }

    /// The URL without passwords.
    pub(crate) fn shown(&self) -> String {
        self.url.to_string()
    }

    pub(crate) fn is_default(&self) -> bool {
        default_path().is_ok_and(|path| StoreUrl::sqlite(path).is_ok_and(|url| url == self.url))
    }

    /// Connects; `change` sets the default options of the client's locks.
    pub(crate) async fn connect(&self, change: impl FnOnce(LockOptions) -> LockOptions) -> Result<Client> {
        if self.is_default() {
            make_private_directories(&default_path()?)?;
        }
        let client = Client::connect(&self.url).await?;
        let options = change(client.options().clone());
        Ok(client.with_options(options).build()?)
    }
}

/// Closes the client after its pending releases. A release that fails was reported, and its lock ends by its ttl.
pub(crate) async fn disconnect(client: &Client) {
    let _ = client.close(CLOSE_TIMEOUT).await;
}

/// `leasehold/locks.db` in the user's state directory, by the XDG base directory specification.
fn default_path() -> Result<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    let state = state.ok_or_else(|| {
        let message = "no store is named, and there is no home directory for the default store";
        CliError::usage(message, "pass --store sqlite:PATH")
    })?;
    Ok(state.join("leasehold").join("locks.db"))
}

fn make_private_directories(file: &Path) -> Result<()> {
    let Some(directory) = file.parent() else { return Ok(()) };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| {
        let message = format!("cannot create {}: {error}", directory.display());
        CliError::with_code(exit::UNAVAILABLE, message, "pass --store sqlite:PATH, or set XDG_STATE_HOME")
    })
}
