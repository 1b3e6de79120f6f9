//! Any text of 1 to 512 bytes is a name.

use crate::fixture::Fixture;

#[test]
fn names_may_be_anything() {
    let fixture = Fixture::new();
    let long = "x".repeat(512);
    let names =
        ["a b", "a/b/../c", "line\nbreak", "🔒 emoji", "'quo\"tes'", "%2F*{}", &long, "tab\there", "a//b"];
    for name in names {
        let finished = fixture.run(&["run", name, "--", "sh", "-c", "printf %s \"$LEASEHOLD_NAME\""]);
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), name), "{}", finished.stderr);
    }
    let mut holders: Vec<_> = names.map(|name| fixture.start(&[name], "echo in; exec sleep 1000")).into();
    holders.iter_mut().for_each(|holder| assert_eq!(holder.line(), "in"));
    let list: serde_json::Value = serde_json::from_str(&fixture.run(&["list", "--json"]).stdout).unwrap();
    let mut listed: Vec<&str> =
        list.as_array().unwrap().iter().map(|lock| lock["lock"].as_str().unwrap()).collect();
    let mut expected = names.to_vec();
    listed.sort_unstable();
    expected.sort_unstable();
    assert_eq!(listed, expected);
}

#[test]
fn a_name_cannot_forge_a_line() {
    let fixture = Fixture::new();
    let name = "x\nerror: all is lost\u{1b}[2J\u{202e}";
    let mut holder = fixture.start(&[name], "echo in; exec sleep 1000");
    assert_eq!(holder.line(), "in");
    for arguments in [&["run", "-n", name, "true"][..], &["inspect", name], &["list"], &["top", "--once"]] {
        let finished = fixture.run(arguments);
        let all = format!("{}{}", finished.stdout, finished.stderr);
        assert!(!all.contains(['\u{1b}', '\u{202e}']) && !all.contains("\nerror: all"), "{all}");
    }
}
