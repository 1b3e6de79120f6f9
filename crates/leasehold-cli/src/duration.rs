//! Durations on the command line and in messages.

use std::time::Duration;

pub(crate) use leasehold::env::show;

/// The longest duration accepted: ten years.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Reads `30s`, `1m30s`, `250ms`, `2h`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let duration = match humantime::parse_duration(text) {
        Ok(duration) => duration,
        Err(_) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            return Err(format!("a unit is missing: write `{text}s` or `{text}ms`"));
        }
        Err(error) => return Err(format!("{error}; write for example `30s`, `1m30s` or `250ms`")),
    };
    if duration > LONGEST {
        return Err("longer than ten years".to_string());
    }
    Ok(duration)
}

pub(crate) fn parse_positive(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        Duration::ZERO => Err("must be greater than zero".to_string()),
        duration => Ok(duration),
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_durations_are_refused() {
        assert_eq!(parse("1m30s"), Ok(Duration::from_secs(90)));
        assert!(parse("30").unwrap_err().contains("`30s`"));
        assert!(parse("").is_err());
        assert!(parse("-1s").is_err());
        assert!(parse("9999999999999h").is_err());
        assert!(parse("11years").is_err());
        assert!(parse_positive("0s").is_err());
    }
}
