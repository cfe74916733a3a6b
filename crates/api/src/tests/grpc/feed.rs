//! `Subscribe`: the feed of events over gRPC.

use std::time::Duration;

use tonic::transport::Channel;
use tonic::{Code, Streaming};
use wire::generated::event_outcome::Record;
use wire::generated::ledger_service_client::LedgerServiceClient;
use wire::generated::{SubscribeRequest, SubscribeResponse};

use super::client::{Client, Refused};
use crate::Options;
use crate::tests::events::{lives, many};
use crate::tests::follower::{Follower, leaves};
use crate::tests::node::{Node, Setup};

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

#[test]
fn filters_leave_out_what_they_leave_out_over_rest() {
    let node = Node::start();
    let client = Client::new(&node);
    let [one, two] = lives(&node);
    let all = || from("start");
    let cases = [
        ("platform-a", SubscribeRequest { invoice: one.clone(), ..all() }, format!("invoice={one}"), 6),
        ("buyer", SubscribeRequest { invoice: two.clone(), ..all() }, format!("invoice={two}"), 3),
        (
            "platform-b",
            SubscribeRequest { organisation: "buyer".to_owned(), kinds: vec!["lock".to_owned()], ..all() },
            "organisation=buyer&kind=lock".to_owned(),
            2,
        ),
        (
            "auditor",
            SubscribeRequest { organisation: "stranger".to_owned(), ..all() },
            "organisation=stranger".to_owned(),
            3,
        ),
    ];
    let mut open = Vec::new();
    for (who, request, query, count) in cases {
        let request = client.login(who, request);
        let mut stream = client.runtime.block_on(client.ledger().subscribe(request)).unwrap().into_inner();
        let over_rest = leaves(&Follower::start(&node, who, &format!("?after=start&{query}")).take(count));
        let mut seen = Vec::new();
        while seen.len() < count {
            let event = client.runtime.block_on(next(&mut stream)).unwrap().event;
            seen.extend(event.map(|event| event.outcome.unwrap().leaf_index));
        }
        assert_eq!(seen, over_rest, "{who} {query}");
        open.push(stream);
    }
    node.shutdown.cancel();
    for mut stream in open {
        let ended = loop {
            match client.runtime.block_on(next(&mut stream)) {
                Ok(message) => assert_eq!(message.event, None, "there was no more"),
                Err(ended) => break ended,
            }
        };
        assert_eq!(ended.short(), (Code::Unavailable, "node.stopping"));
    }
}

#[test]
fn a_cursor_that_does_not_fit_is_told_why() {
    let node = Node::start();
    let client = Client::new(&node);
    node.issue("A1");
    let cursor = Follower::start(&node, "shop", "?after=start").take(1)[0].id.clone();
    let refused = |after: &str| {
        let request = client.login("platform-a", from(after));
        client.run(client.ledger().subscribe(request)).map(|_| ()).unwrap_err()
    };
    let beyond = refused(&cursor.replace(".s1", ".s2"));
    assert_eq!(beyond.short(), (Code::Unavailable, "events.beyond-tip"));
    assert!(beyond.retry.is_some(), "it comes to it");
    let other = refused("0123456789abcdef.s1");
    assert_eq!((other.short(), other.retry), ((Code::InvalidArgument, "events.other-chain"), None));
    assert_eq!(refused(&cursor.replace(".s1", ".x1")).short(), (Code::InvalidArgument, "events.cursor"));
}

#[test]
fn a_deadline_ends_a_stream_and_leaves_a_cursor_to_go_on_from() {
    let node = Node::start();
    let client = Client::new(&node);
    let mut request = client.login("platform-a", from("start"));
    // By the header alone: the client itself keeps no time.
    request.metadata_mut().insert("grpc-timeout", "700m".parse().unwrap());
    node.issue("A1");
    let begun = std::time::Instant::now();
    let (cursor, seen, ended) = client.runtime.block_on(async {
        let mut stream = client.ledger().subscribe(request).await.unwrap().into_inner();
        let (mut cursor, mut seen) = (String::new(), 0);
        loop {
            match next(&mut stream).await {
                Ok(message) => (cursor, seen) = (message.cursor, seen + usize::from(message.event.is_some())),
                Err(ended) => return (cursor, seen, ended),
            }
        }
    });
    assert_eq!(ended.short(), (Code::DeadlineExceeded, "request.deadline"));
    assert!(ended.undecided.is_none(), "nothing was written");
    assert!(begun.elapsed() >= Duration::from_millis(600), "{:?}", begun.elapsed());
    assert_eq!(seen, 1);
    let second = node.issue("A2");
    let mut stream = client.runtime.block_on(client.ledger().subscribe(client.login("platform-a", from(&cursor))));
    let stream = stream.as_mut().unwrap().get_mut();
    let subject = client.runtime.block_on(async {
        loop {
            if let Some(event) = next(stream).await.unwrap().event {
                return event.outcome.unwrap().subject;
            }
        }
    });
    assert_eq!(subject, second);
    // It holds neither a place among those who follow nor one among the calls.
    let metrics = || crate::tests::client::send(node.address, "GET", "/metrics", &[], b"").text();
    assert!(metrics().contains("einvoice_api_subscriptions 1\n"), "{}", metrics());
}

#[test]
fn one_who_reads_too_slowly_over_grpc_is_sent_away_and_loses_nothing() {
    const ROUNDS: usize = 8;
    let options = Options { subscription_lag_events_max: 500, verifications_a_minute: 1_000, ..Options::default() };
    let node = Node::start_with(Setup { options, ..Setup::default() });
    let client = Client::new(&node);
    let slow = client.runtime.block_on(async {
        // It takes little beforehand.
        let endpoint = Channel::from_shared(format!("http://{}", node.grpc_address)).unwrap();
        let endpoint = endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
        LedgerServiceClient::new(endpoint.connect().await.unwrap())
    });
    let subscribe = |mut to: LedgerServiceClient<Channel>, after: &str| {
        let request = client.login("shop", from(after));
        client.runtime.block_on(async move { to.subscribe(request).await.unwrap().into_inner() })
    };
    let (mut late, mut quick) = (subscribe(slow, ""), subscribe(client.ledger(), ""));
    let leaf = |message: &SubscribeResponse| message.event.as_ref().map(|event| event.outcome.clone().unwrap().subject);
    for round in 0..ROUNDS {
        many(&node, &format!("round-{round}"), 1_000);
        let mut seen = 0;
        while seen < 1_000 {
            let message = client.runtime.block_on(next(&mut quick)).expect("nobody else is slowed");
            seen += usize::from(message.event.is_some());
        }
    }
    let (mut subjects, mut cursor) = (Vec::new(), String::new());
    let ended = loop {
        match client.runtime.block_on(next(&mut late)) {
            Ok(message) => {
                subjects.extend(leaf(&message));
                cursor = message.cursor;
            }
            Err(ended) => break ended,
        }
        assert!(subjects.len() < ROUNDS * 1_000, "what is kept for it on the way is less than all");
    };
    assert_eq!(ended.short(), (Code::Unavailable, "events.lagging"));
    let mut again = subscribe(client.ledger(), &cursor);
    while subjects.len() < ROUNDS * 1_000 {
        subjects.extend(leaf(&client.runtime.block_on(next(&mut again)).unwrap()));
    }
    let all: std::collections::BTreeSet<&String> = subjects.iter().collect();
    assert_eq!((all.len(), subjects.len()), (ROUNDS * 1_000, ROUNDS * 1_000), "each once");
}
