//! `Subscribe`: the feed of events over gRPC.

use std::time::Duration;

use tonic::{Code, Streaming};
use wire::generated::event_outcome::Record;
use wire::generated::{SubscribeRequest, SubscribeResponse};

use super::client::{Client, Refused};
use crate::tests::node::Node;

/// The next message; a test fails and does not hang.
async fn next(stream: &mut Streaming<SubscribeResponse>) -> Result<SubscribeResponse, Refused> {
    let message = tokio::time::timeout(Duration::from_secs(60), stream.message()).await.expect("within a minute");
    message.map(|message| message.expect("a status ends it")).map_err(Refused::from)
}

fn from(after: &str) -> SubscribeRequest {
    SubscribeRequest { after: after.to_owned(), ..SubscribeRequest::default() }
}

#[test]
fn who_follows_gets_every_event_once_and_goes_on_behind_a_cursor() {
    let node = Node::start();
    let client = Client::new(&node);
    let invoice = node.issue("A1");
    let subscribe = |request: SubscribeRequest| {
        let request = client.login("platform-a", request);
        client.runtime.block_on(client.ledger().subscribe(request)).unwrap().into_inner()
    };
    let mut stream = subscribe(from("start"));
    let event = |stream: &mut Streaming<SubscribeResponse>| loop {
        let message = client.runtime.block_on(next(stream)).unwrap();
        if let Some(event) = message.event {
            return (message.cursor, event);
        }
    };
    let (issued, first) = event(&mut stream);
    assert_eq!((first.r#type.as_str(), first.organisation.as_str()), ("cn.einvoice.invoice.issued.v1", "shop"));
    client.lock("platform-a", &invoice, "7", "k").unwrap();
    let (_, second) = event(&mut stream);
    assert_eq!(second.r#type, "cn.einvoice.invoice.locked.v1");
    let outcome = second.outcome.clone().unwrap();
    assert_eq!((outcome.subject.as_str(), outcome.code.as_str()), (invoice.as_str(), "accepted"));
    assert!(matches!(outcome.record, Some(Record::Locked(lease)) if lease.token == 1));
    assert_eq!(event(&mut subscribe(from(&issued))).1, second, "behind the cursor");
    let kinds = SubscribeRequest { kinds: vec!["lock".to_owned(), "close".to_owned()], ..from("start") };
    assert_eq!(event(&mut subscribe(kinds)).1, second, "of these kinds");
    node.shutdown.cancel();
    let ended = client.runtime.block_on(async {
        loop {
            if let Err(ended) = next(&mut stream).await {
                return ended;
            }
        }
    });
    assert_eq!(ended.short(), (Code::Unavailable, "node.stopping"));
    node.closed();
}

#[test]
fn what_cannot_be_followed_is_refused_at_once() {
    let node = Node::start();
    let client = Client::new(&node);
    let refused = |request| client.run(client.ledger().subscribe(request)).map(|_| ()).unwrap_err();
    let login = |request| client.login("platform-a", request);
    assert_eq!(refused(tonic::Request::new(from("start"))).short(), (Code::Unauthenticated, "auth.missing"));
    assert_eq!(refused(login(from("x"))).short(), (Code::InvalidArgument, "events.cursor"));
    let kinds = SubscribeRequest { kinds: vec!["nonsense".to_owned()], ..from("") };
    assert_eq!(refused(login(kinds)).short(), (Code::InvalidArgument, "request.query"));
    let invoice = SubscribeRequest { invoice: "144032609110-00009999".to_owned(), ..from("") };
    assert_eq!(refused(login(invoice)).short(), (Code::NotFound, "invoice.unknown"));
    let organisation = SubscribeRequest { organisation: "shop".to_owned(), ..from("") };
    assert_eq!(refused(login(organisation)).short(), (Code::NotFound, "organisation.unknown"));
}
