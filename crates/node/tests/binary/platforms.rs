//! Reimbursement platforms at the gRPC door of a node in a process of its own, by the client crate.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use client::messages::{ListInvoicesRequest, SubscribeRequest};
use client::{Client, Error, Event, Held, Key, Lock, Login, Mode, Node, Options, Purpose, Verifier};
use serde_json::{Value, json};
use tests::platform::{ClaimStatus, Platform, VerifyResult, signer};

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
    // Of another event than was signed.
    let unsent = client.sign(&signer, &Event::Lock(lock(&invoice, "other"))).unwrap();
    let refused = platform.run(client.prove(&verifier, &unsent, &locked)).unwrap_err();
    assert!(matches!(refused, Error::OtherReceipt { what: "event hash", .. }), "{refused:?}");
    // Of another leaf than the one in the answer.
    let mut lie = locked.clone();
    lie.outcomes[0].leaf_index = proofs[0].leaf_index - 1;
    let refused = platform.run(client.prove(&verifier, &signed, &lie)).unwrap_err();
    assert!(matches!(refused, Error::OtherReceipt { what: "leaf hash", .. }), "{refused:?}");
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
