//! `serve`: what is answered by HTTP, to whom, and what it costs others.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

use leasehold_testkit::redis::Server;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    fixture::{Fixture, Running, SOON, now, until},
    many::Many,
};

pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    running: Running,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Site {
    pub(crate) fn start(fixture: &Fixture, options: &[&str]) -> Self {
        let arguments = [&["serve", "--json", "--listen", "127.0.0.1:0"], options].concat();
        Site::of(&mut fixture.leasehold(&arguments))
    }

    fn of(command: &mut Command) -> Self {
        let mut running = Running::start(command);
        let event = loop {
            let line = running.stderr_line();
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            // A warning about the store may come first.
            if event["event"] == "listening" {
                break event;
            }
        };
        Site { address: event["address"].as_str().unwrap().parse().unwrap(), running }
    }

    fn open(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            request += &format!("host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("content-length: {}\r\n\r\n{body}", body.len());
        let mut answer = String::new();
        self.open(&request).read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).unwrap_or_default().parse().unwrap_or(0);
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_string() }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    pub(crate) fn locks(&self) -> Value {
        serde_json::from_str(&self.get("/api/locks").body).unwrap()
    }

    /// The value of a metric.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let page = self.get("/metrics").body;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} in {page}")).parse().unwrap()
    }

    fn stream(&self) -> Stream {
        let stream = self.open(&format!("GET /api/events HTTP/1.1\r\nhost: {}\r\n\r\n", self.address));
        Stream(BufReader::new(stream))
    }
}

struct Stream(BufReader<TcpStream>);

impl Stream {
    /// The next event: its name and its data.
    fn event(&mut self) -> Option<(String, Value)> {
        let mut name = String::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).is_err() || !line.ends_with('\n') {
                return None;
            }
            if let Some(event) = line.trim_end().strip_prefix("event: ") {
                name = event.to_string();
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some((name, serde_json::from_str(data).unwrap()));
            }
        }
    }

    /// The line of the status, of a stream that was not read yet.
    fn begins(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    /// Reads on until a lock that did not change otherwise is renewed.
    fn renewal(&mut self, name: &str) -> Value {
        loop {
            let (event, data) = self.event().expect("the stream goes on");
            let mut locks = data["locks"].as_array().into_iter().flatten();
            match locks.find(|lock| lock["lock"] == name) {
                Some(lock) if event == "changes" => return lock.clone(),
                _ => {}
            }
        }
    }

    /// Reads on until a change of this kind.
    fn change(&mut self, kind: &str) -> Value {
        loop {
            let (_, data) = self.event().expect("the stream goes on");
            let changes = data["changes"].as_array().cloned().unwrap_or_default();
            if let Some(change) = changes.into_iter().find(|change| change["event"] == kind) {
                return change;
            }
        }
    }
}

fn server() -> Server {
    Server::start().unwrap_or_else(|error| panic!("{error}"))
}

fn hold(fixture: &Fixture, options: &[&str], name: &str) -> Running {
    let mut run = fixture.start(&[options, &[name]].concat(), "echo in; exec sleep 1000");
    assert_eq!(run.line(), "in");
    run
}

/// A request that the store can never answer is refused before anything waits for it.
#[test]
fn a_dialect_that_knows_no_names_and_no_long_holds_is_refused_at_once() {
    let server = leasehold_testkit::postgres::Server::start().unwrap();
    let (fixture, url) = (Fixture::new(), format!("{}?dialect=advisory", server.url()));
    let mut holder = fixture.start(&["--store", &url, "77"], "echo in; exec sleep 1000");
    assert_eq!(holder.line(), "in");
    for (verb, says) in [
        (&["serve", "--listen", "127.0.0.1:0"][..], "unsupported"),
        (&["hold", "--for", "1m", "--wait", "forever", "77"], "no holds that outlive their client"),
    ] {
        let refused = fixture.run(&[&verb[..1], &["--store", &url], &verb[1..]].concat());
        assert!(refused.code == Some(64) && refused.stderr.contains(says), "{verb:?}: {}", refused.stderr);
    }
}

