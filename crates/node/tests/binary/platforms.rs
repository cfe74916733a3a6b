//! Reimbursement platforms at the gRPC door of a node in a process of its own, by the client crate.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use client::messages::event_outcome::Record;
use client::messages::{ListClaimsRequest, ListInvoicesRequest, SubscribeRequest};
use client::{Client, Decided, Error, Event, Held, Key, Lock, Login, Mode, Node, Options, Purpose, Verifier};
use serde_json::{Value, json};
use tests::platform::{ClaimStatus, Platform, VerifyResult, services_by_older_reflection, signer};

use crate::support::{DevNode, issue, run};

#[expect(dead_code, reason = "its `main` is for those who run the example")]
#[path = "../../../client/examples/platform.rs"]
mod example;

impl DevNode {
    fn nodes(&self) -> Vec<Node> {
        vec![Node::new(self.text("/grpc_url"), self.text("/node_id"))]
    }

    fn platform(&self, organisation: &str) -> Platform {
        Platform::connect(self.nodes(), self.text(&format!("/keys/{organisation}/login")))
    }

    fn signer(&self, organisation: &str) -> client::Signer {
        signer(self.text(&format!("/keys/{organisation}/statement")), self.text("/chain"))
    }

    /// Issues an invoice by the client; gives its id.
    fn issued(&self, reference: &str) -> String {
        let shop = self.platform("demo-shop");
        let now_s = u64::try_from((shop.client.options().clock)() / 1_000).expect("after 1970");
        let events = [issue(reference).to_string()];
        let signed = self.signer("demo-shop").sign(None, Mode::Each, &events, now_s).expect("events of a few bytes");
        shop.decide(&signed).expect("an invoice is issued").outcomes[0].subject.clone()
    }

    fn verifier(&self) -> Verifier {
        Verifier::from_json(&std::fs::read(self.text("/genesis")).expect("the genesis is there")).expect("a genesis")
    }
}

fn lock(invoice: &str, claim: &str) -> Lock {
    let (invoice, enterprise) = (invoice.to_owned(), "demo-buyer".to_owned());
    Lock { invoice, enterprise, claim: claim.to_owned(), lease_seconds: None }
}

#[test]
fn two_platforms_race_for_an_invoice_over_grpc_and_one_wins() {
    let directory = tempfile::tempdir().unwrap();
    let node = DevNode::start(&directory.path().join("dev"));
    let invoice = node.issued("GRPC-1");
    let names = ["demo-platform-a", "demo-platform-b"];
    let platforms = names.map(|who| node.platform(who));
    let (_, seen) = node.get(&format!("/v1/invoices/{invoice}"), Some("demo-buyer"));
    let seen: Value = serde_json::from_slice(&seen).unwrap();
    let verified = platforms[0].verify(seen["qr"].as_str().unwrap()).unwrap();
    assert_eq!((verified.result(), verified.claim_status()), (VerifyResult::Match, ClaimStatus::Open));
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let both = names.iter().zip(&platforms);
        let race = |(who, platform): (&&str, &'_ Platform)| {
            let signed = platform.client.sign(&node.signer(who), &Event::Lock(lock(&invoice, "c"))).unwrap();
            platform.decide(&signed)
        };
        let locks: Vec<_> = both.map(|both| scope.spawn(move || race(both))).collect();
        locks.into_iter().map(|lock| lock.join().unwrap()).collect()
    });
    let winner = outcomes.iter().position(Result::is_ok).expect("one of them wins");
    let locked = outcomes[winner].as_ref().unwrap();
    let Err(Error::Refused(refused)) = &outcomes[1 - winner] else { panic!("the other one loses: {outcomes:?}") };
    assert_eq!(refused.code, "reimbursement.already-locked");
    assert!(refused.is_on_the_ledger());
    assert_eq!(refused.holder(), Some(names[winner]));
    let lease = locked.lease().unwrap();
    assert_eq!((refused.since_ms(), refused.until_ms()), (Some(locked.time_ms), Some(lease.until_ms)));
    assert_eq!(refused.leaf_hash().map(|hash| hash.to_string()), Some(locked.outcomes[0].leaf_hash.clone()));
    let claim = platforms[winner].claim(&invoice).unwrap();
    assert_eq!((claim.status(), claim.platform.as_str()), (ClaimStatus::Locked, names[winner]));
    assert_eq!((claim.claim.as_str(), claim.token, lease.token), ("c", 1, 1));
    assert_eq!(node.stop().code(), Some(0), "open connections do not keep it");
}

