//! Checks of invoices over gRPC: how many guesses one organisation has.

use serde_json::json;
use tonic::Code;
use wire::generated::{
    BatchVerifyRequest, InvoiceDetails, VerifyRequest, VerifyResult, batch_verify_answer, verify_request,
};

use super::client::{Client, Refused};
use crate::Options;
use crate::tests::node::{Node, Setup};

/// A check of an invoice by its number.
fn check(number: &str, amount: &str) -> VerifyRequest {
    let details = InvoiceDetails {
        code: "144032609110".to_owned(),
        number: number.to_owned(),
        date: "2026-11-15".to_owned(),
        amount: amount.to_owned(),
        ..InvoiceDetails::default()
    };
    VerifyRequest { by: Some(verify_request::By::Details(details)) }
}

#[test]
fn who_guesses_too_often_is_told_so_and_closes_no_invoice_to_others() {
    let options =
        Options { mismatches_an_organisation_and_day: 6, verifications_a_minute: 1_000, ..Options::default() };
    let node = Node::start_with(Setup { options, ..Setup::default() });
    let (client, invoice) = (Client::new(&node), node.issue("A1"));
    let (_, number) = invoice.split_once('-').unwrap();
    let verify = |who: &str, check: VerifyRequest| -> Result<VerifyResult, Refused> {
        client.run(client.platforms().verify(client.login(who, check))).map(|response| response.result())
    };
    // Numbers that nobody issued, and one that does not count because it is right.
    let guesses =
        (0..8).map(|guess| if guess == 3 { check(number, "106.00") } else { check(&invented(guess), "1.00") });
    let batch = BatchVerifyRequest { requests: guesses.collect() };
    let answers = client.run(client.platforms().batch_verify(client.login("platform-a", batch))).unwrap().answers;
    let told: Vec<String> = answers
        .into_iter()
        .map(|answer| match answer.answer.unwrap() {
            batch_verify_answer::Answer::Response(response) => response.result().as_str_name().to_owned(),
            batch_verify_answer::Answer::Problem(problem) => problem.code,
        })
        .collect();
    let (wrong, right) = ("VERIFY_RESULT_MISMATCH", "VERIFY_RESULT_MATCH");
    assert_eq!(told[..7], [wrong, wrong, wrong, right, wrong, wrong, wrong]);
    assert_eq!(told[7], "verification.organisation-mismatches");

    let refused = verify("platform-a", check(number, "106.00")).unwrap_err();
    assert_eq!(refused.short(), (Code::ResourceExhausted, "verification.organisation-mismatches"));
    // Midnight in Shenzhen is twelve hours off.
    assert_eq!(refused.retry.map(|retry| retry.as_secs()), Some(43_200));
    let qr = node.get("buyer", &format!("/v1/invoices/{invoice}")).json()["qr"].as_str().unwrap().to_owned();
    let qr = VerifyRequest { by: Some(verify_request::By::Qr(qr)) };
    assert_eq!(verify("platform-a", qr).unwrap(), VerifyResult::Match, "with the leaf hash nothing is guessed");

    for _ in 0..5 {
        verify("platform-a", check(&invented(99), "1.00")).unwrap_err();
    }
    assert_eq!(verify("platform-b", check(&invented(99), "1.00")).unwrap(), VerifyResult::Mismatch);
    assert_eq!(verify("platform-b", check(number, "106.00")).unwrap(), VerifyResult::Match);
    let public = json!({"code": "144032609110", "number": number, "date": "2026-11-15", "amount": "106.00"});
    assert_eq!(node.post("/v1/verifications", &public).json()["result"], "match");
}

/// A number that no invoice has.
fn invented(number: u32) -> String {
    format!("{:08}", 90_000_000 + number)
}
