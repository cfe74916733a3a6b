//! Hostile clients: they get a clear status or the end of their connection, and others get their answers.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use tonic::Code;
use wire::generated::{BatchVerifyRequest, GetClaimRequest, VerifyRequest, verify_request};

use super::client::{Client, Refused, path, runtime};
use super::raw::{Raw, framed};
use crate::tests::client::{connect, send};
use crate::tests::node::{Node, Setup};
use crate::tests::server::eventually;
use crate::{GrpcOptions, Options};

/// What a connection of HTTP/2 begins with, and empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn with(options: Options) -> Node {
    let options = Options { verifications_a_minute: 1_000, ..options };
    Node::start_with(Setup { options, ..Setup::default() })
}

/// Waits until nobody is connected any more but who asks.
fn nobody_left(address: SocketAddr) {
    let metrics = || send(address, "GET", "/metrics", &[], b"").text();
    eventually(|| metrics().contains("einvoice_api_connections 1\n"));
    assert!(metrics().contains("einvoice_api_bodies_bytes 0\n"));
}

/// Somebody honest is served.
fn serves(node: &Node) {
    let client = Client::new(node);
    let get = GetClaimRequest { invoice: "144032609110-00009999".to_owned() };
    let answer = client.run(client.platforms().get_claim(client.login("platform-a", get)));
    assert_eq!(answer.unwrap_err().reason, "invoice.unknown");
}

#[test]
fn what_is_no_call_gets_a_code() {
    let node = with(Options { body_bytes_max: 64 * 1024, ..Options::default() });
    let token = node.bearer("platform-a");
    let runtime = runtime();
    let send = |path: &str, more: &[(&str, &str)], body: Vec<u8>| -> Refused {
        let mut headers = vec![("authorization", token.as_str())];
        headers.extend_from_slice(more);
        runtime.block_on(async {
            let mut raw = Raw::connect(node.grpc_address).await;
            raw.send(path, &headers, body).await.unwrap().unwrap_err()
        })
    };
    let verify = path("Verify");
    let rows = [
        (send(&path("Nothing"), &[], framed(b"")), Code::Unimplemented, "request.path"),
        (send("/other.v1.Service/Call", &[], framed(b"")), Code::Unimplemented, "request.path"),
        (send("/", &[], framed(b"")), Code::Unimplemented, "request.path"),
        (
            send(&verify, &[("content-type", "application/json")], b"{}".to_vec()),
            Code::InvalidArgument,
            "request.media-type",
        ),
        (send(&verify, &[("grpc-encoding", "zstd")], framed(b"")), Code::Unimplemented, "request.encoding"),
        (send(&verify, &[], framed(b"\xff\xff\xff")), Code::InvalidArgument, "request.malformed"),
        (send(&verify, &[], b"\0\0\0\0\x09abc".to_vec()), Code::InvalidArgument, "request.malformed"),
        (send(&verify, &[], Vec::new()), Code::InvalidArgument, "request.malformed"),
        (send(&verify, &[], framed(&vec![b'x'; 70_000])), Code::InvalidArgument, "request.too-large"),
        (send(&verify, &[], b"\0\xff\xff\xff\xff".to_vec()), Code::InvalidArgument, "request.too-large"),
    ];
    for (row, (refused, code, reason)) in rows.iter().enumerate() {
        assert_eq!(refused.short(), (*code, *reason), "row {row}: {:?}", refused.facts);
    }
    drop(runtime);
    nobody_left(node.address);
}

#[test]
fn a_bomb_of_compression_is_not_unpacked() {
    let node = with(Options { body_bytes_max: 64 * 1024, ..Options::default() });
    let client = Client::new(&node);
    let qr = "x".repeat(10_000_000);
    let request = client.login("platform-a", VerifyRequest { by: Some(verify_request::By::Qr(qr)) });
    let mut compressed = client.platforms().send_compressed(tonic::codec::CompressionEncoding::Gzip);
    let refused: Refused = client.runtime.block_on(compressed.verify(request)).unwrap_err().into();
    assert_eq!(refused.short(), (Code::InvalidArgument, "request.too-large"));
    serves(&node);
}