#[test]
fn the_example_of_a_platform_tells_its_story() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("dev");
    let node = DevNode::start(&data);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let story = runtime.block_on(Box::pin(example::play(&data.with_extension("ready.json")))).unwrap();
    let ends = |line: usize, expected: &str| assert!(story[line].ends_with(expected), "{expected:?} in {story:#?}");
    ends(1, "genuine and open");
    ends(2, "locked under token 1");
    ends(4, "the rival is refused: demo-platform-a");
    ends(5, "CLAIM_STATUS_CLOSED");
    ends(6, "cn.einvoice.invoice.locked.v1 by demo-platform-a");
    ends(8, "cn.einvoice.invoice.closed.v1 by demo-platform-a");
    assert_eq!(node.stop().code(), Some(0));
}

#[test]
fn a_token_that_has_expired_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let node = DevNode::start(&directory.path().join("dev"));
    let invoice = node.issued("GRPC-2");
    let key = std::fs::read(node.text("/keys/demo-buyer/login")).unwrap();
    let login = Login::Tokens(Key::from_json(&key, Purpose::Login).unwrap());
    let mut options = Options::new(node.nodes(), login);
    let machine = Arc::clone(&options.clock);
    // How far the client's clock is ahead; once it is told to, it notices only when it is looked at again.
    let (ahead, late) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    let (clock, noticed) = (Arc::clone(&ahead), Arc::clone(&late));
    options.clock = Arc::new(move || {
        let now_ms = machine() + clock.load(Ordering::SeqCst);
        clock.fetch_add(noticed.swap(0, Ordering::SeqCst), Ordering::SeqCst);
        now_ms
    });
    let buyer = Platform::connect_with(options);
    let status = || buyer.claim(&invoice).map(|claim| claim.status());
    assert_eq!(status().unwrap(), ClaimStatus::Open);
    let hours_ms = 2 * 3_600_000;
    let advance = || {
        let url = format!("{}/v1/dev/clock", node.url());
        ureq::post(url).send_json(json!({"advance_ms": hours_ms})).unwrap();
    };
    // Both clocks go on: the client sees by itself that its token is old.
    advance();
    ahead.fetch_add(hours_ms, Ordering::SeqCst);
    assert_eq!(status().unwrap(), ClaimStatus::Open);
    // The node's goes on first: the token looks good to the client, the node refuses it, the next one is good.
    advance();
    late.store(hours_ms, Ordering::SeqCst);
    assert_eq!(status().unwrap(), ClaimStatus::Open);
    // A clock that stays behind is nothing that new tokens help against.
    advance();
    let refused = status().unwrap_err();
    assert_eq!(refused.code(), Some("login.expired"), "{refused}");
    assert_eq!(node.stop().code(), Some(0));
}

