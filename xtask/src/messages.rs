//! `cargo xtask etcd-messages`: generates the messages of the etcd store from their definition.
//!
//! The result is checked in, so that building Leasehold needs no protocol buffer compiler. The crates that generate it are
//! behind a feature of this program, which builds itself again with that feature.

#[cfg(not(feature = "messages"))]
use crate::files;

/// Writes `crates/leasehold-etcd/proto/etcdserverpb.rs`; with `--check`, compares only.
#[cfg(not(feature = "messages"))]
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let mut words =
        vec!["run", "--quiet", "--package", "xtask", "--features", "messages", "--", "etcd-messages"];
    words.extend(args.iter().map(String::as_str));
    let status = files::cargo(&words).status();
    if status.is_ok_and(|status| status.success()) {
        Ok(())
    } else {
        Err("the messages were not made".into())
    }
}

#[cfg(feature = "messages")]
pub(crate) use make::run;

#[cfg(feature = "messages")]
mod make {
    use std::path::Path;

    use crate::files;

    const DEFINITION: &str = "crates/leasehold-etcd/proto/etcd.proto";
    const MESSAGES: &str = "crates/leasehold-etcd/proto/etcdserverpb.rs";
    const HEAD: &str = "//! etcd's messages, generated from `proto/etcd.proto` by `cargo xtask etcd-messages`: edit that file instead.\n\
        #![allow(missing_docs, unreachable_pub, clippy::all, reason = \"generated\")]\n\n";

    /// Writes or compares the file.
    pub(crate) fn run(args: &[String]) -> Result<(), String> {
        let made = make(&files::root())?;
        if !args.iter().any(|arg| arg == "--check") {
            return files::write(MESSAGES, &made);
        }
        let same = files::read(MESSAGES)? == made;
        same.then_some(())
            .ok_or_else(|| format!("{MESSAGES} is not what `cargo xtask etcd-messages` generates"))
    }

    fn make(root: &Path) -> Result<String, String> {
        let definition = root.join(DEFINITION);
        let folder = definition.parent().unwrap_or(root);
        let files = protox::compile([&definition], [folder]).map_err(|error| error.to_string())?;
        let mut config = prost_build::Config::new();
        config.format(true);
        let module = prost_build::Module::from_protobuf_package_name("etcdserverpb");
        let requests = files.file.into_iter().map(|file| (module.clone(), file)).collect();
        let mut texts = config.generate(requests).map_err(|error| error.to_string())?;
        let text = texts.remove(&module).ok_or("the definition has no messages")?;
        Ok(format!("{HEAD}{text}"))
    }
}
