//! Bytes, rules and limits of blocks.

use proptest::prelude::*;

use super::*;
use crate::fixture;
use crate::hash::StatementId;

/// A header in which no two fields look alike.
fn header() -> Header {
    let hash = |name: &str| Hash::of(name.as_bytes());
    let mut header = fixture::first_header(&fixture::genesis(&[1]));
    header.height = 7;
    header.parent = hash("parent").into();
    header.time_ms = 0x0102_0304_0506_0708;
    header.statements_root = hash("statements");
    header.statement_count = 0x1112_1314;
    header.log_root = hash("log");
    header.log_size = 0x2122_2324_2526_2728;
    header.writes_hash = hash("writes");
    header.state_checkpoint = StateCheckpoint { height: 0x3132, root: hash("state") };
    header.validators_hash = hash("validators");
    header.next_validators_hash = hash("next validators");
    header
}

fn outcome(code: &str) -> Outcome {
    Outcome { code: code.to_owned(), subject: "subject-1".to_owned(), record: b"record".to_vec() }
}

fn leaf() -> Leaf {
    let statement = StatementId::from(Hash::of(b"statement"));
    Leaf::new(statement, 3, Hash::of(b"event"), &outcome("accepted"), 7)
}

/// A body with two statements, that agrees with itself.
fn body() -> Body {
    let statements = vec![b"first".to_vec(), b"the second".to_vec()];
    let mut header = fixture::first_header(&fixture::genesis(&[1]));
    header.statement_count = 2;
    header.statements_root = statements_root(&statements);
    let outcomes = vec![vec![outcome("accepted"), outcome("custody.not-the-holder")], vec![outcome("repeated")]];
    Body { block: Block { header, statements, next_validators: None }, outcomes }
}

/// The body above, with another validator set from the next height on.
fn changing_body() -> Body {
    let mut body = body();
    let set = fixture::validator_set(&[1, 1]);
    body.block.header.next_validators_hash = set.hash();
    body.block.next_validators = Some(set);
    body
}

/// Changing these bytes forks the chain.
#[test]
fn the_bytes_and_the_id_of_a_header_are_fixed() {
    let header = header();
    let hex_of = |name: &str| Hash::of(name.as_bytes()).to_string();
    let expected = [
        hex::encode("chain/header/v1"),
        "0100".to_owned(),
        "0100".to_owned(),
        "0400000064656d6f".to_owned(),
        header.chain.genesis().to_string(),
        "0700000000000000".to_owned(),
        hex_of("parent"),
        "0807060504030201".to_owned(),
        "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c".to_owned(),
        hex_of("statements"),
        "14131211".to_owned(),
        hex_of("log"),
        "2827262524232221".to_owned(),
        hex_of("writes"),
        "3231000000000000".to_owned(),
        hex_of("state"),
        hex_of("validators"),
        hex_of("next validators"),
    ];
    assert_eq!(hex::encode(header.encode()), expected.concat());
    assert_eq!(header.id().to_string(), "a06e300ab99f6f5409664d5a11653a9e442e14af4c006b00550086745a4b234f");
}

/// Changing these bytes forks the chain.
#[test]
fn the_bytes_and_the_hash_of_a_leaf_are_fixed() {
    let expected = [
        hex::encode("chain/leaf/v1"),
        Hash::of(b"statement").to_string(),
        "03000000".to_owned(),
        Hash::of(b"event").to_string(),
        "08000000".to_owned() + &hex::encode("accepted"),
        "09000000".to_owned() + &hex::encode("subject-1"),
        "0700000000000000".to_owned(),
        Hash::of(b"record").to_string(),
    ];
    assert_eq!(hex::encode(leaf().encode()), expected.concat());
    assert_eq!(leaf().hash().to_string(), "d677d7b2eb794bcded3b56c7dbce2f8d363eaabacb0085f50e874361746ff70b");
}

/// Changing this root forks the chain.
#[test]
fn the_statements_root_is_the_tree_over_whole_statements() {
    let (a, b, c) = (merkle::leaf_hash(b"a"), merkle::leaf_hash(b"b"), merkle::leaf_hash(b"c"));
    assert_eq!(statements_root::<&[u8]>(&[]), Hash::EMPTY);
    assert_eq!(statements_root(&["a"]), a);
    assert_eq!(statements_root(&["a", "b", "c"]), merkle::node_hash(&merkle::node_hash(&a, &b), &c));
}

