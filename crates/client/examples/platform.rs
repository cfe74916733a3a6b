//! A reimbursement platform and its rival, on a local consortium: verify, lock, lose a race, close, watch.
//!
//! ```sh
//! einvoice dev --ready-file ready.json &
//! cargo run -p client --example platform -- ready.json
//! ```

use std::error::Error;
use std::path::Path;

use client::messages::{ClaimStatus, SubscribeRequest, VerifyResult};
use client::{Client, Held, Key, Lock, Login, Mode, Node, Options, Purpose, Signer, Verifier};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The ready file of `einvoice dev`.
struct Ready(Value);

impl Ready {
    fn text(&self, pointer: &str) -> Result<&str> {
        self.0.pointer(pointer).and_then(Value::as_str).ok_or_else(|| format!("the ready file has no {pointer}").into())
    }

    fn key(&self, organisation: &str, name: &str, purpose: Purpose) -> Result<Key> {
        let path = self.text(&format!("/keys/{organisation}/{name}"))?;
        Ok(Key::from_json(&std::fs::read(path)?, purpose)?)
    }

    /// Connects an organisation to all nodes.
    async fn client(&self, organisation: &str) -> Result<Client> {
        let nodes = self.0["nodes"].as_array().ok_or("the ready file lists nodes")?.iter();
        let node = |node: &Value| Some(Node::new(node["grpc_url"].as_str()?, node["node_id"].as_str()?));
        let nodes = nodes.map(node).collect::<Option<Vec<_>>>().ok_or("every node has a gRPC door")?;
        let login = Login::Tokens(self.key(organisation, "login", Purpose::Login)?);
        Ok(Client::connect(Options::new(nodes, login)).await?)
    }

    fn signer(&self, organisation: &str) -> Result<Signer> {
        Ok(Signer::new(self.key(organisation, "statement", Purpose::Statement)?, self.text("/chain")?.parse()?))
    }
}

/// Plays it; gives what happened, a line each.
pub(crate) async fn play(ready: &Path) -> Result<Vec<String>> {
    let ready = Ready(serde_json::from_slice(&std::fs::read(ready)?)?);
    let verifier = Verifier::from_json(&std::fs::read(ready.text("/genesis")?)?)?;
    let invoice = issue(&ready).await?;
    let mut story = vec![format!("issued {invoice}")];

    let platform = ready.client("demo-platform-a").await?;
    let signer = ready.signer("demo-platform-a")?;
    let mut watched =
        platform.subscribe(SubscribeRequest { invoice: invoice.clone(), ..SubscribeRequest::default() }).await?;

    // What a scanner reads off the paper.
    let qr = ready.client("demo-buyer").await?.invoice(&invoice).await?.qr;
    let checked = platform.verify_qr(&qr).await?;
    if (checked.result(), checked.claim_status()) != (VerifyResult::Match, ClaimStatus::Open) {
        return Err(format!("it cannot be claimed: {checked:?}").into());
    }
    story.push("verified: genuine and open".to_owned());

    let lock = |claim: &str| Lock {
        invoice: invoice.clone(),
        enterprise: "demo-buyer".to_owned(),
        claim: claim.to_owned(),
        lease_seconds: Some(3_600),
    };
    // Signed apart from sending, it can be kept, sent again after a crash, and proved.
    let signed = platform.sign(&signer, &client::Event::Lock(lock("claim-a")))?;
    let locked = platform.decide(&signed).await?;
    let token = locked.lease().ok_or("a lock has a lease")?.token;
    story.push(format!("locked under token {token}"));
    for proof in platform.prove(&verifier, &signed, &locked).await? {
        story.push(format!("proved: leaf {} at height {}", proof.leaf_index, proof.leaf.height));
    }

    let rival = ready.client("demo-platform-b").await?;
    match rival.lock(&ready.signer("demo-platform-b")?, lock("claim-b")).await {
        Err(client::Error::Refused(refused)) if refused.code == "reimbursement.already-locked" => {
            story.push(format!("the rival is refused: {}", refused.holder().unwrap_or("nobody")));
        }
        other => return Err(format!("two platforms hold one invoice: {other:?}").into()),
    }

    let held = Held { invoice: invoice.clone(), claim: "claim-a".to_owned(), token };
    platform.close(&signer, held).await?;
    let claim = platform.claim(&invoice).await?;
    story.push(format!("closed: {}", claim.status().as_str_name()));

    for _ in ["the lock", "the rival's", "the close"] {
        let event = watched.next().await?;
        story.push(format!("seen: {} by {}", event.r#type, event.organisation));
    }
    Ok(story)
}

/// Somebody issues an invoice.
async fn issue(ready: &Ready) -> Result<String> {
    let mut document: Value = serde_json::from_str(invoice::samples::all()[0].json)?;
    let shop = ready.client("demo-shop").await?;
    let now_ms = (shop.options().clock)();
    document["reference"] = format!("PLATFORM-{now_ms}").into();
    let event = json!({"issue": {"document": document}}).to_string();
    let now_s = u64::try_from(now_ms / 1_000)?;
    let issued = shop.decide(&ready.signer("demo-shop")?.sign(None, Mode::All, &[event], now_s)?).await?;
    Ok(issued.outcomes.first().ok_or("an issue has an outcome")?.subject.clone())
}

#[tokio::main]
async fn main() -> Result<()> {
    let ready = std::env::args_os().nth(1).ok_or("usage: platform READY_FILE")?;
    #[expect(clippy::print_stdout, reason = "what an example has to say")]
    for line in play(Path::new(&ready)).await? {
        println!("{line}");
    }
    Ok(())
}
