//! From a URL to the options of the ZooKeeper store.

use leasehold_core::{Error, ErrorKind, Result};
use leasehold_zookeeper::{Dialect, ZooKeeperOptions};

use super::{Address, Place, StoreUrl};

/// The session lasts as long as the locks of the URL: a lock lasts no longer than its client's session.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a dialect that is not spoken.
pub(crate) fn options(url: &StoreUrl) -> Result<ZooKeeperOptions> {
    let Place::ZooKeeper { login, addresses, chroot } = &url.place else {
        return Err(Error::new(ErrorKind::Invalid, format!("`{url}` is no ZooKeeper")));
    };
    let settings = &url.settings;
    let mut options = ZooKeeperOptions::new(addresses.iter().map(endpoint).collect());
    options.chroot.clone_from(chroot);
    options.user.clone_from(&login.user);
    options.password = login.password.reveal().to_string();
    options.dialect = dialect(settings.dialect.as_deref())?;
    options.session = settings.ttl.unwrap_or(options.session);
    options.timeout = settings.timeout.unwrap_or(options.timeout);
    options.url = url.to_string();
    Ok(options)
}

fn endpoint(address: &Address) -> String {
    let (host, port) = (&address.host, address.port);
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn dialect(name: Option<&str>) -> Result<Dialect> {
    match name {
        None | Some("native" | "curator") => Ok(Dialect::Curator),
        Some("kazoo") => Ok(Dialect::Kazoo),
        Some(other) => {
            Err(Error::new(ErrorKind::Unsupported, format!("the dialect `{other}` is not spoken"))
                .hint("there are `curator`, which is ours, and `kazoo`"))
        }
    }
}
