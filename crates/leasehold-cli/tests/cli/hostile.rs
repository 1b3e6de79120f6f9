//! Servers that answer what no server should.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Stdio,
};

use crate::fixture::{Fixture, eventually};

/// Memory limit of the program, a debug build with all stores.
const MEMORY_MAX_KIB: u64 = 256 * 1024;

/// Answers whatever it is asked with these bytes, over and over if `endless`; ends with the process.
fn fake(answer: Vec<u8>, endless: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move |mut client: TcpStream| {
        let mut asked = [0; 4096];
        while client.read(&mut asked).is_ok_and(|length| length > 0) {
            while client.write_all(&answer).is_ok() && endless {}
        }
    };
    let accept = move || listener.incoming().map_while(Result::ok).for_each(&serve);
    std::thread::Builder::new().spawn(accept).unwrap();
    port
}

/// X8. Lengths of gigabytes, negative ones, depth without end, lines without end: an error, in time, and not a byte more of
/// memory than the program has for itself.
#[test]
fn x8_answers_without_bounds_are_errors_and_cost_no_memory() {
    let nested = |open: &str| open.repeat(200_000).into_bytes();
    let cases: Vec<(&str, &str, Vec<u8>, bool)> = vec![
        ("redis", "a text of exabytes", b"$9223372036854775807\r\n".to_vec(), false),
        (
            "redis",
            "a text of 2 GiB of which little comes",
            [&b"$2147483647\r\n"[..], &vec![b'x'; 1 << 24]].concat(),
            false,
        ),
        ("redis", "a negative length", b"$-7\r\n".to_vec(), false),
        ("redis", "a list of 2 billion", b"*2147483647\r\n".to_vec(), false),
        ("redis", "a map of 2 billion", b"%2147483647\r\n".to_vec(), false),
        ("redis", "lists in lists", nested("*1\r\n"), false),
        ("redis", "a line of 16 MiB without an end", vec![b'+'; 1 << 24], false),
        ("memcached", "a value of 2 GiB", b"VA 2147483647 c1 k O1\r\n".to_vec(), false),
        ("memcached", "a negative length", b"VA -7 c1 k O1\r\n".to_vec(), false),
        ("memcached", "a line without end", [b'A'; 65536].to_vec(), true),
        ("zookeeper", "a packet of 2 GiB", vec![0x7f, 0xff, 0xff, 0xff], false),
        ("zookeeper", "a negative length", vec![0xff, 0xff, 0xff, 0xf0, 0, 0, 0, 0], false),
        ("zookeeper", "a packet of 1 GiB of which little comes", vec![0x41; 1 << 24], false),
        ("etcd", "a frame of 16 MiB", vec![0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1], false),
        ("etcd", "settings without end", [0, 0, 0, 4, 0, 0, 0, 0, 0].repeat(4096), true),
        ("etcd", "nothing but bytes", vec![0x41; 65536], true),
    ];
    let (fixture, mut wrong) = (Fixture::new(), Vec::new());
    for (scheme, case, answer, endless) in cases {
        let url = format!("{scheme}://127.0.0.1:{}?timeout=1s", fake(answer, endless));
        let mut command = fixture.leasehold(&["inspect", "--store", &url, "x"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let mut peak = 0_u64;
        let ended = eventually(&format!("{scheme}: {case}: an end"), || {
            let seen = std::fs::read_to_string(&status).unwrap_or_default();
            let line = seen.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let seen = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
            peak = peak.max(seen.unwrap_or_default());
            if peak > MEMORY_MAX_KIB {
                child.kill().unwrap();
            }
            child.try_wait().unwrap()
        });
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        // An error of ours, and neither a panic nor a signal.
        let refused = matches!(ended.code(), Some(69 | 75 | 78)) && !said.contains("panicked");
        if !refused || peak == 0 || peak > MEMORY_MAX_KIB {
            wrong.push(format!("{scheme}: {case}: {ended}, {peak} KiB: {said}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    // The control makes room for what it is told will come.
    let mut naive: Vec<u8> = Vec::new();
    assert!(naive.try_reserve_exact(usize::MAX / 2).is_err(), "the control: it would have been aborted");
}
