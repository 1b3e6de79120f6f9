//! The page of `serve` in a real browser.
//!
//! The picture in the book: `LEASEHOLD_BLESS=1 cargo test --package leasehold-cli --test cli page`.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Command,
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    fixture::{Fixture, Running, SOON, until},
    serve::Site,
};

const HOSTILE: &str = "<script>alert(1)</script>";

/// A headless Chromium, driven by the protocol of WebDriver.
pub(crate) struct Browser {
    port: u16,
    session: String,
    _driver: Running,
}

impl Browser {
    pub(crate) fn open(fixture: &Fixture, url: &str) -> Self {
        let mut driver = Running::start(Command::new("chromedriver").arg("--port=0"));
        let port = loop {
            let line = driver.line();
            assert!(!line.is_empty(), "chromedriver of Debian's package chromium-driver does not start");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').parse().unwrap();
            }
        };
        let mut browser = Browser { port, session: String::new(), _driver: driver };
        let profile = format!("--user-data-dir={}", fixture.path("profile").display());
        let arguments =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", &profile];
        let options = json!({ "args": arguments });
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let session = browser.ask("POST", "", &wanted);
        browser.session = format!("/{}", session["sessionId"].as_str().unwrap());
        browser.resize(1100, 720);
        browser.ask("POST", "/url", &json!({ "url": url }));
        browser
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let head =
            format!("{method} /session{}{path} HTTP/1.1\r\nhost: 127.0.0.1:{}", self.session, self.port);
        write!(stream, "{head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
            .unwrap();
        // The driver leaves the connection open.
        let (mut stream, mut length, mut line) = (BufReader::new(stream), 0, String::new());
        while line != "\r\n" {
            line.clear();
            assert!(stream.read_line(&mut line).unwrap() > 0, "chromedriver has ended");
            if let Some(bytes) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = bytes.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert!(answer["value"]["error"].is_null(), "{method} {path}: {answer}");
        answer["value"].clone()
    }

    pub(crate) fn script(&self, script: &str) -> Value {
        self.ask("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The text that a reader sees.
    fn text(&self) -> String {
        self.script("return document.body.innerText").as_str().unwrap().to_string()
    }

    pub(crate) fn shows(&self, text: &str) {
        until(text, || self.text().contains(text));
    }

    pub(crate) fn types(&self, keys: &str) {
        let actions: Vec<Value> = keys
            .chars()
            .flat_map(|key| {
                ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() }))
            })
            .collect();
        self.ask(
            "POST",
            "/actions",
            &json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }),
        );
    }

    fn resize(&self, width: u32, height: u32) {
        self.ask("POST", "/window/rect", &json!({ "width": width, "height": height }));
    }

    fn screenshot(&self) -> Vec<u8> {
        let script = "const [text] = arguments; return Array.from(atob(text), (one) => one.charCodeAt(0));";
        let picture = self.ask("GET", "/screenshot", &Value::Null);
        let bytes = self.ask("POST", "/execute/sync", &json!({ "script": script, "args": [picture] }));
        bytes.as_array().unwrap().iter().map(|byte| u8::try_from(byte.as_u64().unwrap()).unwrap()).collect()
    }
}

/// Ends Chromium, which outlives its driver, also when the test fails.
impl Drop for Browser {
    fn drop(&mut self) {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return };
        let head = format!("DELETE /session{} HTTP/1.1\r\nhost: 127.0.0.1:{}", self.session, self.port);
        let _ = write!(stream, "{head}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        let _ = stream.set_read_timeout(Some(SOON));
        // The answer comes when Chromium has ended.
        let _ = stream.read(&mut [0; 64]);
    }
}

fn hold(fixture: &Fixture, name: &str) -> Running {
    let mut run = fixture.start(&["--fair", "--note", "nightly", name], "echo in; exec sleep 1000");
    assert_eq!(run.line(), "in");
    run
}

/// Keeps whether the page shows the lock in the frame after the event that has it, and the number of that scan.
const OBSERVE: &str = "events.addEventListener('changes', (event) => {
    if (window.scan || !event.data.includes('billing/nightly')) return;
    window.scan = JSON.parse(event.data).scan;
    requestAnimationFrame(() => { window.drawn = document.body.innerText.includes('billing/nightly'); });
});";

