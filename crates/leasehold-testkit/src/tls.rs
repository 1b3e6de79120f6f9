//! A certificate authority of one test, and the certificate of one server.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

use crate::{Result, error::Context};

/// An authority that no other program trusts, and a server certificate that it signed.
#[derive(Debug)]
pub struct Identity {
    ca_path: PathBuf,
    certificate_path: PathBuf,
    key_path: PathBuf,
}

impl Identity {
    /// Creates both, for `localhost`, 127.0.0.1 and further names, and writes them into the directory.
    pub fn create(directory: &Path, names: &[&str]) -> Result<Self> {
        Self::until(directory, names, 4096)
    }

    /// The same, with a server certificate that ended long ago.
    pub fn create_expired(directory: &Path, names: &[&str]) -> Result<Self> {
        Self::until(directory, names, 2001)
    }

    fn until(directory: &Path, names: &[&str], last_year: i32) -> Result<Self> {
        let (ca_pem, certificate, key) =
            sign(names, last_year).context(|| "no certificate could be made".into())?;
        let write = |name: &str, text: &str| -> Result<PathBuf> {
            let path = directory.join(name);
            std::fs::write(&path, text).context(|| format!("{name} cannot be written"))?;
            Ok(path)
        };
        Ok(Self {
            ca_path: write("ca.pem", &ca_pem)?,
            certificate_path: write("server.pem", &certificate)?,
            key_path: write("server.key", &key)?,
        })
    }

    /// The file with the authority's certificate.
    pub fn ca_path(&self) -> &Path {
        &self.ca_path
    }

    /// The file with the server's certificate.
    pub fn certificate_path(&self) -> &Path {
        &self.certificate_path
    }

    /// The file with the server's private key.
    pub fn key_path(&self) -> &Path {
        &self.key_path
    }
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
