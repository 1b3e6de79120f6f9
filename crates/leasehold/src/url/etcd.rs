//! From a URL to the options of the etcd store.

use leasehold_core::{Error, ErrorKind, Result};
use leasehold_etcd::{Endpoint, EtcdOptions};

use super::{Place, StoreUrl};

/// # Errors
/// [`ErrorKind::Invalid`] for the URL of another store.
pub(crate) fn options(url: &StoreUrl) -> Result<EtcdOptions> {
    let Place::Etcd { tls, login, addresses } = &url.place else {
        return Err(Error::new(ErrorKind::Invalid, format!("`{url}` is no etcd")));
    };
    let endpoints = addresses.iter().map(|address| Endpoint::new(address.host.clone(), address.port));
    let mut options = EtcdOptions::new(endpoints.collect());
    options.user.clone_from(&login.user);
    options.password = login.password.reveal().to_string();
    options.tls = *tls;
    options.ca.clone_from(&url.settings.ca);
    options.timeout = url.settings.timeout.unwrap_or(options.timeout);
    options.url = url.to_string();
    Ok(options)
}
