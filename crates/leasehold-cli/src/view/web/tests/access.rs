use hyper::header::HeaderValue;

use super::*;

fn admits(told: &[&str], local: &str, pairs: &[(&'static str, &str)]) -> bool {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    Hosts(told.iter().map(ToString::to_string).collect()).admit(&headers, local.parse().unwrap())
}

#[test]
fn only_the_address_and_the_told_names_are_answered() {
    for (told, local, host, is_admitted) in [
        (&[][..], "127.0.0.1:9117", "127.0.0.1:9117", true),
        (&[], "127.0.0.1:9117", "127.0.0.1", true),
        (&[], "127.0.0.1:9117", "localhost:9117", true),
        (&[], "10.1.2.3:9117", "localhost:9117", false),
        (&[], "10.1.2.3:9117", "10.1.2.3:9117", true),
        (&[], "10.1.2.3:9117", "10.1.2.4:9117", false),
        (&[], "[::1]:9117", "[::1]:9117", true),
        (&[], "[::1]:9117", "[::1]", true),
        (&[], "[::ffff:127.0.0.1]:9117", "127.0.0.1:9117", true),
        (&[], "[::ffff:127.0.0.1]:9117", "localhost:9117", true),
        (&[], "[::ffff:10.1.2.3]:9117", "localhost:9117", false),
        (&[], "127.0.0.1:9117", "127.0.0.1.evil.example", false),
        (&[], "127.0.0.1:9117", "evil.example:9117", false),
        (&["locks.example"], "127.0.0.1:9117", "Locks.Example", true),
        (&["locks.example"], "127.0.0.1:9117", "locks.example:443", true),
        (&["locks.example"], "127.0.0.1:9117", "a.locks.example", false),
        (&[], "127.0.0.1:9117", "", false),
    ] {
        assert_eq!(admits(told, local, &[("host", host)]), is_admitted, "{host} at {local}");
    }
    let own = ("host", "127.0.0.1:9117");
    assert!(!admits(&[], "127.0.0.1:9117", &[]), "no host");
    assert!(!admits(&[], "127.0.0.1:9117", &[own, own]), "two hosts");
}

#[test]
fn pages_of_other_origins_are_refused() {
    let own = ("host", "127.0.0.1:9117");
    for (origin, is_admitted) in [
        ("http://127.0.0.1:9117", true),
        ("http://127.0.0.1:9118", false),
        ("https://evil.example", false),
        ("null", false),
    ] {
        assert_eq!(admits(&[], "127.0.0.1:9117", &[own, ("origin", origin)]), is_admitted, "{origin}");
    }
}

#[test]
fn the_token_is_the_whole_token() {
    let token = "0123456789abcdef";
    for (given, is_right) in [
        ("Bearer 0123456789abcdef", true),
        ("Bearer 0123456789abcdeF", false),
        ("Bearer 0123456789abcde", false),
        ("Bearer ", false),
        ("0123456789abcdef", false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_str(given).unwrap());
        assert_eq!(has_token(&headers, token), is_right, "{given}");
    }
    assert!(!has_token(&HeaderMap::new(), token));
}
