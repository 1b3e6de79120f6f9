//! The store that the command line names, and the connection to it.

use std::{
    env,
    ffi::OsString,
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use anyhow::Result;
use leasehold::{Client, ErrorKind, LockOptions, env::Env, url::StoreUrl};
use serde_json::json;

use crate::{
    config::{self, Config, Defaults, NamedStore},
    exit::{self, CliError},
    lock::WaitLimit,
    output::Output,
};

const VARIABLE: &str = "LEASEHOLD_STORE";
/// The password of a redacted URL.
const REDACTED: &str = ":***@";
/// Time limit for pending releases when the client is closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The same, of a store that has just failed to answer.
const CLOSE_TIMEOUT_AWAY: Duration = Duration::from_millis(500);
/// Time after which a store that does not answer is reported.
const QUIET: Duration = Duration::from_secs(1);
/// Pause before a store that is away is tried again.
pub(crate) const AWAY_PAUSE: Duration = Duration::from_millis(500);

pub(crate) struct StoreLocation {
    url: StoreUrl,
    from_environment: bool,
    /// Its name and the file that has it.
    named: Option<(String, PathBuf)>,
    /// Warnings about the files that its secrets are in.
    pub(crate) warnings: Vec<String>,
    config: Config,
}

impl StoreLocation {
    /// The store of a URL or of a name, the one that `leasehold.toml` chooses, or the default SQLite file of this user.
    pub(crate) fn find(text: Option<&str>) -> Result<Self> {
        let config = Config::read()?;
        let named = match text.map(str::trim) {
            None => config.store()?,
            Some(name) if config::is_name(name) => Some(config.find(name).unwrap_or_else(|| {
                let message = format!("no store is named `{name}` in {}", config.places());
                Err(CliError::usage(
                    message,
                    format!("give it a URL there, or did you mean `sqlite:{name}`?"),
                ))
            })?),
            Some(_) => None,
        };
        match (named, text) {
            (Some(NamedStore { name, file, url, warnings }), _) => Ok(StoreLocation {
                url,
                from_environment: false,
                named: Some((name, file)),
                warnings,
                config,
            }),
            (None, Some(text)) => StoreLocation::of_url(text, config),
            (None, None) => Ok(StoreLocation::new(StoreUrl::sqlite(default_path()?)?, config)),
        }
    }

    fn new(url: StoreUrl, config: Config) -> Self {
        StoreLocation { url, from_environment: false, named: None, warnings: Vec::new(), config }
    }

    fn of_url(text: &str, config: Config) -> Result<Self> {
        if text.trim().is_empty() {
            let hint = "name a store; without --store and LEASEHOLD_STORE it is a file that only this machine shares";
            return Err(CliError::usage("the store is empty (--store or LEASEHOLD_STORE)", hint));
        }
        let url = StoreUrl::parse(text)?;
        if text.contains(REDACTED) {
            let hint = "an outer `leasehold run` got the password with --store and does not pass it on: name the store \
                        here too, or put its URL into LEASEHOLD_STORE";
            return Err(CliError::usage(format!("the password of {url} is masked"), hint));
        }
        let from_environment = env::var(VARIABLE).is_ok_and(|value| value == text);
        Ok(StoreLocation { from_environment, ..StoreLocation::new(url, config) })
    }

    /// The variables that the command gets, so that a nested `leasehold` uses the same store.
    ///
    /// A URL without secrets is passed on. A URL with a password from the variable stays there, since the command has it
    /// already; of one from `leasehold.toml` the name is passed on, with the file. A URL with a password from `--store` is passed on
    /// redacted: a nested `leasehold` then refuses it with an explanation, instead of taking its locks in another store.
    pub(crate) fn for_child(&self) -> Vec<(&'static str, OsString)> {
        let has_secret = self.has_secret();
        match &self.named {
            _ if has_secret && self.from_environment => Vec::new(),
            Some((name, file)) if has_secret => {
                let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
                vec![(VARIABLE, name.into()), (config::VARIABLE, file.into())]
            }
            _ => vec![(VARIABLE, self.url.to_string().into())],
        }
    }

    pub(crate) fn ttl(&self) -> Option<Duration> {
        self.url.options().ttl().or_else(|| self.default(|defaults| defaults.ttl))
    }

    /// The default of an option.
    pub(crate) fn default<T>(&self, of: impl Fn(&Defaults) -> Option<T>) -> Option<T> {
        self.config.default(of)
    }

    /// Where the store comes from: its name, and the file that has it.
    pub(crate) fn origin(&self) -> Option<String> {
        self.named.as_ref().map(|(name, file)| format!("{name} in {}", file.display()))
    }

    pub(crate) fn url(&self) -> &StoreUrl {
        &self.url
    }

    /// The URL without passwords.
    pub(crate) fn shown(&self) -> String {
        self.url.to_string()
    }

    /// The `--store` by which a shell names it again; `None` where nothing is needed. A password that `--store` had is masked.
    pub(crate) fn argument(&self) -> Option<String> {
        let has_secret = self.has_secret();
        match &self.named {
            _ if self.is_default() || has_secret && self.from_environment => None,
            Some((name, _)) if has_secret => Some(name.clone()),
            _ => Some(self.shown()),
        }
    }

    fn has_secret(&self) -> bool {
        self.url.reveal() != self.url.to_string()
    }

    pub(crate) fn is_default(&self) -> bool {
        default_path().is_ok_and(|path| StoreUrl::sqlite(path).is_ok_and(|url| url == self.url))
    }

    /// Whether it is the default file, in a directory that its first use makes.
    pub(crate) fn is_to_be_made(&self) -> bool {
        self.is_default() && default_path().is_ok_and(|path| !path.parent().is_some_and(Path::exists))
    }

    /// Connects, as [`StoreLocation::connect`]. A store that is away is waited for like a lock that is busy. Answers the rest of the
    /// limit, too.
    pub(crate) async fn connect_within(
        &self,
        limit: WaitLimit,
        output: Output,
        change: impl Fn(LockOptions) -> LockOptions,
    ) -> Result<(Client, WaitLimit)> {
        let env = Env::system()?;
        let (begin, mut was_away, mut is_reported) = (env.now(), false, false);
        let mut report = |message: String| {
            if !std::mem::replace(&mut is_reported, true) {
                report_away(output, &self.shown(), &message);
            }
        };
        loop {
            let mut connecting = pin!(self.connect(&change));
            let answer = tokio::select! {
                biased;
                answer = &mut connecting => answer,
                () = env.sleep(QUIET) => {
                    report(format!("{} has not answered yet", self.shown()));
                    match limit {
                        WaitLimit::For(span) => {
                            let end = (begin + span).max(env.now());
                            env.until(end, connecting).await.unwrap_or_else(|| Err(self.silent().into()))
                        }
                        WaitLimit::NoWait | WaitLimit::Forever => connecting.await,
                    }
                }
            };
            // Connecting is no wait, unless the store was away.
            was_away |= answer.is_err();
            let left = if was_away { limit.after(env.now().since(begin)) } else { limit };
            let pause = left.at_most(AWAY_PAUSE);
            match answer {
                Err(error) if is_away(&error) && !pause.is_zero() => {
                    report(error.to_string());
                    env.sleep(pause).await;
                }
                answer => return answer.map(|client| (client, left)),
            }
        }
    }

    fn silent(&self) -> leasehold::Error {
        let message = "the store has not answered for the whole wait";
        leasehold::Error::new(ErrorKind::TimedOut, message).verb("connect").store(self.shown())
    }

    /// The answer of a client with the usual options, which is closed after it.
    pub(crate) async fn ask<T>(&self, question: impl AsyncFnOnce(&Client) -> Result<T>) -> Result<T> {
        let client = self.connect(|options| options).await?;
        let answer = question(&client).await;
        disconnect(&client, &answer).await;
        answer
    }

    /// Connects; `change` sets the default options of the client's locks.
    pub(crate) async fn connect(&self, change: impl Fn(LockOptions) -> LockOptions) -> Result<Client> {
        if self.url.is_process_local() {
            let message = format!("{} excludes nobody: its locks live and end with this process", self.url);
            return Err(CliError::usage(message, "name a store that processes share, such as sqlite:PATH"));
        }
        if self.is_default() {
            make_private_directories(&default_path()?)?;
        }
        let client = Client::connect(&self.url).await?;
        let options = change(client.options().clone());
        Ok(client.with_options(options).build()?)
    }
}

/// Whether an error may pass while one waits: the store is away, or full.
pub(crate) fn may_pass(error: &leasehold::Error) -> bool {
    error.is_transient() || error.kind() == ErrorKind::Exhausted
}

pub(crate) fn is_away(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(may_pass)
}

pub(crate) fn report_away(output: Output, store: &str, message: &str) {
    output.event("store-away", json!({ "store": store, "message": message }));
    output.say(format!("waiting for the store · {message}"));
}

/// Closes the client after its pending releases. A release that fails was reported, and its lock ends by its ttl; a store
/// that was away for as long as `result` was waited for gets little more time.
pub(crate) async fn disconnect<T>(client: &Client, result: &Result<T>) {
    let is_away = result.as_ref().is_err_and(is_away);
    let _ = client.close(if is_away { CLOSE_TIMEOUT_AWAY } else { CLOSE_TIMEOUT }).await;
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
