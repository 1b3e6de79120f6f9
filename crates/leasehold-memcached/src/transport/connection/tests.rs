use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
};

use tokio::runtime::{Builder, Runtime};

use super::*;

fn runtimes() -> [Runtime; 2] {
    let many = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    [Builder::new_current_thread().enable_all().build().unwrap(), many]
}

/// A connection to a server that begins to answer when it has read this many commands, none of which finds anything.
async fn connected(commands: usize) -> Connection {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let serving = move || {
        let (mut stream, mut buffer, mut unanswered) = (listener.accept().unwrap().0, [0; 1 << 16], 0);
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            unanswered += buffer[..read].iter().filter(|byte| **byte == b'\n').count();
            if unanswered >= commands {
                stream.write_all("EN\r\n".repeat(std::mem::take(&mut unanswered)).as_bytes()).unwrap();
            }
        }
    };
    thread::Builder::new().name("server".into()).spawn(serving).unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    Connection::new(stream, &Env::system().unwrap(), &Revalidations::default())
}

async fn asks(connection: &Connection, commands: usize) {
    let key = "k".repeat(200);
    let batch = (0..commands).fold(CommandBatch::new(), |batch, _| batch.get(&key));
    let replies = connection.call(batch).await.unwrap();
    assert_eq!(replies, vec![Reply::Nothing; commands]);
}

#[test]
fn lone_callers_are_answered_with_and_without_looks() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let connection = connected(1).await;
            for _ in 0..300 {
                asks(&connection, 1).await;
            }
        });
    }
}

/// More than the socket takes: what a lone caller cannot write, the task writes, and what comes meanwhile stands behind it.
#[test]
fn a_request_may_be_huge_and_others_stand_behind_it() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let connection = connected(60_000).await;
            tokio::join!(asks(&connection, 60_000 - 3), asks(&connection, 1), asks(&connection, 2));
        });
    }
}

#[test]
fn requests_without_replies_end_with_the_connection() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let connection = Connection::new(stream, &Env::system().unwrap(), &Revalidations::default());
            let closes = async { drop(listener.accept().unwrap()) };
            let batch = || CommandBatch::new().get("k");
            let (one, two, ()) = tokio::join!(connection.call(batch()), connection.call(batch()), closes);
            assert_eq!((one, two), (None, None));
            assert_eq!(connection.call(batch()).await, None, "nothing is sent any more");
        });
    }
}
