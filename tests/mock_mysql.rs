//! A server of MySQL that says what none says: no real one can be made to.

mod batch;

use batch::{retried, rows, text, usual};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use weir::base::options::Raw;

/// A packet of the protocol: three bytes of length, its number, what it holds.
fn packet(number: u8, bytes: &[u8]) -> Vec<u8> {
    let [a, b, c, _] = (bytes.len() as u32).to_le_bytes();
    [&[a, b, c, number], bytes].concat()
}

/// Sends the greeting of a server, then a key to encrypt a password with that is none.
fn nonsense(mut to: TcpStream) -> std::io::Result<()> {
    let mut greeting = b"\x0a5.7.0\0\x01\0\0\0abcdefgh\0\xff\xff\x21\x02\0\x0f\0\x15".to_vec();
    greeting.extend([0; 10]);
    greeting.extend(b"abcdefghijkl\0mysql_native_password\0");
    let other = b"\xfecaching_sha2_password\0xxxxxxxxxxxxxxxxxxxx\0";
    let key = b"\x01-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    let mut answer = [0; 4096];
    for (number, bytes) in [(0, &greeting[..]), (2, other), (4, b"\x01\x04"), (6, key)] {
        to.write_all(&packet(number, bytes))?;
        if to.read(&mut answer)? == 0 {
            break;
        }
    }
    Ok(())
}

#[test]
fn an_answer_that_makes_no_sense_is_one_failure_of_many_to_come() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    std::thread::spawn(move || server.incoming().flatten().try_for_each(nonsense));
    let settings = [
        ("host", text("127.0.0.1")),
        ("port", Raw::Number(port.into())),
        ("database", text("flows")),
        ("password", text("sesame")),
        ("timeout", text("2s")),
    ];
    let mut sink = batch::open("mysql", "mock", &settings);
    let rows = rows(&usual(), 1, 300, &[(1, 2)]);
    for _ in 0..2 {
        let why = retried(sink.write(&rows));
        assert!(why.contains("make no sense"), "{why}");
    }
}
