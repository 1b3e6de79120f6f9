//! Something between client and server that alters the replies.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
};

use leasehold_testkit::redis::Server;

/// The port of a relay to a server; it ends with the test program.
pub(crate) fn altered(server: &Server, alter: fn(&[u8]) -> Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, address) = (listener.local_addr().unwrap().port(), server.address());
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(&address).unwrap());
            let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || pass_on(from, to, <[u8]>::to_vec));
            thread::spawn(move || pass_on(server, client, alter));
        }
    });
    port
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, alter: fn(&[u8]) -> Vec<u8>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&alter(&buffer[..count])).is_err() {
            break;
        }
    }
    // The other side may have closed it already.
    let _ = to.shutdown(Shutdown::Both);
}