/// Changing these bytes makes stored and archived bodies unreadable.
#[test]
fn the_bytes_of_a_body_and_a_committed_block_are_fixed() {
    let body = changing_body();
    let header = hex::encode(borsh::to_vec(body.header()).unwrap());
    let set = hex::encode(borsh::to_vec(body.block.next_validators.as_ref().unwrap()).unwrap());
    let rest = concat!("09000000", "7375626a6563742d31", "06000000", "7265636f7264");
    let expected = [
        &hex::encode("chain/body/v1"),
        &header,
        "02000000",
        "05000000",
        &hex::encode("first"),
        "0a000000",
        &hex::encode("the second"),
        "01",
        &set,
        "02000000",
        "02000000",
        "08000000",
        &hex::encode("accepted"),
        rest,
        "16000000",
        &hex::encode("custody.not-the-holder"),
        rest,
        "01000000",
        "08000000",
        &hex::encode("repeated"),
        rest,
    ];
    assert_eq!(hex::encode(body.encode()), expected.concat());

    let block = &expected[1..9];
    assert_eq!(hex::encode(body.block.encode()), hex::encode("chain/block/v1") + &block.concat());

    let certificate = fixture::certify(body.header(), [1]);
    let bytes = |length: usize| hex::encode(u32::try_from(length).unwrap().to_le_bytes());
    let (body_bytes, certificate_bytes) = (body.encode(), certificate.encode());
    let committed = CommittedBlock { body, certificate };
    assert_eq!(
        hex::encode(committed.encode()),
        [
            bytes(body_bytes.len()),
            hex::encode(body_bytes),
            bytes(certificate_bytes.len()),
            hex::encode(certificate_bytes)
        ]
        .concat()
    );
}

#[test]
fn every_encoding_gives_the_value_back_and_is_exact() {
    let body = changing_body();
    let committed = CommittedBlock { certificate: fixture::certify(body.header(), [1]), body: body.clone() };
    assert_eq!(Header::decode(&header().encode()).unwrap(), header());
    assert_eq!(Leaf::decode(&leaf().encode()).unwrap(), leaf());
    assert_eq!(Block::decode(&body.block.encode()).unwrap(), body.block);
    assert_eq!(Body::decode(&body.encode()).unwrap(), body);
    assert_eq!(CommittedBlock::decode(&committed.encode()).unwrap(), committed);

    let bytes = committed.encode();
    for length in 0..bytes.len() {
        assert!(CommittedBlock::decode(&bytes[..length]).is_err());
    }
    assert!(Header::decode(&[&header().encode()[..], &[0]].concat()).is_err());
    assert!(Leaf::decode(&[&leaf().encode()[..], &[0]].concat()).is_err());
    assert!(Body::decode(&[&body.encode()[..], &[0]].concat()).is_err());
    // Bytes of one kind are never read as another.
    assert!(Block::decode(&body.encode()).is_err());
    assert!(Leaf::decode(&header().encode()).is_err());
}

#[test]
fn the_header_of_a_body_is_read_from_its_first_bytes() {
    let body = body();
    let bytes = body.encode();
    let end = body.header().encode().len() - HEADER_TAG.len() + b"chain/body/v1".len();
    assert_eq!(&Body::decode_header(&bytes).unwrap(), body.header());
    assert_eq!(&Body::decode_header(&bytes[..end]).unwrap(), body.header());
    assert!(Body::decode_header(&bytes[..end - 1]).is_err());
    assert!(Body::decode_header(&body.block.encode()).is_err());
}

#[test]
fn the_longest_header_and_the_longest_leaf_fit() {
    let mut header = header();
    let name = crate::identity::ChainName::new("x".repeat(63)).unwrap();
    header.chain = ChainId::new(name, Hash::EMPTY);
    assert!(header.encode().len() <= HEADER_BYTES_MAX);
    let mut leaf = leaf();
    leaf.code = "x".repeat(OUTCOME_CODE_BYTES_MAX);
    leaf.subject = "x".repeat(OUTCOME_SUBJECT_BYTES_MAX);
    assert!(leaf.encode().len() <= LEAF_BYTES_MAX);
}

