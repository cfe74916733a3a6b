//! Answers that nobody takes, and streams without a login: neither costs the node memory, nor others their answers.

use std::pin::pin;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};
use wire::generated::{ListInvoicesRequest, SubscribeRequest};

use super::client::{Client, Refused, channel, with_token};
use super::raw::framed;
use crate::tests::events::many;
use crate::tests::node::{Node, Setup};
use crate::tests::server::eventually;
use crate::{GrpcOptions, Options};

fn with(grpc: GrpcOptions, options: Options) -> Node {
    let options = Options { verifications_a_minute: 1_000, grpc, ..options };
    Node::start_with(Setup { options, ..Setup::default() })
}

/// Some hundred KiB.
fn list() -> ListInvoicesRequest {
    ListInvoicesRequest { page_size: 500, ..ListInvoicesRequest::default() }
}

/// Asks for so many large answers on a connection that takes so many bytes of each and no more.
async fn unread(node: &Node, token: &str, calls: usize, window: u32) -> Vec<hyper::Response<Incoming>> {
    let stream = tokio::net::TcpStream::connect(node.grpc_address).await.unwrap();
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(window);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let message = framed(&wire::encode_message(&list()));
    let mut unread = Vec::new();
    for _ in 0..calls {
        let request = hyper::Request::post("http://door/einvoice.v1.LedgerService/ListInvoices")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", token)
            .body(Full::new(Bytes::from(message.clone())))
            .unwrap();
        unread.push(sender.send_request(request).await.unwrap());
    }
    unread
}

#[test]
fn answers_that_nobody_takes_count_as_calls_under_way() {
    let node = with(GrpcOptions { calls_an_organisation_max: 2, ..GrpcOptions::default() }, Options::default());
    let (token, client) = (node.bearer("shop"), Client::new(&node));
    many(&node, "large", 500);
    let ask = || client.run(client.ledger().list_invoices(with_token(list(), &token)));
    assert_eq!(ask().unwrap().invoices.len(), 500, "whole, in pieces");
    // The last is more than the answer: nothing of it is read, and all of it may be on its way.
    for window in [0, 1, 20_000] {
        let unread = client.runtime.block_on(unread(&node, &token, 2, window));
        let refused = ask().unwrap_err();
        assert_eq!(refused.short(), (Code::ResourceExhausted, "organisation.calls-full"), "{window}");
        assert!(refused.retry.is_some());
        drop(unread);
        eventually(|| ask().is_ok());
    }
}

#[test]
fn their_bytes_count_for_who_asked_and_come_back() {
    let grpc = GrpcOptions { answers_bytes_an_organisation_max: 600_000, ..GrpcOptions::default() };
    let node = with(grpc, Options::default());
    let (token, client) = (node.bearer("shop"), Client::new(&node));
    many(&node, "large", 500);
    let ask = |token: &str| client.run(client.ledger().list_invoices(with_token(list(), token)));
    let unread = client.runtime.block_on(async {
        let mut held = Vec::new();
        // As many as there is room for, and then no more.
        for _ in 0..20 {
            held.extend(unread(&node, &token, 1, 0).await);
        }
        held
    });
    assert_eq!(ask(&token).unwrap_err().short(), (Code::ResourceExhausted, "organisation.answers-full"));
    assert!(ask(&node.bearer("buyer")).is_ok(), "others have a share of their own");
    drop(unread);
    eventually(|| ask(&token).is_ok());
}

#[test]
fn a_connection_on_which_an_answer_is_not_taken_ends() {
    let node = with(GrpcOptions::default(), Options { write_stall_timeout_ms: 2_000, ..Options::default() });
    let (token, client) = (node.bearer("shop"), Client::new(&node));
    many(&node, "large", 500);
    let ended = client.runtime.block_on(async {
        let mut held = unread(&node, &token, 3, 0).await;
        let body = held.pop().unwrap().into_body();
        tokio::time::timeout(Duration::from_secs(60), body.collect()).await.expect("an end")
    });
    assert!(ended.is_err(), "nobody opened the window");
    let answer = client.run(client.ledger().list_invoices(with_token(list(), &token)));
    assert_eq!(answer.unwrap().invoices.len(), 500, "one that is taken");
}

#[test]
fn streams_without_a_login_are_few_and_end() {
    let node = with(GrpcOptions::default(), Options::default());
    let client = Client::new(&node);
    client.runtime.block_on(async {
        let mut watching = Vec::new();
        for _ in 0..16 {
            let mut health = HealthClient::new(channel(node.grpc_address).await);
            watching.push(health.watch(HealthCheckRequest::default()).await.unwrap());
        }
        let mut health = HealthClient::new(client.channel.clone());
        let refused = Refused::from(health.watch(HealthCheckRequest::default()).await.unwrap_err());
        assert_eq!(refused.short(), (Code::ResourceExhausted, "node.calls-full"));
        assert!(health.check(HealthCheckRequest::default()).await.is_ok(), "who looks once is answered");
        let mut asking = Vec::new();
        let question = || ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        for _ in 0..4 {
            let questions = futures_util::stream::iter([question()]);
            let endless = futures_util::StreamExt::chain(questions, futures_util::stream::pending());
            let mut reflection = ServerReflectionClient::new(client.channel.clone());
            asking.push(reflection.server_reflection_info(endless).await.unwrap().into_inner());
        }
        let mut reflection = ServerReflectionClient::new(client.channel.clone());
        let refused = reflection.server_reflection_info(futures_util::stream::iter([question()])).await.unwrap_err();
        assert_eq!(Refused::from(refused).short(), (Code::ResourceExhausted, "node.calls-full"));
        drop(asking);
        // One after the other there may be as many as one likes.
        for _ in 0..8 {
            let questions = futures_util::stream::iter([question()]);
            let asked = loop {
                match reflection.server_reflection_info(questions.clone()).await {
                    Ok(asked) => break asked.into_inner(),
                    Err(status) => {
                        assert_eq!(Refused::from(status).reason, "node.calls-full", "until the others are gone");
                    }
                }
            };
            let mut answers = pin!(asked);
            let answer: ServerReflectionResponse = answers.message().await.unwrap().unwrap();
            assert!(answer.message_response.is_some());
        }
    });
}

#[test]
fn a_connection_lives_on_however_many_of_its_calls_are_refused_unread() {
    let node = with(GrpcOptions::default(), Options::default());
    let client = Client::new(&node);
    for _ in 0..200 {
        let refused = client.run(client.ledger().list_invoices(list())).unwrap_err();
        assert_eq!(refused.short(), (Code::Unauthenticated, "auth.missing"));
    }
    assert!(client.run(client.ledger().list_invoices(with_token(list(), &node.bearer("shop")))).is_ok());
}

#[test]
fn a_stream_has_the_time_its_caller_gives_it_and_not_that_of_a_call() {
    let node = with(GrpcOptions::default(), Options { request_timeout_ms: 300, ..Options::default() });
    let client = Client::new(&node);
    let subscribe = SubscribeRequest { after: "start".to_owned(), ..SubscribeRequest::default() };
    let mut request = client.login("platform-a", subscribe);
    request.metadata_mut().insert("grpc-timeout", "900m".parse().unwrap());
    let begun = Instant::now();
    let ended = client.runtime.block_on(async {
        let mut stream = client.ledger().subscribe(request).await.unwrap().into_inner();
        loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ended without a reason"),
                Err(ended) => break Refused::from(ended),
            }
        }
    });
    assert_eq!(ended.short(), (Code::DeadlineExceeded, "request.deadline"));
    assert!(begun.elapsed() >= Duration::from_millis(850), "{:?}", begun.elapsed());
}