#[test]
fn locks_metrics_and_events_are_served_and_the_end_is_orderly() {
    let (fixture, server) = (Fixture::new(), server());
    let store = ["--store", &server.url()];
    let site = Site::start(&fixture, &[&store[..], &["--group", "night/", "--group", "night/x"]].concat());
    let mut stream = site.stream();
    assert_eq!(stream.event().unwrap().0, "all");
    let held = hold(&fixture, &store, "night/a");
    let granted = stream.change("granted");
    assert_eq!((&granted["lock"], &granted["pid"]), (&json!("night/a"), &json!(held.pid())));
    let waiter = fixture.start(&[&["--fair"], &store[..], &["night/a"]].concat(), "exec sleep 1000");
    assert_eq!(stream.change("waiting")["pid"], waiter.pid());
    let all = site.locks();
    assert_eq!(
        (&all["holding"], &all["waiting"], &all["may_release"]),
        (&json!(1), &json!(1), &json!(false))
    );
    assert_eq!(site.metric("leasehold_waiters{group=\"night/\"}"), 1.0);
    assert_eq!(site.metric("leasehold_waiters{group=\"night/x\"}"), 0.0);
    drop(waiter);
    stream.change("left");
    held.send(Signal::TERM);
    assert_eq!(stream.change("released")["lock"], "night/a");
    assert_eq!(site.metric("leasehold_changes_seen_total{change=\"granted\"}"), 1.0);
    assert_eq!(site.metric("leasehold_changes_seen_total{change=\"released\"}"), 1.0);
    assert_eq!((site.metric("leasehold_up"), site.metric("leasehold_streams")), (1.0, 1.0));
    site.running.send(Signal::TERM);
    while stream.event().is_some() {}
    let finished = site.running.end();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}

#[test]
fn promtool_accepts_the_metrics() {
    let fixture = Fixture::new();
    let site = Site::start(&fixture, &["--group", "a\"b\\c"]);
    let _held = hold(&fixture, &[], "a\"b\\c/x");
    until("the first scan", || site.metric("leasehold_up") == 1.0);
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool of Debian's package prometheus");
    promtool.stdin.take().unwrap().write_all(site.get("/metrics").body.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
}

#[test]
fn health_is_that_of_the_store() {
    let (fixture, server) = (Fixture::new(), server());
    let url = format!("{}?timeout=500ms", server.url());
    let site = Site::start(&fixture, &["--store", &url]);
    until("the first scan", || site.metric("leasehold_up") == 1.0);
    let well = site.get("/healthz");
    assert_eq!(well.status, 200, "{}", well.body);
    server.kill();
    until("the end of the store", || site.get("/healthz").status == 503);
    assert_eq!(site.metric("leasehold_up"), 0.0);
    assert!(site.get("/").status == 200 && site.locks()["error"].is_string());
    server.restart().unwrap();
    until("the store again", || site.get("/healthz").status == 200);
    // A finding that loses locks is no health.
    let evicting =
        Server::builder().arg("maxmemory", "50mb").arg("maxmemory-policy", "allkeys-lru").start().unwrap();
    let site = Site::start(&fixture, &["--store", &evicting.url()]);
    let ill = site.get("/healthz");
    assert!(ill.status == 503 && ill.body.contains("allkeys-lru"), "{}", ill.body);
}

/// X19. A page of another site whose name leads here (DNS rebinding) gets nothing, and a name of a lock is no markup. The
/// control is the address itself, which is answered.
#[test]
fn x19_other_hosts_get_nothing_and_names_are_data() {
    let fixture = Fixture::new();
    let site = Site::start(&fixture, &["--host", "locks.example"]);
    let _held = hold(&fixture, &["--note", "</script><b>"], "<script>alert(1)</script>\u{202e}");
    until("the lock", || site.locks()["holding"] == 1);
    let port = site.address.port();
    let [own, local] = [format!("127.0.0.1:{port}"), format!("LOCALHOST:{port}")];
    for host in ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::1]", "", "locks.example.evil"] {
        let answer = site.ask("GET", "/api/locks", &[("host", host)], "");
        assert!(answer.status >= 400 && !answer.body.contains("alert"), "{host}: {}", answer.status);
    }
    let twice = site.ask("GET", "/api/locks", &[("host", &own), ("host", "evil.example")], "");
    assert!(twice.status >= 400, "{}", twice.status);
    for host in [&own, &local, "locks.example", "locks.example:8443"] {
        let answer = site.ask("GET", "/api/locks", &[("host", host)], "");
        assert!(answer.status == 200 && answer.body.contains("<script>alert(1)"), "the control: {host}");
        assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
    }
    let foreign = site.ask("GET", "/api/locks", &[("origin", "https://evil.example")], "");
    assert_eq!(foreign.status, 421);
    for path in ["/", "/page.js", "/page.css", "/api/locks", "/metrics", "/nothing"] {
        let answer = site.get(path);
        assert!(
            answer.head.contains("content-security-policy: default-src 'none'"),
            "{path}: {}",
            answer.head
        );
        assert!(answer.head.contains("x-content-type-options: nosniff"), "{path}");
        assert!(!answer.head.contains("access-control"), "{path}");
        assert!(path.starts_with("/api/") || !answer.body.contains("alert(1)"), "{path}");
    }
    assert_eq!((site.get("/nothing").status, site.ask("HEAD", "/healthz", &[], "").status), (404, 200));
    let post = site.ask("POST", "/", &[], "");
    assert!(post.status == 405 && post.head.contains("allow: get, head"), "{}", post.head);
}

