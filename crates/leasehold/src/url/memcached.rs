//! From a URL to the options of the Memcached store.

use leasehold_core::{Error, ErrorKind, Result};
use leasehold_memcached::MemcachedOptions;

use super::{Place, StoreUrl};

/// # Errors
/// [`ErrorKind::Unsupported`] for a dialect that is not spoken.
pub(crate) fn options(url: &StoreUrl) -> Result<MemcachedOptions> {
    let Place::Memcached { address } = &url.place else {
        return Err(Error::new(ErrorKind::Invalid, format!("`{url}` is no Memcached")));
    };
    if let Some(dialect) = url.settings.dialect.as_deref().filter(|dialect| *dialect != "native") {
        return Err(Error::new(ErrorKind::Unsupported, format!("the dialect `{dialect}` is not spoken"))
            .hint("there is `native`, which excludes those who lock by `add`"));
    }
    let mut options = MemcachedOptions::new(address.host.clone(), address.port);
    options.timeout = url.settings.timeout.unwrap_or(options.timeout);
    options.strict = url.settings.strict.unwrap_or(false);
    options.url = url.to_string();
    Ok(options)
}