#[test]
fn what_became_of_a_statement_is_told_when_it_has_expired_since() {
    let directory = tempfile::tempdir().unwrap();
    let node = DevNode::start(&directory.path().join("dev"));
    let invoice = node.issued("GRPC-4");
    let ahead = Arc::new(AtomicI64::new(0));
    let platform = |who: &str| {
        let key = std::fs::read(node.text(&format!("/keys/{who}/login"))).unwrap();
        let login = Login::Tokens(Key::from_json(&key, Purpose::Login).unwrap());
        let mut options = Options::new(node.nodes(), login);
        let (machine, clock) = (Arc::clone(&options.clock), Arc::clone(&ahead));
        options.clock = Arc::new(move || machine() + clock.load(Ordering::SeqCst));
        Platform::connect_with(options)
    };
    let names = ["demo-platform-a", "demo-platform-b"];
    let [winner, loser] = names.map(platform);
    let sign = |platform: &Platform, who: &str| {
        let signer = node.signer(who).with_lifetime_s(600);
        platform.client.sign(&signer, &Event::Lock(lock(&invoice, "c"))).unwrap()
    };
    let [won, lost] = [sign(&winner, names[0]), sign(&loser, names[1])];
    let unsent = sign(&loser, names[1]);
    let locked = winner.decide(&won).unwrap();
    let refused = loser.decide(&lost).unwrap_err();
    let url = format!("{}/v1/dev/clock", node.url());
    ureq::post(url).send_json(json!({"advance_ms": 3_600_000})).unwrap();
    ahead.fetch_add(3_600_000, Ordering::SeqCst);

    let again = winner.decide(&won).unwrap();
    assert_eq!((again.outcomes, again.height, again.fresh), (locked.outcomes.clone(), locked.height, false));
    let refused_again = loser.decide(&lost).unwrap_err();
    assert_eq!(refused_again.code(), Some("reimbursement.already-locked"));
    let [holder, other] = [&refused, &refused_again].map(|error| error.refused().unwrap().standing().cloned());
    assert_eq!(holder, other);
    assert_eq!(loser.decide(&unsent).unwrap_err().code(), Some("statement.expired"));
    // It is its author's business, and of those who see everything.
    let ask = |platform: &Platform| platform.run(platform.client.statement(won.id()));
    assert_eq!(ask(&winner).unwrap().unwrap().outcomes, locked.outcomes);
    assert_eq!(ask(&platform("demo-auditor")).unwrap().unwrap().statement, won.id());
    assert_eq!(ask(&loser).unwrap_err().code(), Some("statement.unknown"));
    assert_eq!(node.stop().code(), Some(0));
}

#[test]
fn a_receipt_that_does_not_prove_what_was_asked_for_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let node = DevNode::start(&directory.path().join("dev"));
    let (invoice, verifier) = (node.issued("GRPC-3"), node.verifier());
    let platform = node.platform("demo-platform-a");
    let (client, signer) = (&platform.client, node.signer("demo-platform-a"));
    let signed = client.sign(&signer, &Event::Lock(lock(&invoice, "c"))).unwrap();
    let locked = platform.decide(&signed).unwrap();
    let proofs = platform.run(client.prove(&verifier, &signed, &locked)).unwrap();
    assert_eq!(proofs[0].leaf.subject, invoice);
    assert_eq!(platform.decide(&signed).unwrap().outcomes, locked.outcomes, "it is one lock, however often it is sent");

    // Of another chain.
    let other = directory.path().join("other");
    run(["init".as_ref(), other.as_os_str(), "--chain".as_ref(), "other".as_ref()]).ended(0);
    let stranger = Verifier::from_json(&std::fs::read(other.join("genesis.json")).unwrap()).unwrap();
    let refused = platform.run(client.prove(&stranger, &signed, &locked)).unwrap_err();
    assert!(matches!(refused, Error::Receipt(_)), "{refused:?}");
    // Of another statement, though it has the very same event: a rival's, which was refused.
    let rival = node.platform("demo-platform-b");
    let lost = rival.client.sign(&node.signer("demo-platform-b"), &Event::Lock(lock(&invoice, "c"))).unwrap();
    rival.decide(&lost).unwrap_err();
    let refused = rival.run(rival.client.prove(&verifier, &lost, &locked)).unwrap_err();
    assert!(matches!(refused, Error::Answer { what: "statement", .. }), "{refused:?}");
    // Of another leaf than the one in the answer.
    let lies = |lie: &dyn Fn(&mut Decided), expected: &str| {
        let mut told = locked.clone();
        lie(&mut told);
        match platform.run(client.prove(&verifier, &signed, &told)) {
            Err(Error::OtherReceipt { what, .. } | Error::Answer { what, .. }) => assert_eq!(what, expected),
            other => panic!("it told a lie about its {expected}: {other:?}"),
        }
    };
    lies(&|told| told.outcomes[0].leaf_index -= 1, "leaf hash");
    // With what the leaf does not say: a token that is another's, or a lease that is over sooner.
    let lease = |told: &mut Decided, change: fn(&mut client::messages::LeaseRecord)| match &mut told.outcomes[0].record
    {
        Some(Record::Locked(lease)) => change(lease),
        other => panic!("a lock has a lease: {other:?}"),
    };
    lies(&|told| lease(told, |lease| lease.token += 1), "record");
    lies(&|told| lease(told, |lease| lease.until_ms += 1), "record");
    lies(&|told| told.outcomes[0].record = None, "record");
    lies(&|told| told.outcomes[0].subject = "other".to_owned(), "subject");
    lies(&|told| told.outcomes[0].kind = "close".to_owned(), "kind");
    lies(&|told| told.height += 1, "height");
    lies(&|told| told.time_ms += 1, "time");
    // Of fewer events, or one of them twice.
    lies(&|told| told.outcomes.clear(), "number of outcomes");
    lies(&|told| told.outcomes.push(told.outcomes[0].clone()), "number of outcomes");
    let two = ["d", "e"].map(|claim| lock(&node.issued(&format!("GRPC-3{claim}")), claim));
    let both = client.sign_locks(&signer, two.into()).unwrap();
    let mut locked = platform.decide(&both).unwrap();
    assert_eq!(platform.run(client.prove(&verifier, &both, &locked)).unwrap().len(), 2);
    locked.outcomes[1] = locked.outcomes[0].clone();
    let refused = platform.run(client.prove(&verifier, &both, &locked)).unwrap_err();
    assert!(matches!(refused, Error::Answer { what: "event_index", .. }), "{refused:?}");
    // What was decided before is proved with its first answer.
    let held = Held { invoice: invoice.clone(), claim: "c".to_owned(), token: 1 };
    platform.run(client.close(&signer, held.clone())).unwrap();
    let again = client.sign(&signer, &Event::Close(held)).unwrap();
    let mut repeated = platform.decide(&again).unwrap();
    assert_eq!(repeated.outcomes[0].code, "repeated");
    platform.run(client.prove(&verifier, &again, &repeated)).unwrap();
    repeated.outcomes[0].original.as_mut().unwrap().leaf_index -= 1;
    let refused = platform.run(client.prove(&verifier, &again, &repeated)).unwrap_err();
    assert!(matches!(refused, Error::OtherReceipt { what: "original", .. }), "{refused:?}");
    // Changed on the way.
    let path = format!("/v1/invoices/{invoice}/receipt");
    let (status, receipt) = node.get(&path, Some("demo-buyer"));
    assert_eq!(status, 200);
    verifier.check(&receipt).unwrap();
    let changed = String::from_utf8(receipt).unwrap().replace(&invoice, &invoice.replace('0', "1"));
    assert!(matches!(verifier.check(changed.as_bytes()), Err(Error::Receipt(_))));
    assert_eq!(node.stop().code(), Some(0));
}

