//! Which store, and the connection to it.

use std::{
    env,
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use leasehold::{Client, LockOptions, StoreUrl};

use crate::exit::{self, Refusal};

/// The variable that names the store.
const VARIABLE: &str = "LEASEHOLD_STORE";
/// What stands for a password in a URL that may be shown.
const REDACTED: &str = ":***@";

/// Which store it is, and how we know.
pub(crate) struct Location {
    url: StoreUrl,
    from_environment: bool,
}

impl Location {
    /// The store that was named, or the file of this user.
    pub(crate) fn find(named: Option<&str>) -> Result<Self> {
        let Some(text) = named.filter(|text| !text.is_empty()) else {
            return Ok(Location { url: StoreUrl::sqlite(default_path()?)?, from_environment: false });
        };
        let url = StoreUrl::parse(text)?;
        if text.contains(REDACTED) {
            let hint = "an outer `leasehold run` had the password from --store and does not hand it on: name the \
                        store here too, or put its URL into LEASEHOLD_STORE";
            return Err(Refusal::usage(format!("the password of {url} is masked"), hint));
        }
        Ok(Location { url, from_environment: env::var(VARIABLE).is_ok_and(|value| value == text) })
    }

    /// What the command gets as LEASEHOLD_STORE, so that a nested `leasehold` finds the same store; `None` leaves the
    /// variable as it is.
    ///
    /// A URL without secrets is handed on. One with a password stays where it was if it came from the variable, since
    /// the command has it already. From `--store` it is handed on masked: better that a nested `leasehold` refuses it,
    /// and says why, than that it quietly takes locks in another store.
    pub(crate) fn for_child(&self) -> Option<String> {
        let has_secret = self.url.reveal() != self.url.to_string();
        (!(has_secret && self.from_environment)).then(|| self.url.to_string())
    }

    /// The time to live that the URL asks for.
    pub(crate) fn ttl(&self) -> Option<Duration> {
        self.url.options().ttl()
    }

    /// The URL, with its passwords.
    pub(crate) fn url(&self) -> &StoreUrl {
        &self.url
    }

    /// The URL without passwords.
    pub(crate) fn shown(&self) -> String {
        self.url.to_string()
    }

    /// Whether it must be named for others to find it.
    pub(crate) fn is_default(&self) -> bool {
        default_path().is_ok_and(|path| StoreUrl::sqlite(path).is_ok_and(|url| url == self.url))
    }

    /// Connects.
    pub(crate) async fn connect(&self, change: impl FnOnce(LockOptions) -> LockOptions) -> Result<Client> {
        if self.is_default() {
            make_private_directories(&default_path()?)?;
        }
        Ok(Client::connect_to(&self.url, change).await?)
    }
}

/// `leasehold/locks.db` in the user's state directory, as the XDG base directory specification has it.
fn default_path() -> Result<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    let state = state.ok_or_else(|| {
        Refusal::usage(
            "no store is named, and there is no home directory for the default one",
            "pass --store sqlite:PATH",
        )
    })?;
    Ok(state.join("leasehold").join("locks.db"))
}

fn make_private_directories(file: &Path) -> Result<()> {
    let Some(directory) = file.parent() else { return Ok(()) };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| {
        let message = format!("cannot make {}: {error}", directory.display());
        Refusal::with_code(exit::UNAVAILABLE, message, "pass --store sqlite:PATH, or set XDG_STATE_HOME")
    })
}