/// X19. A lock is on the page with the first scan after its grant, at the default interval of scans; then its waiters and its
/// end; a name that is markup is text. The control puts the same name into the page as HTML, and makes an element of it.
#[test]
fn x19_the_page_shows_a_lock_its_waiters_and_its_end_and_names_are_text() {
    let fixture = Fixture::new();
    let site = Site::start(&fixture, &[]);
    let browser = Browser::open(&fixture, &format!("http://{}/", site.address));
    browser.shows("no lock is in use");
    browser.script(OBSERVE);
    let held = hold(&fixture, "billing/nightly");
    let scans = site.metric("leasehold_scans_total{outcome=\"ok\"}");
    until("a frame after the event", || !browser.script("return window.drawn ?? null").is_null());
    assert_eq!(browser.script("return window.drawn"), true);
    // The next scan may have begun before the grant.
    let scan = browser.script("return window.scan").as_f64().unwrap();
    assert!(scan <= scans + 2.0, "shown by scan {scan}, granted after scan {scans} at the latest");
    browser.shows(&format!("pid {}", held.pid()));
    let hostile = hold(&fixture, HOSTILE);
    browser.shows(HOSTILE);
    assert_eq!(browser.script("return document.querySelectorAll('td script').length"), 0);
    let control =
        "const td = document.createElement('td'); td.innerHTML = arguments[0]; return td.children.length;";
    let control = json!({ "script": control, "args": [HOSTILE] });
    assert_eq!(browser.ask("POST", "/execute/sync", &control), 1, "the control");
    // From the keyboard: filter, leave the filter, move, open, close.
    browser.types("/bill");
    until("one row", || browser.script("return document.getElementById('locks').rows.length") == 1);
    browser.types("\u{e00c}");
    until("both rows", || browser.script("return document.getElementById('locks').rows.length") == 2);
    let mut waiter = fixture.start(&["--fair", "billing/nightly"], "echo in; exec sleep 1000");
    browser.types("jj\u{e007}");
    browser.shows("Waiters");
    browser.shows(&format!("pid {}", waiter.pid()));
    let form = "return getComputedStyle(document.getElementById('release')).display";
    assert_eq!(browser.script(form), "none", "reading only");
    browser.types("\u{e00c}");
    until("the closed lock", || browser.script("return document.getElementById('detail').open") == false);
    let picture = browser.screenshot();
    assert!(picture.starts_with(b"\x89PNG"), "a picture");
    if std::env::var_os("LEASEHOLD_BLESS").is_some() {
        std::fs::write(format!("{}/../../docs/images/serve.png", env!("CARGO_MANIFEST_DIR")), picture)
            .unwrap();
    }
    // A phone: nothing is wider than the window.
    browser.resize(390, 800);
    until("a narrow page", || {
        browser.script("return document.documentElement.scrollWidth <= window.innerWidth") == true
    });
    held.send(Signal::TERM);
    assert_eq!(waiter.line(), "in");
    browser.shows(&format!("pid {}", waiter.pid()));
    waiter.send(Signal::TERM);
    hostile.send(Signal::TERM);
    browser.shows("no lock is in use");
    let foreign = "return performance.getEntriesByType('resource').filter((one) => !one.name.startsWith(location.origin)).length";
    assert_eq!(browser.script(foreign), 0, "a request to another site");
    let errors = "return [...document.querySelectorAll('#away')].some((one) => !one.hidden)";
    assert_eq!(browser.script(errors), false);
}

#[test]
fn the_page_releases_with_the_token_alone() {
    let fixture = Fixture::new();
    let (token, file) = ("correct horse battery staple", fixture.path("token"));
    std::fs::write(&file, token).unwrap();
    let site = Site::start(&fixture, &["--allow-force-release", "--token-file", file.to_str().unwrap()]);
    let held = hold(&fixture, "job");
    let browser = Browser::open(&fixture, &format!("http://{}/", site.address));
    browser.shows("job");
    browser.types("j\u{e007}");
    browser.shows("Token of this page");
    let release = |token: &str| {
        browser.script(&format!(
            "document.getElementById('token').value = '{token}'; const typed = document.getElementById('typed'); \
             typed.value = 'job'; typed.dispatchEvent(new Event('input')); document.getElementById('force').click();"
        ));
    };
    release("wrong horse battery staple");
    browser.shows("the token is missing or wrong");
    assert_eq!(fixture.holders("job"), 1);
    release(token);
    browser.shows("released");
    assert_eq!(held.end().code, Some(79));
}
