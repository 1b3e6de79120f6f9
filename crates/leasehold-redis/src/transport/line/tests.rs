use std::{future::poll_fn, pin::pin};

use futures_util::{FutureExt, future::join_all};
use leasehold_core::Outcome;
use redis::cmd;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

use super::*;

fn runtimes() -> [Runtime; 2] {
    let many = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    [Builder::new_current_thread().enable_all().build().unwrap(), many]
}

/// The runtime under test has no `Env`.
fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    Handle::current().spawn(task)
}

fn echo(text: &str) -> [Cmd; 1] {
    [cmd("ECHO").arg(text).to_owned()]
}

/// The request of a text, or the reply to it, on the wire.
fn asked(text: &str) -> Vec<u8> {
    echo(text)[0].get_packed_command()
}

fn told(text: &str) -> Vec<u8> {
    format!("${}\r\n{text}\r\n", text.len()).into_bytes()
}

fn is(replies: Result<Replies>, text: &str) {
    assert_eq!(replies.unwrap()[..], [Ok(Value::BulkString(text.into()))]);
}

/// A connection, and the server's end of it.
fn line() -> (Arc<Line>, UnixStream) {
    let (ours, server) = UnixStream::pair().unwrap();
    (Line::new(ours.into(), true), server)
}

/// Reads these requests, and nothing else.
async fn takes(server: &mut UnixStream, texts: &[&str]) {
    let expected: Vec<u8> = texts.iter().flat_map(|text| asked(text)).collect();
    let mut found = vec![0; expected.len()];
    server.read_exact(&mut found).await.unwrap();
    assert_eq!(String::from_utf8(found), String::from_utf8(expected));
}

async fn tells(server: &mut UnixStream, texts: &[&str]) {
    let bytes: Vec<u8> = texts.iter().flat_map(|text| told(text)).collect();
    server.write_all(&bytes).await.unwrap();
}

/// Answers all requests in their order, in pieces of any size.
async fn serve(mut server: UnixStream) {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 700]);
    while let Ok(read @ 1..) = server.read(&mut buffer).await {
        bytes.extend_from_slice(&buffer[..read]);
        let (mut replies, mut taken) = (Vec::new(), 0);
        while let Some(reply) = last_word(&bytes[taken..]) {
            replies.extend_from_slice(reply);
            taken += ECHO.len() + reply.len();
        }
        drop(bytes.drain(..taken));
        if server.write_all(&replies).await.is_err() {
            return;
        }
    }
}

const ECHO: &[u8] = b"*2\r\n$4\r\nECHO\r\n";

/// The text of the first request, as it is on the wire in the reply, too.
fn last_word(bytes: &[u8]) -> Option<&[u8]> {
    let word = bytes.strip_prefix(ECHO)?;
    let line = word.iter().position(|byte| *byte == b'\n')? + 1;
    let length: usize = std::str::from_utf8(&word[1..line - 2]).unwrap().parse().unwrap();
    word.get(..line + length + 2)
}

#[test]
fn every_one_of_512_callers_gets_its_own_replies() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (line, server) = line();
            let serving = spawn(serve(server));
            let callers = (0..512).map(|caller| {
                let line = line.clone();
                spawn(async move {
                    for turn in 0..40 {
                        let text = format!("{caller}-{turn}");
                        is(line.exchange(&echo(&text)).await, &text);
                    }
                })
            });
            join_all(callers).await.into_iter().for_each(Result::unwrap);
            drop(line);
            serving.await.unwrap();
        });
    }
}

#[test]
fn a_lone_caller_is_answered_with_and_without_looks() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (line, server) = line();
            let serving = spawn(serve(server));
            for turn in 0..500 {
                is(line.exchange(&echo(&turn.to_string())).await, &turn.to_string());
            }
            drop(line);
            serving.await.unwrap();
        });
    }
}

#[test]
fn replies_come_in_any_pieces() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (line, mut server) = line();
            let commands: Vec<Cmd> = ["first", "second"].iter().flat_map(|text| echo(text)).collect();
            let replies = async {
                takes(&mut server, &["first", "second"]).await;
                for byte in b"*2\r\n:12\r\n$3\r\na\r\n\r\n-ERR no\r\n" {
                    server.write_all(&[*byte]).await.unwrap();
                    yield_now().await;
                }
            };
            let (replies, ()) = tokio::join!(line.exchange(&commands), replies);
            let replies = replies.unwrap();
            let first = Value::Array(vec![Value::Int(12), Value::BulkString(b"a\r\n".to_vec())]);
            assert_eq!(replies[0], Ok(first));
            assert_eq!(replies[1].as_ref().unwrap_err().detail, "no");
        });
    }
}

/// A look takes them from the socket, which wakes nobody for them then.
#[test]
fn replies_that_come_together_are_read_together() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (line, mut server) = line();
            let words = ["first", "second"].map(echo);
            let mut callers = Vec::from_iter(words.iter().map(|words| Box::pin(line.exchange(words))));
            for caller in &mut callers {
                assert!(caller.now_or_never().is_none());
            }
            line.flush();
            takes(&mut server, &["first", "second"]).await;
            tells(&mut server, &["first", "second"]).await;
            line.receive(None);
            for (caller, text) in callers.into_iter().zip(["first", "second"]) {
                is(caller.now_or_never().unwrap(), text);
            }
        });
    }
}

