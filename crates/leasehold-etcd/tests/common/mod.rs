//! A store on members of the testkit.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{path::PathBuf, time::Duration};

use leasehold_core::{Env, Error, ErrorKind, Result, url::Address};
use leasehold_etcd::{EtcdOptions, EtcdStore};
use leasehold_testkit::etcd::Member;

pub(crate) fn env() -> Env {
    Env::system().expect("this machine can start a thread")
}

/// Options of one word each: `ports=PORT,PORT`, `tls=CA`, `login=USER`, whose password is `pw`.
pub(crate) fn options(words: &str) -> Result<EtcdOptions> {
    let mut options = EtcdOptions::new(Vec::new());
    // What a busy machine with a slow disk may take; what is about time says so itself.
    options.timeout = Duration::from_secs(5);
    for word in words.split(' ') {
        let invalid = || Error::new(ErrorKind::Invalid, format!("`{word}`"));
        let (key, value) = word.split_once('=').ok_or_else(invalid)?;
        match key {
            "ports" => {
                let ports: std::result::Result<Vec<u16>, _> = value.split(',').map(str::parse).collect();
                let all = ports.map_err(|_| invalid())?;
                options.endpoints = all.into_iter().map(|port| Address::new("127.0.0.1", port)).collect();
                options.url = EtcdOptions::new(options.endpoints.clone()).url;
            }
            "tls" => (options.access.tls, options.access.ca) = (true, Some(PathBuf::from(value))),
            "login" => (options.access.user, options.access.password) = (value.into(), "pw".into()),
            _ => return Err(invalid()),
        }
    }
    Ok(options)
}

pub(crate) fn at<'a>(members: impl IntoIterator<Item = &'a Member>) -> String {
    let ports: Vec<String> = members.into_iter().map(|member| member.port().to_string()).collect();
    format!("ports={}", ports.join(","))
}

pub(crate) async fn open(env: Env, words: String) -> Result<EtcdStore> {
    EtcdStore::open(options(&words)?, env).await
}

/// Logins on: root, and `locks` with the rights that WIRE.md lists for locks whose names begin with `conformance` or
/// a digit or letter.
pub(crate) fn enable_logins(member: &Member) -> leasehold_testkit::Result<()> {
    for words in [
        &["user", "add", "root:pw"][..],
        &["user", "grant-role", "root", "root"],
        &["role", "add", "locks"],
        &["role", "grant-permission", "locks", "readwrite", "", "--from-key"],
        &["user", "add", "locks:pw"],
        &["user", "grant-role", "locks", "locks"],
        &["auth", "enable"],
    ] {
        member.ctl(words)?;
    }
    Ok(())
}