/// X20. Nothing is released without the permission and the token. The control has both.
#[test]
fn x20_nothing_is_released_without_the_token() {
    let fixture = Fixture::new();
    let held = hold(&fixture, &[], "job");
    let release = |site: &Site, token: &str, body: &str| {
        let given = format!("Bearer {token}");
        let headers: &[(&str, &str)] = if token.is_empty() { &[] } else { &[("authorization", &given)] };
        site.ask("POST", "/api/force-release", headers, body).status
    };
    let (body, token) = (r#"{"lock":"job"}"#, "0123456789abcdef");
    let reading = Site::start(&fixture, &[]);
    assert_eq!((release(&reading, "", body), release(&reading, token, body)), (403, 403));
    let refused = fixture.run(&["serve", "--allow-force-release", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.code, Some(64), "{}", refused.stderr);
    let file = fixture.path("token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let path = file.to_str().unwrap();
    let site = Site::start(&fixture, &["--allow-force-release", "--token-file", path]);
    for wrong in ["", "0123456789abcdeF", "0123456789abcde", "0123456789abcdef0"] {
        assert_eq!(release(&site, wrong, body), 401, "{wrong:?}");
    }
    assert_eq!(release(&site, token, "job"), 400);
    assert_eq!(release(&site, token, &format!("{{\"lock\":\"{}\"}}", "x".repeat(9000))), 400);
    let foreign = [("authorization", "Bearer 0123456789abcdef"), ("origin", "http://evil.example")];
    assert_eq!(site.ask("POST", "/api/force-release", &foreign, body).status, 421);
    assert_eq!(site.ask("GET", "/api/force-release", &[], "").status, 405);
    assert_eq!(fixture.holders("job"), 1, "up to here nothing was released");
    assert_eq!(release(&site, token, body), 200, "the control");
    assert_eq!(held.end().code, Some(79));
    let arguments = ["serve", "--json", "--listen", "127.0.0.1:0", "--allow-force-release"];
    let site = Site::of(fixture.leasehold(&arguments).env("LEASEHOLD_SERVE_TOKEN", token));
    assert_eq!(release(&site, token, body), 200);
}

/// R12. A lock is renewed beside two hundred readers and some that read nothing. A slow one gets all locks again instead of a
/// queue, one that reads nothing is disconnected, as is a connection that sends nothing, and the number of readers has a bound. The
/// control writes to its readers in turn, and waits for one that does not read longer than its lease.
#[test]
fn r12_many_and_slow_readers_slow_no_renewal() {
    let (fixture, server) = (Fixture::new(), server());
    let store = ["--store", &server.url()];
    // All locks together are more than the kernel keeps for a reader.
    let _many = Many::hold(&server.url(), 1000, &"x".repeat(300));
    let held = hold(&fixture, &[&store[..], &["--ttl", "6s"]].concat(), "job");
    let site = Site::start(&fixture, &[&store[..], &["--every", "100ms"]].concat());
    until("the first scan", || site.metric("leasehold_up") == 1.0);
    let silent = TcpStream::connect(site.address).unwrap();
    let (mut fast, mut slow, stuck) = (site.stream(), site.stream(), site.stream());
    let (renewed, renewals) = std::sync::mpsc::channel();
    let read = move || while renewed.send(fast.renewal("job")).is_ok() {};
    let _reader = std::thread::Builder::new().spawn(read).unwrap();
    let mut readers = Vec::new();
    let refused = (0..1000).find_map(|_| {
        let mut reader = site.stream();
        let status = reader.begins();
        readers.push(reader);
        status.contains(" 503 ").then_some(readers.len())
    });
    assert!(refused > Some(200), "{refused:?}");
    // Renewals up to here may have come before some of the readers.
    while renewals.try_recv().is_ok() {}
    for _ in 0..2 {
        assert_eq!(renewals.recv_timeout(SOON).unwrap()["holders"][0]["pid"], held.pid());
    }
    for _ in 0..2 {
        // On a busy machine it has been disconnected by now.
        assert!(slow.event().is_none_or(|(name, _)| name == "all"), "a queue");
    }
    let waits = naive_publisher(Duration::from_secs(6));
    assert!(waits >= Duration::from_secs(6), "the control: {waits:?}");
    drop((readers, slow, renewals));
    until("the end of the stream that is not read", || site.metric("leasehold_streams") == 0.0);
    drop(stuck);
    // A connection without a request is closed.
    silent.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!((&silent).read(&mut [0; 8]).unwrap(), 0);
}

/// How long a publisher that writes to each reader in turn waits for one that does not read, up to its time to live.
fn naive_publisher(ttl: Duration) -> Duration {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let _reader = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut publisher, _) = listener.accept().unwrap();
    publisher.set_write_timeout(Some(ttl)).unwrap();
    loop {
        let begin = now();
        if publisher.write_all(&[0; 65_536]).is_err() {
            return begin.elapsed();
        }
    }
}

/// The cost of `top` and `serve` to a server beside 10,000 locks and unlocks a second: less than 5 % of the commands, and of its
/// time. Counted at the server, for the rate of a machine that others use tells nothing.
#[test]
fn watching_costs_a_small_part_of_the_servers_work() {
    let (fixture, server) = (Fixture::new(), server());
    let store = ["--store", &server.url()];
    let _held: Vec<Running> = (0..20).map(|at| hold(&fixture, &store, &format!("job-{at}"))).collect();
    let _top = Running::start(&mut fixture.leasehold(&[&["top", "--json"], &store[..]].concat()));
    let site = Site::start(&fixture, &store);
    let _stream = site.stream();
    let scans = || site.metric("leasehold_scans_total{outcome=\"ok\"}");
    until("both watch", || scans() >= 2.0);
    server.reset_stats().unwrap();
    let (begin, first) = (now(), scans());
    until("five more scans", || scans() >= first + 5.0);
    let seconds = begin.elapsed().as_secs_f64();
    let field = |line: &str, name: &str| -> f64 {
        line.split(',').find_map(|part| part.strip_prefix(name)).unwrap().parse().unwrap()
    };
    let stats = server.info("commandstats");
    let calls: f64 = stats.values().map(|line| field(line, "calls=")).sum();
    let micros: f64 = stats.values().map(|line| field(line, "usec=")).sum();
    let (calls, share) = (calls / seconds, micros / seconds / 1e6);
    println!("{calls:.0} commands a second, {:.2} % of the server's time", share * 100.0);
    assert!(calls < 0.05 * 20_000.0 && share < 0.05, "{calls} commands a second, {share} of the time");
}

/// The page of the book names each metric of the code, with its type and its label.
#[test]
fn the_metrics_are_those_of_the_book() {
    let fixture = Fixture::new();
    let site = Site::start(&fixture, &[]);
    let page = site.get("/metrics").body;
    let rows = page.split("# TYPE ").skip(1).map(|metric| {
        let (row, samples) = metric.split_once('\n').unwrap();
        let label = samples.split_once('{').and_then(|(_, labels)| labels.split_once('='));
        [row, label.map_or("", |(label, _)| label)].join(" ")
    });
    let served: Vec<String> = rows.collect();
    assert_eq!(book("serve"), served);
}

/// Names, types and labels, in order, in a table of docs/book/observability.md.
pub(crate) fn book(of: &str) -> Vec<String> {
    let path = format!("{}/../../docs/book/observability.md", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let (_, table) = text.split_once(&format!("<!-- metrics of {of} -->\n")).expect("the mark of the table");
    let (table, _) = table.split_once("<!-- end of metrics -->").unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let mut labels: Vec<&str> = cells[3].split(", ").map(|label| label.trim_matches('`')).collect();
        labels.sort_unstable();
        format!("{} {} {}", cells[1].trim_matches('`'), cells[2], labels.join(" "))
    };
    table.lines().skip(2).map(row).collect()
}
