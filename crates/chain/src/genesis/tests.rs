//! The genesis file: its bytes, its signatures, and every way to spoil it.

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::encoding::encode_base64url;
use crate::fixture;

fn file() -> String {
    String::from_utf8(fixture::genesis(&[1, 2]).to_bytes()).unwrap()
}

fn code(bytes: impl AsRef<[u8]>) -> &'static str {
    match Genesis::parse(bytes.as_ref()) {
        Ok(genesis) => genesis.verify_countersignatures().map_or_else(|error| error.code(), |()| "verified"),
        Err(error) => error.code(),
    }
}

/// The file with another body under the same signatures.
fn with_body(body: &str) -> String {
    let mut file: File = serde_json::from_str(&file()).unwrap();
    file.payload = encode_base64url(body.as_bytes());
    serde_json::to_string(&file).unwrap()
}

fn body() -> String {
    String::from_utf8(fixture::genesis(&[1, 2]).body_bytes().to_vec()).unwrap()
}

/// Changing these bytes, or how they are hashed or signed, forks the chain.
#[test]
fn body_hash_and_countersignature_input_are_fixed() {
    let genesis = fixture::genesis(&[1]);
    let keys = [fixture::consensus_key(1), fixture::governance_key(1), fixture::receipt_key(1)];
    let [consensus, governance, receipt] = keys.map(|key| key.public());
    let body = format!(
        concat!(
            r#"{{"version":1,"name":"demo","suite":1,"time_ms":1735689600000,"#,
            r#""validators":[{{"organisation":"agency-1","power":1,"#,
            r#""consensus":"{consensus}","governance":"{governance}","receipt":"{receipt}"}}],"#,
            r#""ledger":{{"organisations":[]}}}}"#
        ),
        consensus = consensus,
        governance = governance,
        receipt = receipt,
    );
    assert_eq!(String::from_utf8_lossy(genesis.body_bytes()), body);
    assert_eq!(genesis.hash(), Hash::of(body.as_bytes()));
    assert_eq!(genesis.hash().to_string(), "8860fa2adcfc3be707da5cd65807aefa6ad6bfe5e287ba7ca9d2daea634c2510");

    let protected = encode_base64url(br#"{"alg":"EdDSA","typ":"einvoice-genesis+jws","kid":"agency-1/governance-1"}"#);
    let input = format!("{protected}.{}", encode_base64url(body.as_bytes()));
    let signature = fixture::governance_key(1).sign(input.as_bytes());
    let file = format!(
        "{{\"payload\":\"{}\",\"signatures\":[{{\"protected\":\"{protected}\",\"signature\":\"{signature}\"}}]}}\n",
        encode_base64url(body.as_bytes())
    );
    assert_eq!(String::from_utf8(genesis.to_bytes()).unwrap(), file);
}

#[test]
fn a_genesis_survives_its_file() {
    let genesis = fixture::genesis(&[1, 2]);
    let again = Genesis::parse(&genesis.to_bytes()).unwrap();
    assert_eq!(again.to_bytes(), genesis.to_bytes());
    assert_eq!(again.hash(), genesis.hash());
    assert_eq!(again.verify_countersignatures(), Ok(()));
    assert_eq!(again.validator_set(), &fixture::validator_set(&[1, 2]));
    assert_eq!(again.ledger_json(), r#"{"organisations":[]}"#);
    assert_eq!(again.chain_id().to_string(), format!("demo@{}", genesis.hash()));
    assert_eq!(again.block_id().hash(), genesis.hash());
    assert_eq!(again.time_ms(), fixture::GENESIS_TIME_MS);
    // The last newline may be missing.
    assert_eq!(code(file().trim_end()), "verified");
}

#[test]
fn the_body_is_hashed_as_it_is_written() {
    let spaced = body().replace("\"ledger\":", "\"ledger\" : ");
    let genesis = Genesis::parse(with_body(&spaced).as_bytes()).unwrap();
    assert_eq!(genesis.hash(), Hash::of(spaced.as_bytes()));
    assert_eq!(genesis.ledger_json(), r#"{"organisations":[]}"#);
    assert_eq!(genesis.verify_countersignatures().unwrap_err().code(), "genesis.signature");
}

#[test]
fn a_genesis_is_passed_round_to_be_signed() {
    let mut genesis = Genesis::assemble(&fixture::genesis_body(&[1, 2])).unwrap();
    assert_eq!(genesis.verify_countersignatures().unwrap_err().code(), "genesis.missing-signature");
    // The second signs first; the file is the same in the end.
    fixture::countersign(&mut genesis, 2);
    let mut genesis = Genesis::parse(&genesis.to_bytes()).unwrap();
    assert_eq!(
        genesis.verify_countersignatures(),
        Err(GenesisError::Missing { organisations: vec![fixture::agency(1)] })
    );
    fixture::countersign(&mut genesis, 1);
    fixture::countersign(&mut genesis, 1);
    assert_eq!(genesis.verify_countersignatures(), Ok(()));
    assert_eq!(genesis.to_bytes(), fixture::genesis(&[1, 2]).to_bytes());
}

#[test]
fn copies_signed_apart_are_merged_in_any_order() {
    let blank = Genesis::assemble(&fixture::genesis_body(&[1, 2, 3])).unwrap();
    let copies = [1, 2, 3].map(|number| {
        let mut copy = blank.clone();
        fixture::countersign(&mut copy, number);
        copy
    });
    for order in [[0, 1, 2], [2, 1, 0], [1, 1, 0]] {
        let mut merged = blank.clone();
        for place in order {
            merged.merge(&copies[place]).unwrap();
        }
        let expected = if order.contains(&2) { Ok(()) } else { Err("genesis.missing-signature") };
        assert_eq!(merged.verify_countersignatures().map_err(|error| error.code()), expected);
        if expected.is_ok() {
            assert_eq!(merged.to_bytes(), fixture::genesis(&[1, 2, 3]).to_bytes());
        }
    }
    let mut merged = copies[0].clone();
    assert_eq!(merged.merge(&fixture::genesis(&[1, 2])).unwrap_err().code(), "genesis.other-body");
    let mut wrong = copies[1].clone();
    wrong.countersignatures[0].file.signature = copies[0].countersignatures[0].file.signature;
    assert_eq!(merged.merge(&wrong).unwrap_err().code(), "genesis.signature");
    assert_eq!(merged.to_bytes(), copies[0].to_bytes(), "what was refused changed nothing");
    let standing: Vec<_> = wrong.countersigned().map(|(_, standing)| standing).collect();
    assert_eq!(standing, [Countersigned::Missing, Countersigned::Wrong, Countersigned::Missing]);
}

#[test]
fn only_a_validators_governance_key_countersigns() {
    let mut genesis = Genesis::assemble(&fixture::genesis_body(&[1])).unwrap();
    let key_id = KeyId::new("g").unwrap();
    let mut code = |number, key| genesis.countersign(&fixture::agency(number), &key_id, &key).unwrap_err().code();
    assert_eq!(code(1, fixture::consensus_key(1)), "genesis.wrong-key");
    assert_eq!(code(2, fixture::governance_key(2)), "genesis.unknown-signer");
}

#[test]
fn countersignatures_are_each_validators_once_and_in_order() {
    let parsed: File = serde_json::from_str(&file()).unwrap();
    let code_of = |signatures: Vec<FileSignature>| {
        let file = File { payload: parsed.payload.clone(), signatures };
        code(serde_json::to_string(&file).unwrap())
    };
    let [first, second] = &parsed.signatures[..] else { panic!("two validators") };
    assert_eq!(code_of(vec![first.clone(), second.clone()]), "verified");
    assert_eq!(code_of(vec![second.clone(), first.clone()]), "genesis.not-sorted");
    assert_eq!(code_of(vec![first.clone(), first.clone(), second.clone()]), "genesis.not-sorted");
    assert_eq!(code_of(vec![first.clone()]), "genesis.missing-signature");
    assert_eq!(code_of(vec![]), "genesis.missing-signature");
    let swapped = FileSignature { signature: second.signature, ..first.clone() };
    assert_eq!(code_of(vec![swapped, second.clone()]), "genesis.signature");

    let header = |text: &str| {
        let stranger = FileSignature { protected: encode_base64url(text.as_bytes()), signature: first.signature };
        code_of(vec![stranger, second.clone()])
    };
    for (text, code) in [
        (r#"{"alg":"EdDSA","typ":"einvoice-genesis+jws","kid":"agency-0/g"}"#, "genesis.unknown-signer"),
        (r#"{"alg":"Ed25519","typ":"einvoice-genesis+jws","kid":"agency-1/g"}"#, "genesis.signature"),
        (r#"{"alg":"none","typ":"einvoice-genesis+jws","kid":"agency-1/g"}"#, "genesis.protected"),
        (r#"{"alg":"EdDSA","typ":"einvoice-statement+jws","kid":"agency-1/g"}"#, "genesis.protected"),
        (r#"{"alg":"EdDSA","typ":"einvoice-genesis+jws","kid":"agency-1"}"#, "genesis.protected"),
        (r#"{"alg":"EdDSA","typ":"einvoice-genesis+jws","kid":"agency-1/G"}"#, "genesis.protected"),
        (r#"{"alg":"EdDSA","typ":"einvoice-genesis+jws","kid":"agency-1/g","b64":true}"#, "genesis.protected"),
        (r#"{"alg":"EdDSA","alg":"EdDSA","typ":"einvoice-genesis+jws","kid":"agency-1/g"}"#, "genesis.protected"),
        ("not JSON", "genesis.protected"),
    ] {
        assert_eq!(header(text), code, "{text}");
    }
}

#[test]
fn a_body_that_breaks_a_rule_is_refused_with_its_reason() {
    let keys = [fixture::consensus_key(1), fixture::governance_key(2), fixture::receipt_key(2)];
    let [consensus, governance, receipt] = keys.map(|key| key.public().to_string());
    let small_order = encode_base64url(&[&[1][..], &[0; 31]].concat());
    for (from, to, code_expected) in [
        ("\"version\":1", "\"version\":2", "genesis.version"),
        ("\"version\":1", "\"version\":1,\"version\":1", "genesis.body"),
        ("\"version\":1", "\"version\":1,\"extra\":1", "genesis.body"),
        ("\"version\":1", "\"version\":1.0", "genesis.body"),
        ("\"suite\":1", "\"suite\":2", "genesis.body"),
        ("\"name\":\"demo\"", "\"name\":\"Demo\"", "genesis.body"),
        ("\"time_ms\":1", "\"time_ms\":-1", "genesis.time"),
        ("\"power\":1", "\"power\":0", "genesis.validators"),
        ("agency-2", "agency-1", "genesis.validators"),
        (&governance, &consensus, "genesis.key-twice"),
        (&receipt, &governance, "genesis.key-twice"),
        (&consensus, &small_order, "genesis.body"),
        ("\"organisations\":[]", "\"a\":1,\"a\":2", "genesis.body"),
    ] {
        let changed = body().replacen(from, to, 1);
        assert_ne!(changed, body(), "{from}");
        assert_eq!(code(with_body(&changed)), code_expected, "{from} -> {to}");
    }
    let mut body = fixture::genesis_body(&[1]);
    body.validators.clear();
    assert_eq!(Genesis::assemble(&body).unwrap_err().code(), "genesis.validators");
    body.ledger = RawValue::from_string("1.5".to_owned()).unwrap();
    assert_eq!(Genesis::assemble(&body).unwrap_err().code(), "genesis.body");
}

#[test]
fn a_file_in_a_second_spelling_is_refused() {
    let file = file();
    for second in [
        format!(" {file}"),
        format!("{file}\n"),
        file.replacen("\":\"", "\": \"", 1),
        file.replacen("\"payload\"", "\"p\\u0061yload\"", 1),
    ] {
        assert_eq!(code(second), "genesis.spelling");
    }
    assert_eq!(code(file.replacen("\"signatures\":[", "\"signatures\":[],\"x\":[", 1)), "genesis.file");
    assert_eq!(code(vec![b' '; GENESIS_BYTES_MAX + 1]), "genesis.too-large");
    assert_eq!(code(""), "genesis.file");
}

#[test]
fn a_changed_byte_anywhere_in_the_file_is_noticed() {
    let good = fixture::genesis(&[1]).to_bytes();
    for place in 0..good.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut bad = good.clone();
            bad[place] ^= flip;
            assert_ne!(code(&bad), "verified", "byte {place} ^ {flip:#x}");
        }
    }
    for length in 0..good.len() - 1 {
        assert_ne!(code(&good[..length]), "verified", "cut at {length}");
    }
}

proptest! {
    #![proptest_config(fixture::cases(64))]

    #[test]
    fn no_change_to_a_document_makes_the_reader_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bad = file().into_bytes();
        for (place, byte) in changes {
            let place = place.index(bad.len());
            bad[place] = byte;
        }
        let _ = Genesis::parse(&bad).map(|genesis| genesis.verify_countersignatures());
        bad.truncate(cut.index(bad.len()));
        let _ = Genesis::parse(&bad).map(|genesis| genesis.verify_countersignatures());
    }
}
