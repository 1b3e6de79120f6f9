//! The TLS configuration of stores that make their own connections, by rustls.

use std::{io, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::Secrets;

/// The configuration of a client that trusts the authorities of `secrets` and shows its identity.
///
/// # Errors
/// An authority, a certificate or a key that cannot be read.
pub fn tls_config(secrets: &Secrets) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match &secrets.ca {
        Some(pem) => {
            for authority in chain(pem)? {
                roots.add(authority).map_err(io::Error::other)?;
            }
        }
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let config = config.with_root_certificates(roots);
    let Some((cert, key)) = &secrets.identity else { return Ok(config.with_no_client_auth()) };
    let key = PrivateKeyDer::from_pem_slice(key).map_err(unusable)?;
    config.with_client_auth_cert(chain(cert)?, key).map_err(unusable)
}

fn chain(pem: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(io::Error::other)
}

fn unusable(error: impl std::error::Error) -> io::Error {
    io::Error::other(format!("client certificate: {error}"))
}
