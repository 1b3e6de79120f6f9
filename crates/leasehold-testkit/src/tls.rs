//! A certificate authority of one test, and the certificate of one server.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

use crate::{Result, error::Context};

/// The file with the server's certificate.
pub(crate) const CERTIFICATE: &str = "server.pem";
/// The file with the server's private key.
pub(crate) const KEY: &str = "server.key";
/// The file with the authority's certificate.
pub(crate) const AUTHORITY: &str = "ca.pem";

/// Creates an authority that no other program trusts, and a server certificate for `localhost`, 127.0.0.1 and further names
/// that it signed, valid until the last year; writes them into the directory and answers the authority's file.
pub(crate) fn create(directory: &Path, names: &[&str], last_year: i32) -> Result<PathBuf> {
    let (authority, certificate, key) =
        sign(names, last_year).context(|| "no certificate could be made".into())?;
    for (name, text) in [(AUTHORITY, authority), (CERTIFICATE, certificate), (KEY, key)] {
        std::fs::write(directory.join(name), text).context(|| format!("{name} cannot be written"))?;
    }
    Ok(directory.join(AUTHORITY))
}

fn sign(names: &[&str], last_year: i32) -> Result<(String, String, String), rcgen::Error> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, "Leasehold test authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let mut all: Vec<String> =
        ["localhost", "127.0.0.1"].iter().chain(names).map(|name| (*name).into()).collect();
    all.dedup();
    let key = KeyPair::generate()?;
    let mut server = CertificateParams::new(all)?;
    server.distinguished_name.push(DnType::CommonName, "localhost");
    server.not_after = date_time_ymd(last_year, 1, 1);
    let certificate = server.signed_by(&key, &authority)?;
    Ok((authority.pem(), certificate.pem(), key.serialize_pem()))
}
