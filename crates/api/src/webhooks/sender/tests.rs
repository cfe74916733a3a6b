//! Tests of deliveries against receivers that behave in every way.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

fn options() -> WebhookOptions {
    WebhookOptions {
        loopback: true,
        connect_timeout_ms: 2_000,
        delivery_timeout_ms: 2_000,
        ..WebhookOptions::default()
    }
}

fn sender(options: &WebhookOptions) -> Sender {
    Sender::new(options).unwrap()
}

/// One that finds the same addresses under every name, and counts how often it was asked.
fn sender_where(options: &WebhookOptions, found: Vec<IpAddr>) -> (Sender, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let lookup = move |_: &str, port| {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok(found.iter().map(|address| SocketAddr::new(*address, port)).collect())
    };
    (Sender { lookup: Arc::new(lookup), ..sender(options) }, asked)
}

fn message() -> Message {
    Message {
        id: "msg_1".to_owned(),
        timestamp_s: 1_700_000_000,
        signature: "v1,x".to_owned(),
        media_type: "application/cloudevents+json",
        body: Bytes::from_static(b"{}"),
    }
}

/// A receiver that gives the same answer to each connection, and tells what it got.
fn receiver(answer: &'static [u8]) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, got) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = vec![0; 4_096];
            let mut text = String::new();
            while !text.ends_with("{}") {
                let read = stream.read(&mut bytes).unwrap();
                text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
            }
            // A sender that has seen enough may be gone.
            let _ = stream.write_all(answer);
            if told.send(text).is_err() {
                return;
            }
        }
    });
    (port, got)
}

async fn post(answer: &'static [u8]) -> Outcome {
    let (port, _got) = receiver(answer);
    sender(&options()).post(&format!("http://127.0.0.1:{port}/in?a=1"), message()).await
}

fn status(status: u16, retry_after: Option<&str>) -> Outcome {
    Outcome::Failed { reason: Reason::Status, status: Some(status), retry_after: retry_after.map(str::to_owned) }
}

#[tokio::test]
async fn a_message_arrives_as_the_specification_says() {
    let (port, got) = receiver(b"HTTP/1.1 204 No Content\r\n\r\n");
    let outcome = sender(&options()).post(&format!("http://127.0.0.1:{port}/in?a=1"), message()).await;
    assert_eq!(outcome, Outcome::Delivered(204));
    let text = got.recv().unwrap();
    let mut lines: Vec<String> = text.split("\r\n").map(str::to_ascii_lowercase).collect();
    assert_eq!(lines.remove(0), "post /in?a=1 http/1.1");
    lines.sort();
    let host = format!("host: 127.0.0.1:{port}");
    let agent = format!("user-agent: einvoice/{}", env!("CARGO_PKG_VERSION"));
    let mut expected = vec![
        "",
        &host,
        &agent,
        "connection: close",
        "content-length: 2",
        "content-type: application/cloudevents+json",
        "webhook-id: msg_1",
        "webhook-signature: v1,x",
        "webhook-timestamp: 1700000000",
        "{}",
    ];
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn only_2xx_is_a_delivery_and_410_is_the_end() {
    assert_eq!(post(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await, Outcome::Delivered(200));
    assert_eq!(post(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n").await, Outcome::Gone);
    let busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(post(busy).await, status(503, Some("7")));
    assert_eq!(post(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n").await, status(404, None));
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let (port, got) = receiver(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n");
    let outcome = sender(&options()).post(&format!("http://127.0.0.1:{port}/"), message()).await;
    assert_eq!(outcome, status(302, None));
    assert!(got.recv().unwrap().starts_with("POST / "));
    assert!(got.try_recv().is_err(), "nobody knocked again");
}

#[tokio::test]
async fn an_answer_that_has_no_end_or_is_none_holds_nobody_up() {
    let endless = b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\nand then nothing more";
    assert_eq!(post(endless).await, Outcome::Delivered(200));
    assert_eq!(post(b"HTTP/1.1 200 OK\r\n").await, Reason::Broken.into(), "the head has no end");
    assert_eq!(post(b"SSH-2.0-what\r\n\r\n").await, Reason::Broken.into());
    let large: &'static [u8] = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'x'; 2 * HEAD_BYTES_MAX]].concat().leak();
    assert_eq!(post(large).await, Reason::Broken.into());
}

#[tokio::test]
async fn nobody_is_waited_for_without_end() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = WebhookOptions { delivery_timeout_ms: 100, ..options() };
    // The system takes the connection; nobody ever says a word.
    let outcome = sender(&options).post(&format!("http://127.0.0.1:{port}/"), message()).await;
    assert_eq!(outcome, Reason::Timeout.into());
    drop(listener);
    let outcome = sender(&options).post(&format!("http://127.0.0.1:{port}/"), message()).await;
    assert_eq!(outcome, Reason::Unreachable.into());
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_called_wherever_it_leads() {
    let (port, got) = receiver(b"HTTP/1.1 200 OK\r\n\r\n");
    let closed = WebhookOptions { loopback: false, ..options() };
    let url = format!("https://hooks.example.com:{port}/");
    let inside: [&[IpAddr]; 4] = [
        &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
        &[IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))],
        &[IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped())],
        &[IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254))],
    ];
    for addresses in inside {
        let (sender, asked) = sender_where(&closed, addresses.to_vec());
        assert_eq!(sender.post(&url, message()).await, Reason::AddressRefused.into(), "{addresses:?}");
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }
    // The system's own resolver is judged by its answers too.
    let outcome = sender(&closed).post(&format!("https://localhost:{port}/"), message()).await;
    assert_eq!(outcome, Reason::AddressRefused.into());
    // Without TLS nobody but the own machine is called, whatever a name leads to.
    let (sender, _) = sender_where(&options(), vec![IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1))]);
    assert_eq!(sender.post("http://hooks.example.com/", message()).await, Reason::AddressRefused.into());
    assert!(got.try_recv().is_err(), "nobody knocked");
}

