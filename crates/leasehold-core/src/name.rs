//! [`LockName`]: the name of a lock.

use std::{fmt, ops::Deref, str::FromStr, sync::Arc};

use crate::{Error, ErrorKind, Result};

/// The name of a lock: any UTF-8 text of 1 to 512 bytes.
///
/// Names are opaque: `a/b` is no child of `a`, and two names that differ in one byte are two locks. Each store
/// encodes them injectively for its own medium, so spaces, slashes, newlines and emoji are as good as letters.
///
/// ```
/// use leasehold_core::LockName;
/// assert_eq!(LockName::new("order 42/π").unwrap().as_str(), "order 42/π");
/// assert!(LockName::new("").is_err());
/// assert!(LockName::new("x".repeat(513)).is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LockName(Arc<str>);

impl LockName {
    /// The longest name in bytes.
    pub const BYTES_MAX: usize = 512;

    /// Checks the length and makes a name.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the text is empty or longer than [`LockName::BYTES_MAX`] bytes.
    pub fn new(text: impl AsRef<str>) -> Result<Self> {
        let text = text.as_ref();
        if text.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "a lock name may not be empty")
                .hint("name the thing that is protected, for example `billing/42`"));
        }
        if text.len() > Self::BYTES_MAX {
            let message = format!(
                "a lock name may have at most {} bytes, this one has {}",
                Self::BYTES_MAX,
                text.len()
            );
            return Err(Error::new(ErrorKind::Invalid, message).hint("use a digest of the long part"));
        }
        Ok(LockName(text.into()))
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Shown with control characters escaped, so that a name cannot forge a line of a log or a terminal sequence.
/// Control characters, those of writing direction too, by which one name could pass for another.
fn is_hidden(character: char) -> bool {
    let turns = ['\u{200e}'..='\u{200f}', '\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
    character.is_control() || turns.iter().any(|range| range.contains(&character))
}

impl fmt::Display for LockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if is_hidden(character) {
                write!(f, "{}", character.escape_default())?;
            } else {
                fmt::Write::write_char(f, character)?;
            }
        }
        Ok(())
    }
}

impl AsRef<str> for LockName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Deref for LockName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for LockName {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for LockName {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl FromStr for LockName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        LockName::new(text)
    }
}

impl TryFrom<&str> for LockName {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self> {
        LockName::new(text)
    }
}

impl TryFrom<String> for LockName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        LockName::new(text)
    }
}

impl TryFrom<&String> for LockName {
    type Error = Error;

    fn try_from(text: &String) -> Result<Self> {
        LockName::new(text)
    }
}

impl From<&LockName> for LockName {
    fn from(name: &LockName) -> Self {
        name.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_counted_in_bytes() {
        assert!(LockName::new("π".repeat(256)).is_ok());
        let error = LockName::new("π".repeat(257)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("514"), "{error}");
    }

    #[test]
    fn display_escapes_what_could_forge_a_line() {
        let name = LockName::new("a\nb\u{1b}[31m").unwrap();
        assert_eq!(name.to_string(), "a\\nb\\u{1b}[31m");
        assert_eq!(name, "a\nb\u{1b}[31m");
        assert!(name.starts_with('a') && "a".parse::<LockName>().unwrap() == *"a");
    }
}
