//! Durations on the command line and in messages.

use std::time::Duration;

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

/// Formats with two units at most: `450ms`, `1.5s`, `21s`, `2m14s`, `3h5m`, `2d4h`.
pub(crate) fn show(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let pair = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large}{large_unit}"),
        _ => format!("{large}{large_unit}{small}{small_unit}"),
    };
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        1..10 if duration.subsec_millis() >= 100 => format!("{seconds}.{}s", duration.subsec_millis() / 100),
        1..60 => format!("{seconds}s"),
        60..3600 => pair(seconds / 60, "m", seconds % 60, "s"),
        3600..86400 => pair(seconds / 3600, "h", seconds / 60 % 60, "m"),
        _ => pair(seconds / 86400, "d", seconds / 3600 % 24, "h"),
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        for (ms, text) in [
            (0, "0ms"),
            (450, "450ms"),
            (1000, "1s"),
            (1530, "1.5s"),
            (21_900, "21s"),
            (134_000, "2m14s"),
            (120_000, "2m"),
            (11_100_000, "3h5m"),
            (187_200_000, "2d4h"),
        ] {
            assert_eq!(show(Duration::from_millis(ms)), text);
        }
    }

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
