//! [`Registry`]: the backends of a program, found by the schemes of their URLs.

use super::Backend;
use crate::{
    Error, ErrorKind, Result,
    url::{Scheme, percent::nearest},
};

/// A kind of store that a program may have been built with.
#[derive(Clone, Copy, Debug)]
pub struct BackendEntry {
    /// The name of the store, such as `SQLite`.
    pub title: &'static str,
    /// The cargo feature that builds it in.
    pub feature: &'static str,
    /// The names of its schemes, which are known even where it is not built in.
    pub schemes: &'static [&'static str],
    /// The store, where it is built in.
    pub backend: Option<&'static Backend>,
}

/// The kinds of stores that a program knows.
#[derive(Clone, Copy, Debug)]
pub struct Registry(pub &'static [BackendEntry]);

impl Registry {
    /// Those that are built in.
    pub fn backends(&self) -> impl Iterator<Item = &'static Backend> {
        self.0.iter().filter_map(|entry| entry.backend)
    }

    /// Finds the backend of a scheme. `shown` tells whether an error may quote the name.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], naming the nearest known scheme; [`ErrorKind::Unsupported`] for a store that is not built in.
    pub fn find(&self, name: &str, shown: bool) -> Result<(&'static Backend, &'static Scheme)> {
        let name = name.to_ascii_lowercase();
        let schemes = self.backends().flat_map(|backend| backend.schemes.iter().map(move |it| (backend, it)));
        if let Some(found) = { schemes }.find(|(_, scheme)| scheme.is(&name)) {
            return Ok(found);
        }
        match self.0.iter().find(|entry| entry.schemes.contains(&&*name)) {
            Some(entry) => Err(not_built_in(entry)),
            None => Err(self.unknown(&name, shown)),
        }
    }

    /// The names of all keys of the queries of all stores.
    pub(crate) fn keys(&self) -> Vec<&'static str> {
        let schemes = self.backends().flat_map(|backend| backend.schemes);
        schemes.flat_map(|scheme| scheme.keys().map(|key| key.name)).collect()
    }

    fn unknown(&self, name: &str, shown: bool) -> Error {
        let absent = self.0.iter().filter(|entry| entry.backend.is_none()).flat_map(|entry| entry.schemes);
        let built_in = || self.backends().flat_map(|backend| backend.schemes);
        let names = built_in().flat_map(Scheme::names).chain(absent.copied());
        let quoted = name.escape_debug();
        let message = match nearest(name, names) {
            _ if !shown => "the store URL begins with no scheme that is known".to_string(),
            Some(near) => format!("unknown store scheme `{quoted}`: did you mean `{near}`?"),
            None => format!("unknown store scheme `{quoted}`"),
        };
        let known: Vec<_> = built_in().map(|scheme| scheme.name).collect();
        Error::new(ErrorKind::Invalid, message).hint(format!("known schemes: {}", known.join(", ")))
    }
}

fn not_built_in(entry: &BackendEntry) -> Error {
    let message = format!("leasehold was built without its {} store", entry.title);
    let hint = format!("enable the cargo feature `{}` of the crate `leasehold`", entry.feature);
    Error::new(ErrorKind::Unsupported, message).hint(hint)
}