#[test]
fn lists_come_page_by_page_and_who_follows_misses_nothing_when_the_login_ends() {
    let directory = tempfile::tempdir().unwrap();
    let node = DevNode::start(&directory.path().join("dev"));
    let mut issued: Vec<String> = (0..5).map(|number| node.issued(&format!("LIST-{number}"))).collect();
    let shop = node.platform("demo-shop");
    let listed = shop.run(async {
        let mut pages = shop.client.invoices(ListInvoicesRequest { page_size: 2, ..ListInvoicesRequest::default() });
        let mut rows = Vec::new();
        while let Some(page) = pages.next().await? {
            assert!(page.len() <= 2);
            rows.extend(page.into_iter().map(|invoice| invoice.id));
        }
        Ok::<_, Error>(rows)
    });
    issued.reverse();
    assert_eq!(listed.unwrap(), issued);
    issued.reverse();

    let key = std::fs::read(node.text("/keys/demo-shop/login")).unwrap();
    let login = Login::Tokens(Key::from_json(&key, Purpose::Login).unwrap());
    // Its tokens, and with them its streams, end every second or two.
    let follower = Platform::connect_with(Options { token_lifetime_s: 2, ..Options::new(node.nodes(), login) });
    let mut subscription = follower.run(follower.client.subscribe(SubscribeRequest::default())).unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
    let mut expected = Vec::new();
    while std::time::Instant::now() < until {
        let invoice = node.issued(&format!("FOLLOWED-{}", expected.len()));
        let event = follower.run(subscription.next()).unwrap();
        assert_eq!(event.outcome.unwrap().subject, invoice);
        expected.push(invoice);
    }
    let start = SubscribeRequest { after: "start".to_owned(), ..SubscribeRequest::default() };
    let again: Vec<String> = follower.run(async {
        let mut all = follower.client.subscribe(start).await.unwrap();
        let mut subjects = Vec::new();
        while subjects.len() < issued.len() + expected.len() {
            subjects.push(all.next().await.unwrap().outcome.unwrap().subject);
        }
        assert_eq!(all.cursor(), subscription.cursor());
        subjects
    });
    assert_eq!(again, [issued, expected].concat());
    assert_eq!(node.stop().code(), Some(0));
}