/// More than one wake-up reads.
#[test]
fn replies_and_requests_may_be_huge() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (line, server) = line();
            let serving = spawn(serve(server));
            let text = "x".repeat(READS_MAX as usize * 8192 * 3);
            let (huge, small) = (echo(&text), echo("small"));
            let (huge, small) = tokio::join!(line.exchange(&huge), line.exchange(&small));
            is(huge, &text);
            is(small, "small");
            drop(line);
            serving.await.unwrap();
        });
    }
}

#[test]
fn a_caller_that_gives_up_takes_no_reply_from_another() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (line, mut server) = line();
            let words = ["alone", "gathers", "joins", "stays"].map(echo);
            {
                let mut callers: Vec<_> =
                    words[..3].iter().map(|words| Box::pin(line.exchange(words))).collect();
                for caller in &mut callers {
                    assert!(caller.now_or_never().is_none());
                }
            }
            let served = async {
                takes(&mut server, &["alone", "gathers", "joins", "stays"]).await;
                tells(&mut server, &["alone", "gathers", "joins", "stays"]).await;
            };
            let (stays, ()) = tokio::join!(line.exchange(&words[3]), served);
            is(stays, "stays");
        });
    }
}

/// A caller may hold a request without polling it, as in the branch of a `select!`.
#[test]
fn nobody_waits_for_a_caller_that_is_not_polled() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (line, mut server) = line();
            let words = ["alone", "gathers", "joins"].map(echo);
            let mut idle = Vec::new();
            for words in &words {
                let mut caller = Box::pin(line.exchange(words));
                assert!((&mut caller).now_or_never().is_none());
                idle.push(caller);
            }
            takes(&mut server, &["alone"]).await;
            tells(&mut server, &["alone"]).await;
            takes(&mut server, &["gathers", "joins"]).await;
            tells(&mut server, &["gathers", "joins"]).await;
            for (caller, text) in idle.into_iter().zip(["alone", "gathers", "joins"]) {
                is(caller.await, text);
            }
        });
    }
}

#[test]
fn a_break_tells_what_was_sent_and_what_certainly_was_not() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (line, mut server) = line();
            // More than the socket takes.
            let words = [echo("answered"), echo(&"x".repeat(8 << 20)), echo("behind it")];
            let mut callers: Vec<_> = words.iter().map(|words| Box::pin(line.exchange(words))).collect();
            for caller in &mut callers {
                assert!(caller.now_or_never().is_none());
            }
            takes(&mut server, &["answered"]).await;
            server.write_all(b"$8\r\nanswered\r\n$4\r\nhal").await.unwrap();
            let mut callers = callers.into_iter();
            is(callers.next().unwrap().await, "answered");
            drop(server);
            let failed = join_all(callers).await.into_iter().map(|it| it.unwrap_err());
            let outcomes: Vec<_> = failed.map(|error| (error.kind(), error.outcome())).collect();
            let unreachable = |outcome| (ErrorKind::Unreachable, outcome);
            assert_eq!(outcomes, [unreachable(Outcome::Unknown), unreachable(Outcome::NotApplied)]);
            assert!(line.is_broken());
            let later = line.exchange(&words[0]).await.unwrap_err();
            assert_eq!(later.outcome(), Outcome::NotApplied, "nothing is sent on a broken connection");
        });
    }
}

#[test]
fn a_server_that_closes_an_idle_connection_is_noticed() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (line, server) = line();
            assert!(!line.is_closed());
            drop(server);
            assert!(line.is_closed(), "at once, although the runtime had no time to");
            while !line.is_broken() {
                yield_now().await;
            }
        });
    }
}

#[test]
fn announcements_answer_nobody_and_a_reply_to_nothing_ends_the_connection() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (line, mut server) = line();
            let push = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n";
            server.write_all(push).await.unwrap();
            let served = async {
                takes(&mut server, &["a"]).await;
                server.write_all(push).await.unwrap();
                tells(&mut server, &["a"]).await;
            };
            let request = echo("a");
            let (answer, ()) = tokio::join!(line.exchange(&request), served);
            is(answer, "a");
            server.write_all(b"-ERR max number of clients reached\r\n").await.unwrap();
            while !line.is_broken() {
                yield_now().await;
            }
            let error = line.exchange(&request).await.unwrap_err();
            assert!(error.hint_text().unwrap().contains("maxclients"), "{error:?}");
        });
    }
}

#[test]
fn a_task_without_budget_may_ask() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (line, server) = line();
            let serving = spawn(serve(server));
            let text = "x".repeat(1 << 20);
            let request = echo(&text);
            let mut asking = pin!(line.exchange(&request));
            let first = poll_fn(|context| {
                while pin!(tokio::task::consume_budget()).poll(context).is_ready() {}
                Poll::Ready(asking.as_mut().poll(context).is_ready())
            });
            assert!(!first.await);
            is(asking.await, &text);
            serving.abort();
        });
    }
}

#[test]
fn a_connection_that_nobody_has_is_closed() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (line, mut server) = line();
            assert!(line.exchange(&echo("a")).now_or_never().is_none());
            drop(line);
            takes(&mut server, &["a"]).await;
            assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
        });
    }
}