#[test]
fn the_layout_points_at_statements_and_outcomes() {
    for body in [body(), changing_body()] {
        let bytes = body.encode();
        let part = |offset: u32, len: u32| {
            let (offset, len) = (usize::try_from(offset).unwrap(), usize::try_from(len).unwrap());
            &bytes[offset..offset + len]
        };
        let layout = body.layout();
        assert_eq!(layout.len(), 2);
        for ((place, statement), outcomes) in layout.iter().zip(&body.block.statements).zip(&body.outcomes) {
            assert_eq!(part(place.offset, place.len), statement);
            assert_eq!(place.outcomes.len(), outcomes.len());
            for (&(offset, len), outcome) in place.outcomes.iter().zip(outcomes) {
                assert_eq!(&borsh::from_slice::<Outcome>(part(offset, len)).unwrap(), outcome);
            }
        }
    }
}

#[test]
fn a_body_that_agrees_with_itself_passes() {
    assert_eq!(body().check_shape(), Ok(()));
    assert_eq!(changing_body().check_shape(), Ok(()));
    assert_eq!(body().event_count(), 3);
}

#[test]
fn a_body_that_disagrees_with_itself_is_refused_with_its_reason() {
    let check = |change: &dyn Fn(&mut Body), code: &str| {
        let mut body = body();
        change(&mut body);
        assert_eq!(body.check_shape().unwrap_err().code(), code);
    };
    let other_set = || Some(fixture::validator_set(&[1, 1]));
    check(&|body| body.block.header.statement_count = 3, "block.statement-count");
    check(&|body| body.block.header.statement_count = u32::MAX, "block.statement-count");
    check(&|body| body.block.statements[0][0] ^= 1, "block.statements-root");
    check(&|body| body.block.statements.swap(0, 1), "block.statements-root");
    check(&|body| body.block.header.next_validators_hash = Hash::EMPTY, "block.next-validators-missing");
    check(&|body| body.block.next_validators = other_set(), "block.next-validators-unasked");
    check(
        &|body| {
            body.block.header.next_validators_hash = Hash::EMPTY;
            body.block.next_validators = other_set();
        },
        "block.next-validators-hash",
    );
    check(&|body| body.outcomes.truncate(1), "block.outcome-lists");
    check(&|body| body.outcomes.push(vec![outcome("accepted")]), "block.outcome-lists");
    check(&|body| body.outcomes[1].clear(), "block.no-outcome");
    for code in ["", "Accepted", "not found", &"x".repeat(65)] {
        check(&|body| body.outcomes[0][1].code = code.to_owned(), "block.outcome-code");
    }
    check(&|body| body.outcomes[0][1].subject = "x".repeat(257), "block.outcome-too-large");
    check(&|body| body.outcomes[0][1].record = vec![0; 65_537], "block.outcome-too-large");
}

#[test]
fn a_body_beyond_its_limits_is_refused() {
    let mut many = body();
    many.block.statements = vec![Vec::new(); STATEMENTS_MAX + 1];
    assert_eq!(many.check_shape().unwrap_err().code(), "block.too-many-statements");
    let mut large = body();
    large.block.statements = vec![vec![0; STATEMENTS_BYTES_MAX], vec![0]];
    assert_eq!(large.check_shape().unwrap_err().code(), "block.statements-too-large");
    let mut outcomes = body();
    let big = Outcome { record: vec![0; OUTCOME_RECORD_BYTES_MAX], ..outcome("accepted") };
    outcomes.outcomes[0] = vec![big; OUTCOMES_BYTES_MAX / OUTCOME_RECORD_BYTES_MAX];
    assert_eq!(outcomes.check_shape().unwrap_err().code(), "block.outcomes-too-large");
}

proptest! {
    #![proptest_config(fixture::cases(256))]

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = CommittedBlock::decode(&bytes);
        for tag in [&b"chain/body/v1"[..], &HEADER_TAG, &BLOCK_TAG, b"chain/leaf/v1"] {
            let tagged = [tag, &bytes].concat();
            let _ = (Header::decode(&tagged), Block::decode(&tagged), Body::decode(&tagged), Leaf::decode(&tagged));
        }
    }

    #[test]
    fn a_changed_byte_changes_the_block_id(place in any::<prop::sample::Index>(), flip in 1_u8..) {
        let mut bytes = header().encode();
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        // Either no header at all, or another one.
        if let Ok(other) = Header::decode(&bytes) {
            prop_assert_ne!(other.id(), header().id());
        }
    }
}
