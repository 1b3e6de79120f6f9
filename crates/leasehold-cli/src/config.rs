//! `leasehold.toml`: stores by name, and defaults of options.
//!
//! The file of the user comes before that of the machine. The directory in which a command is started has no say: who can write there
//! could send the locks of a job to another store.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs::{self, Metadata},
    io,
    ops::Range,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use leasehold::url::StoreUrl;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Spanned;

use crate::{
    duration,
    exit::{CliError, UNSAFE},
    lock::WaitLimit,
};

/// Names the one file that is read.
pub(crate) const VARIABLE: &str = "LEASEHOLD_CONFIG";
const FILE: &str = "leasehold/leasehold.toml";
/// The characters of a path that stay as they are in a URL.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The files, the first of which that says something about a thing decides it.
#[derive(Debug)]
pub(crate) struct Config(Vec<ConfigFile>);

#[derive(Debug)]
struct ConfigFile {
    path: PathBuf,
    text: String,
    content: Content,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Content {
    /// The name of the store where none is named.
    store: Option<Spanned<String>>,
    #[serde(default)]
    defaults: Defaults,
    #[serde(default)]
    stores: BTreeMap<String, Spanned<Entry>>,
}

/// The defaults of options.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Defaults {
    #[serde(default, deserialize_with = "span")]
    pub(crate) ttl: Option<Duration>,
    #[serde(default, deserialize_with = "span")]
    pub(crate) grace: Option<Duration>,
    #[serde(default, deserialize_with = "limit")]
    pub(crate) wait: Option<WaitLimit>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Entry {
    url: Option<String>,
    /// A file with the URL, for one that has a password.
    url_file: Option<PathBuf>,
    password_file: Option<PathBuf>,
}

/// A store that has a name.
#[derive(Debug)]
pub(crate) struct NamedStore {
    pub(crate) name: String,
    /// The file that names it.
    pub(crate) file: PathBuf,
    pub(crate) url: StoreUrl,
    /// Warnings about the files that its secrets are in.
    pub(crate) warnings: Vec<String>,
}

/// Whether a text is the name of a store. A URL has a colon.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

impl Config {
    /// Reads the files that are there.
    pub(crate) fn read() -> Result<Self> {
        let files = paths(|name| env::var_os(name)).into_iter().filter_map(ConfigFile::read);
        let config = Config(files.collect::<Result<_>>()?);
        if let (Some(path), []) = (env::var_os(VARIABLE).filter(|path| !path.is_empty()), &config.0[..]) {
            let message = format!("{} is not there, which {VARIABLE} names", Path::new(&path).display());
            return Err(CliError::with_code(UNSAFE, message, "write it, or unset the variable"));
        }
        Ok(config)
    }

    /// The store that is used where none is named.
    pub(crate) fn store(&self) -> Result<Option<NamedStore>> {
        let named = self.0.iter().find_map(|file| file.content.store.as_ref().map(|name| (file, name)));
        let Some((file, name)) = named else { return Ok(None) };
        self.find(name.get_ref())
            .unwrap_or_else(|| {
                Err(file.wrong(name.span(), &format!("no store is named `{}`", name.get_ref())))
            })
            .map(Some)
    }

    /// The store of this name.
    pub(crate) fn find(&self, name: &str) -> Option<Result<NamedStore>> {
        self.0.iter().find_map(|file| Some(file.store(name, file.content.stores.get(name)?)))
    }

    /// All stores that have a name, each once.
    pub(crate) fn stores(&self) -> Result<Vec<NamedStore>> {
        let names: std::collections::BTreeSet<&String> =
            self.0.iter().flat_map(|file| file.content.stores.keys()).collect();
        names.into_iter().filter_map(|name| self.find(name)).collect()
    }

    /// The files that were read, or would be.
    pub(crate) fn places(&self) -> String {
        let read = self.0.iter().map(|file| file.path.clone()).collect::<Vec<_>>();
        let places = if read.is_empty() { paths(|name| env::var_os(name)) } else { read };
        places.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    }

    /// The default of an option.
    pub(crate) fn default<T>(&self, of: impl Fn(&Defaults) -> Option<T>) -> Option<T> {
        self.0.iter().find_map(|file| of(&file.content.defaults))
    }
}

/// The files, whether they are there or not.
fn paths(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    match variable(VARIABLE) {
        Some(path) if path.is_empty() => return Vec::new(),
        Some(path) => return vec![path.into()],
        None => {}
    }
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let user = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    user.into_iter().chain(["/etc".into()]).map(|directory| directory.join(FILE)).collect()
}

impl ConfigFile {
    /// Reads a file; `None` if there is none.
    fn read(path: PathBuf) -> Option<Result<Self>> {
        let refuse = |error: io::Error| {
            let message = format!("{} cannot be read: {error}", path.display());
            CliError::with_code(UNSAFE, message, format!("mend it, or name another file with {VARIABLE}"))
        };
        let metadata = match fs::metadata(&path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return None;
            }
            Err(error) => return Some(Err(refuse(error))),
            Ok(metadata) => metadata,
        };
        if metadata.mode() & 0o002 != 0 {
            let message = format!("every user can write to {}", path.display());
            let hint = format!("and so send locks to another store: chmod o-w {}", path.display());
            return Some(Err(CliError::with_code(UNSAFE, message, hint)));
        }
        let read = fs::read_to_string(&path).map_err(refuse);
        Some(read.and_then(|text| ConfigFile::parse(path, text)))
    }

    fn parse(path: PathBuf, text: String) -> Result<Self> {
        match toml::from_str(&text) {
            Ok(content) => Ok(ConfigFile { path, text, content }),
            // Its own text shows the line, which may have a password.
            Err(error) => Err(wrong(&path, &text, error.span().unwrap_or(0..0), error.message())),
        }
    }