#[test]
fn a_list_is_counted_before_anything_is_made_of_it_and_a_stranger_is_not_read_at_all() {
    let node = with(Options::default());
    let (runtime, token) = (runtime(), node.bearer("platform-a"));
    // Two bytes of the message each, and more than a hundred in memory.
    let bomb = [0x0a, 0].repeat(1_000_000);
    let inside = wire::encode_message(&BatchVerifyRequest { requests: vec![VerifyRequest::default(); 1_001] });
    // The same as parts of one list in another message, which whoever decodes them puts together.
    let locks = [0x12, 4, 0x0a, 0, 0x0a, 0].repeat(501);
    let mut rows = Vec::new();
    for (method, message, field, count) in [
        ("BatchVerify", bomb.clone(), "/requests", "1000000"),
        ("BatchVerify", inside, "/requests", "1001"),
        ("BatchLock", locks.clone(), "/batch_lock/locks", "1002"),
        ("PrepareClaim", [0x1a, 4, 0x0a, 0, 0x0a, 0].repeat(501), "/batch_lock/locks", "1002"),
    ] {
        for compressed in [false, true] {
            let mut headers = vec![("authorization", token.as_str())];
            let mut body = framed(&message);
            if compressed {
                headers.push(("grpc-encoding", "gzip"));
                body = framed(&gzip(&message));
                body[0] = 1;
            }
            rows.push((
                method,
                compressed,
                field,
                count,
                runtime.block_on(async {
                    let mut raw = Raw::connect(node.grpc_address).await;
                    raw.send(&path(method), &headers, body).await.unwrap().unwrap_err()
                }),
            ));
        }
    }
    for (method, compressed, field, count, refused) in rows {
        assert_eq!(refused.short(), (Code::InvalidArgument, "request.malformed"), "{method} {compressed}");
        assert_eq!(refused.fields, [field], "{method} {compressed}");
        assert!(refused.facts.contains(count), "{method} {compressed}: {}", refused.facts);
    }
    let stranger = runtime.block_on(async {
        let mut raw = Raw::connect(node.grpc_address).await;
        let mut body = framed(&gzip(&bomb));
        body[0] = 1;
        raw.send(&path("BatchVerify"), &[("grpc-encoding", "gzip")], body).await.unwrap().unwrap_err()
    });
    assert_eq!(stranger.short(), (Code::Unauthenticated, "auth.missing"));
    drop(runtime);
    serves(&node);
    nobody_left(node.address);
}

/// Bytes compressed with gzip.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn who_calls_too_often_or_too_much_at_once_is_told_when_to_come_back() {
    let grpc = GrpcOptions { calls_a_second_max: 2, calls_an_organisation_max: 1, ..GrpcOptions::default() };
    let node = with(Options { grpc, ..Options::default() });
    let client = Client::new(&node);
    let get = || client.login("platform-a", GetClaimRequest { invoice: "x".to_owned() });
    let mut told = None;
    // A slow machine may need more than a second for two.
    for _ in 0..10_000 {
        let refused = client.run(client.platforms().get_claim(get())).unwrap_err();
        if refused.reason != "invoice.unknown" {
            told = Some(refused);
            break;
        }
    }
    let refused = told.unwrap();
    assert_eq!(refused.short(), (Code::ResourceExhausted, "organisation.rate"));
    assert!(refused.retry.is_some_and(|retry| retry.as_secs() >= 1));
}

#[test]
fn half_open_connections_end_by_themselves() {
    let grpc = GrpcOptions { keep_alive_ms: 50, ..GrpcOptions::default() };
    let node = with(Options { handshake_timeout_ms: 50, body_read_timeout_ms: 100, grpc, ..Options::default() });
    for said in [b"".as_slice(), b"P", b"GET / HTTP/1.1\r\n\r\n", PREFACE] {
        let mut stream = connect(node.grpc_address);
        stream.write_all(said).unwrap();
        if said == b"P" {
            // It may still become an HTTP/2 connection; nobody else waits for it.
            continue;
        }
        let mut heard = Vec::new();
        // Never answers a ping: the door gives up.
        let _ = stream.read_to_end(&mut heard);
        assert!(!heard.starts_with(b"HTTP/1.1 200"));
    }
    nobody_left(node.address);
    serves(&node);
}

#[test]
fn a_flood_of_metadata_ends_in_front_of_the_door() {
    let node = with(Options::default());
    let runtime = runtime();
    let token = node.bearer("platform-a");
    let huge = "x".repeat(8_000);
    let names: Vec<String> = (0..40).map(|number| format!("flood-{number}")).collect();
    runtime.block_on(async {
        let mut raw = Raw::connect(node.grpc_address).await;
        let mut headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), huge.as_str())).collect();
        headers.push(("authorization", &token));
        let request = raw.refused_outright(&path("Verify"), &headers).await;
        assert!(request, "320 KB of metadata were taken");
    });
    drop(runtime);
    serves(&node);
    nobody_left(node.address);
}

#[test]
fn a_connection_has_so_many_calls_and_a_crowded_address_makes_room() {
    let grpc = GrpcOptions { connections_max: 4, connections_an_address_max: 4, ..GrpcOptions::default() };
    let node = with(Options { grpc, ..Options::default() });
    let idle: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = connect(node.grpc_address);
            stream.write_all(PREFACE).unwrap();
            stream
        })
        .collect();
    serves(&node);
    drop(idle);
    nobody_left(node.address);
}
