//! Crates that are published say what a registry and docs.rs show of them.

use std::path::Path;

use serde::Deserialize;

use crate::files;

/// A crate of the workspace, as `cargo metadata` shows it.
#[derive(Deserialize)]
pub(crate) struct Crate {
    pub(crate) name: String,
    /// The registries that it may be published to: none with `publish = false`.
    publish: Option<Vec<String>>,
    description: Option<String>,
    repository: Option<String>,
    license: Option<String>,
    rust_version: Option<String>,
    readme: Option<String>,
    documentation: Option<String>,
    keywords: Vec<String>,
    categories: Vec<String>,
    metadata: Option<serde_json::Value>,
    targets: Vec<Target>,
    #[serde(default)]
    pub(super) dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
pub(super) struct Dependency {
    pub(super) name: String,
    /// `dev` for those of tests.
    pub(super) kind: Option<String>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

impl Crate {
    pub(crate) fn is_published(&self) -> bool {
        self.publish.is_none()
    }

    /// Whether other crates can import it.
    pub(crate) fn is_library(&self) -> bool {
        self.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "lib"))
    }

    fn missing(&self) -> Vec<&'static str> {
        let page = |readme: &String| !Path::new(readme).is_absolute() && !readme.contains("..");
        let docs_rs =
            self.metadata.as_ref().is_some_and(|tables| tables["docs"]["rs"]["all-features"] == true);
        let documented = self.documentation.is_some() && docs_rs;
        [
            ("a description", self.description.is_some()),
            ("the workspace's repository", self.repository.is_some()),
            ("a license", self.license.is_some()),
            ("a rust-version", self.rust_version.is_some()),
            ("a README of its own", self.readme.as_ref().is_some_and(page)),
            ("documentation and a table for docs.rs", documented || !self.is_library()),
            ("one to five keywords", (1..=5).contains(&self.keywords.len())),
            ("categories", !self.categories.is_empty()),
        ]
        .into_iter()
        .filter_map(|(what, is_there)| (!is_there).then_some(what))
        .collect()
    }
}

/// The crates of the workspace.
pub(crate) fn crates() -> Result<Vec<Crate>, String> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Crate>,
    }
    let output = files::cargo(&["metadata", "--format-version", "1", "--no-deps"]).output();
    let output = output.map_err(|error| format!("cargo metadata could not be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    Ok(metadata.packages)
}

pub(super) fn findings() -> Vec<String> {
    let crates = match crates() {
        Ok(crates) => crates,
        Err(message) => return vec![message],
    };
    let published = crates.iter().filter(|one| one.is_published());
    published
        .flat_map(|one| {
            one.missing().into_iter().map(|what| format!("{}: published without {what}", one.name))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_missing_is_named() {
        let one = serde_json::json!({
            "name": "x", "description": "a crate", "repository": null, "license": "MIT", "rust_version": "1.89",
            "readme": "../README.md", "documentation": "https://docs.rs/x", "keywords": [], "categories": ["caching"],
            "metadata": { "docs": { "rs": { "all-features": false } } }, "targets": [{ "kind": ["lib"] }],
        });
        let one: Crate = serde_json::from_value(one).unwrap();
        assert_eq!(
            one.missing(),
            [
                "the workspace's repository",
                "a README of its own",
                "documentation and a table for docs.rs",
                "one to five keywords"
            ]
        );
    }
}