#[test]
fn a_platform_that_lost_what_it_knew_finds_its_claims_and_their_tokens() {
    let directory = tempfile::tempdir().unwrap();
    let node = DevNode::start(&directory.path().join("dev"));
    let invoices: Vec<String> = (0..5).map(|number| node.issued(&format!("LOST-{number}"))).collect();
    let signer = node.signer("demo-platform-a");
    let before = node.platform("demo-platform-a");
    for invoice in &invoices[..4] {
        before.run(before.client.lock(&signer, lock(invoice, &format!("claim-{invoice}")))).unwrap();
    }
    before
        .run(
            before.client.close(
                &signer,
                Held { invoice: invoices[0].clone(), claim: format!("claim-{}", invoices[0]), token: 1 },
            ),
        )
        .unwrap();
    drop(before);

    let platform = node.platform("demo-platform-a");
    let listed = |status: ClaimStatus| {
        let request = ListClaimsRequest { page_size: 2, status: status.into(), ..ListClaimsRequest::default() };
        platform.run(async {
            let (mut pages, mut claims) = (platform.client.claims(request), Vec::new());
            while let Some(page) = pages.next().await.unwrap() {
                assert!(page.len() <= 2);
                claims.extend(page);
            }
            claims
        })
    };
    let held = listed(ClaimStatus::Locked);
    let expected: Vec<&String> = invoices[1..4].iter().rev().collect();
    assert_eq!(held.iter().map(|claim| &claim.invoice).collect::<Vec<_>>(), expected);
    assert_eq!(listed(ClaimStatus::Unspecified).len(), 4);
    for claim in held {
        assert_eq!(claim.claim, format!("claim-{}", claim.invoice));
        let held = Held { invoice: claim.invoice, claim: claim.claim, token: claim.token };
        platform.run(platform.client.close(&signer, held)).unwrap();
    }
    assert_eq!(listed(ClaimStatus::Locked), []);
    assert_eq!(listed(ClaimStatus::Closed).len(), 4);
    assert_eq!(node.stop().code(), Some(0));
}

#[test]
fn older_tools_find_the_services_too() {
    let directory = tempfile::tempdir().unwrap();
    let node = DevNode::start(&directory.path().join("dev"));
    let services = services_by_older_reflection(node.text("/grpc_url"));
    for name in ["einvoice.v1.LedgerService", "einvoice.v1.ReimbursementService", "grpc.health.v1.Health"] {
        assert!(services.iter().any(|known| known == name), "{services:?}");
    }
    assert!(!services.iter().any(|name| name.contains("Peer")), "{services:?}");
    assert_eq!(node.stop().code(), Some(0));
}

#[test]
fn what_cannot_be_is_told_before_anything_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let node = DevNode::start(&directory.path().join("dev"));
    let key = std::fs::read(node.text("/keys/demo-buyer/login")).unwrap();
    assert!(Key::from_json(&key, Purpose::Statement).is_err());
    let options = |url: &str| {
        let login = Login::Tokens(Key::from_json(&key, Purpose::Login).unwrap());
        Options::new(vec![Node::new(url, "n")], login)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let refused = |options| runtime.block_on(Client::connect(options)).unwrap_err();
    let wrong = refused(options("http://ledger.example:9090"));
    assert!(matches!(wrong, Error::Option { what: "the URL of a node", .. }), "{wrong:?}");
    let unreachable = refused(options("http://127.0.0.1:1"));
    assert!(matches!(unreachable, Error::Unavailable { attempts: 1, .. }), "{unreachable:?}");
    let buyer = node.platform("demo-buyer");
    let unlocked =
        buyer.run(buyer.client.close(
            &node.signer("demo-buyer"),
            Held { invoice: "nonsense".to_owned(), claim: "c".to_owned(), token: 1 },
        ));
    let Err(Error::Refused(refused)) = unlocked else { panic!("{unlocked:?}") };
    assert!(!refused.is_on_the_ledger() && !refused.code.is_empty() && !refused.request_id.is_empty(), "{refused:?}");
    assert_eq!(node.stop().code(), Some(0));
}