#[tokio::test]
async fn a_name_is_resolved_once_and_what_was_judged_is_what_is_called() {
    let (port, got) = receiver(b"HTTP/1.1 200 OK\r\n\r\n");
    // Public first, then the own machine, as one does who wants to be judged by the one and called at the other.
    let answers = Mutex::new(vec![Ipv4Addr::LOCALHOST, Ipv4Addr::new(240, 0, 0, 1)]);
    let lookup = move |_: &str, port| {
        let next = answers.lock().unwrap().pop().expect("it was asked more than twice");
        Ok(vec![SocketAddr::new(IpAddr::V4(next), port)])
    };
    let sender = Sender { lookup: Arc::new(lookup), ..sender(&options()) };
    let url = format!("http://hooks.example.com:{port}/");
    assert_eq!(sender.post(&url, message()).await, Reason::AddressRefused.into());
    assert!(got.try_recv().is_err(), "the second answer was not asked for");
    assert_eq!(sender.post(&url, message()).await, Outcome::Delivered(200));
}

#[tokio::test]
async fn names_that_lead_nowhere_and_slow_resolvers_are_told_apart() {
    let (sender, _) = sender_where(&options(), Vec::new());
    assert_eq!(sender.post("https://hooks.example.com/", message()).await, Reason::Unresolved.into());
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let lookup = move |_: &str, _| {
        let _ = held.lock().unwrap().recv();
        Ok(Vec::new())
    };
    let options = WebhookOptions { delivery_timeout_ms: 100, ..options() };
    let sender = Sender { lookup: Arc::new(lookup), ..super::Sender::new(&options).unwrap() };
    assert_eq!(sender.post("https://hooks.example.com/", message()).await, Reason::Timeout.into());
    drop(release);
}

#[tokio::test]
async fn a_receiver_proves_its_name_to_roots_that_are_trusted() {
    let rcgen::CertifiedKey { cert, key_pair } =
        rcgen::generate_simple_self_signed(vec!["hooks.example.com".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key_pair.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(config);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(session, stream.unwrap());
            // Who does not trust this one says so and goes.
            if stream.read(&mut [0; 4_096]).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        }
    });
    let own_machine = vec!["127.0.0.0/8".parse().unwrap()];
    let trusting =
        WebhookOptions { loopback: false, networks: own_machine, ca_pem: Some(cert.pem().into_bytes()), ..options() };
    let machine = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
    let to = |name: &str| format!("https://{name}:{port}/");
    let (sender, _) = sender_where(&trusting, machine.clone());
    assert_eq!(sender.post(&to("hooks.example.com"), message()).await, Outcome::Delivered(200));
    assert_eq!(sender.post(&to("other.example.com"), message()).await, Reason::Tls.into());
    let (sender, _) = sender_where(&WebhookOptions { ca_pem: None, ..trusting.clone() }, machine);
    assert_eq!(sender.post(&to("hooks.example.com"), message()).await, Reason::Tls.into());
    let broken = WebhookOptions { ca_pem: Some(b"-----BEGIN CERTIFICATE-----\nx\n".to_vec()), ..trusting };
    assert!(Sender::new(&broken).is_err());
}