    fn wrong(&self, span: Range<usize>, message: &str) -> anyhow::Error {
        wrong(&self.path, &self.text, span, message)
    }

    fn store(&self, name: &str, entry: &Spanned<Entry>) -> Result<NamedStore> {
        let refuse = |message: &str| self.wrong(entry.span(), &format!("the store `{name}`: {message}"));
        if !is_name(name) {
            return Err(refuse("a name has letters, digits, `-` and `_`"));
        }
        let (mut warnings, file) = (Vec::new(), entry.get_ref());
        let mut url = match (&file.url, &file.url_file) {
            (Some(url), None) => url.clone(),
            (None, Some(path)) => {
                let path = self.beside(path);
                let text = fs::read_to_string(&path)
                    .map_err(|error| refuse(&format!("{} cannot be read: {error}", path.display())))?;
                warnings.extend(readable(&path));
                text.lines().next().unwrap_or_default().trim().to_string()
            }
            _ => return Err(refuse("it needs either `url` or `url_file`")),
        };
        if let Some(path) = &file.password_file {
            let path = self.beside(path);
            let sign = if url.contains('?') { '&' } else { '?' };
            let path = percent_encode(path.as_os_str().as_bytes(), PATH);
            url.push_str(&format!("{sign}password_file={path}"));
        }
        let url = StoreUrl::parse(&url).map_err(|error| refuse(&error.to_string()))?;
        if file.url.is_some() && url.reveal() != url.to_string() {
            warnings.extend(readable(&self.path));
        }
        warnings.extend(url.options().get("password_file").map(Path::new).and_then(readable));
        Ok(NamedStore { name: name.to_string(), file: self.path.clone(), url, warnings })
    }

    /// A path in the file is relative to the file.
    fn beside(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }
}

fn wrong(path: &Path, text: &str, span: Range<usize>, message: &str) -> anyhow::Error {
    let line = text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1;
    let message = format!("{}:{line}: {}", path.display(), message.trim_end());
    CliError::with_code(UNSAFE, message, "`leasehold man` has an example")
}

/// The warning about a file with a secret that every user can read.
fn readable(path: &Path) -> Option<String> {
    let is_open = |metadata: &Metadata| metadata.mode() & 0o004 != 0;
    let open = fs::metadata(path).ok().filter(is_open);
    open.map(|_| format!("every user can read the secret in {0}: chmod o= {0}", path.display()))
}

fn span<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(source)?;
    duration::parse_positive(&text).map(Some).map_err(D::Error::custom)
}

fn limit<'de, D: Deserializer<'de>>(source: D) -> Result<Option<WaitLimit>, D::Error> {
    let text = String::deserialize(source)?;
    WaitLimit::parse(&text).map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Vec<PathBuf> {
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        paths(get)
    }

    #[test]
    fn the_users_file_comes_before_the_machines_and_the_variable_before_both() {
        let machine = "/etc/leasehold/leasehold.toml";
        let home = ("HOME", "/me");
        assert_eq!(of(&[home]), [Path::new("/me/.config/leasehold/leasehold.toml"), machine.as_ref()]);
        let xdg = ("XDG_CONFIG_HOME", "/x");
        assert_eq!(of(&[home, xdg]), [Path::new("/x/leasehold/leasehold.toml"), machine.as_ref()]);
        assert_eq!(of(&[("HOME", "here")]), [Path::new(machine)], "nothing of the present directory");
        assert_eq!(of(&[home, (VARIABLE, "a.toml")]), [Path::new("a.toml")]);
        assert_eq!(of(&[home, (VARIABLE, "")]), [] as [&Path; 0]);
    }

    fn parse(text: &str) -> Result<Config> {
        ConfigFile::parse("/c/leasehold.toml".into(), text.to_string()).map(|file| Config(vec![file]))
    }

    #[test]
    fn paths_are_relative_to_the_file_and_a_password_file_is_part_of_the_url() {
        let text = "[stores.prod]\nurl = \"redis://db?ttl=10s\"\npassword_file = \"a b\"\n";
        let prod = parse(text).unwrap().find("prod").unwrap().unwrap();
        assert_eq!(prod.url.options().get("password_file"), Some("/c/a b"));
        assert_eq!(prod.url.options().ttl(), Some(Duration::from_secs(10)));
        assert!(prod.warnings.is_empty(), "the file is not there: the connection says so");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_without_its_text() {
        for (text, says) in [
            ("\nstores = 1", ":2: invalid type"),
            ("[defaults]\nttl = \"30\"", ":2: a unit is missing"),
            ("[defaults]\n\nlease = \"30s\"", ":3: unknown field `lease`"),
            ("[stores.a]\nurl = \"redis://me:hunter2@db\"\nurl = \"x:hunter2\"", ":3: duplicate key"),
            ("[stores.a]\nurl = redis://me:hunter2@db", ":2: "),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("/c/leasehold.toml{says}")), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        for (text, says) in [
            ("store = \"b\"\n[stores.a]\nurl = \"redis://db\"", ":1: no store is named `b`"),
            ("store = \"a\"\n\n[stores.a]\n", ":3: the store `a`: it needs either"),
            ("store = \"a\"\n[stores.a]\nurl = \"redsi://me:hunter2@db\"", "did you mean `redis`?"),
            ("store = \"a b\"\n[stores.\"a b\"]\nurl = \"redis://db\"", ":2: the store `a b`: a name has"),
        ] {
            let error = parse(text).unwrap().store().unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("hunter2"), "{text}: {error}");
        }
    }
}
