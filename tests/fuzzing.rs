//! What holds for any bytes from outside: one function a format, shared by the fuzz targets in `fuzz/` and by the
//! short seeded run that every test run does.
//!
//! A function returns when its properties hold and panics when one does not. None is about speed: the fuzzer has a
//! limit of time an input.

mod config;
mod mutate;
mod seeds;

use chain::archive::{ArchiveReader, ArchiveWriter, Entry};
use chain::block::{Block, Body, CommittedBlock, Header, Leaf};
use chain::certificate::CommitCertificate;
use chain::encoding::encode_base64url;
use chain::genesis::{Countersigned, Genesis};
use chain::hash::Hash;
use chain::introduction::SignedIntroduction;
use chain::receipt::Receipt;
use chain::statement::{Limits, Statement};
use chain::verify::{Options, Status};
use invoice::date::Date;
use invoice::document::Document;
use invoice::rules::Rules;
use ledger::admission::Parsed;
use ledger::genesis::LedgerGenesis;
use ledger::introduction::Introduction;

use crate::consortium::NOON;
pub use config::config;
pub use mutate::Mutator;
pub use seeds::KNOWN;

/// A format that somebody else may write.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: the fuzz target, and the folder of its corpus.
    pub name: &'static str,
    /// Panics when a property does not hold.
    pub hold: fn(&[u8]),
    /// Inputs to begin with: whole ones, as honest programs write them.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// The formats. The configuration's is in `node`, which only the fuzz targets and its own tests can reach.
pub const TARGETS: [Target; 6] = [
    Target { name: "statement", hold: statement, seeds: || KNOWN.statements.clone() },
    Target { name: "document", hold: document, seeds: seeds::documents },
    Target { name: "block", hold: block, seeds: || KNOWN.encodings.clone() },
    Target { name: "archive", hold: archive, seeds: || vec![KNOWN.archive.clone()] },
    Target { name: "receipt", hold: receipt, seeds: || KNOWN.receipts.clone() },
    Target { name: "genesis", hold: genesis, seeds: seeds::genesis },
];

/// The target of a name.
///
/// # Panics
/// When there is none.
pub fn target(name: &str) -> Target {
    TARGETS.into_iter().find(|target| target.name == name).expect("a target of that name")
}

/// Reading a statement is total; one that is read keeps its bytes, and there is no second spelling of it.
fn statement(bytes: &[u8]) {
    whole_statement(bytes);
    // A fuzzer does not learn base64: the bytes as a payload under a good header, and as a header over a good payload.
    let known = Statement::parse(KNOWN.statements[0].as_slice(), &Limits::default()).unwrap();
    let text = String::from_utf8_lossy(known.bytes());
    let segments: Vec<&str> = text.split('.').collect();
    whole_statement(format!("{}.{}.{}", segments[0], encode_base64url(bytes), segments[2]).as_bytes());
    whole_statement(format!("{}.{}.{}", encode_base64url(bytes), segments[1], segments[2]).as_bytes());
}

fn whole_statement(bytes: &[u8]) {
    let limits = Limits::default();
    let Ok(read) = Statement::parse(bytes, &limits) else {
        assert!(Parsed::read(bytes).is_err(), "events of what is no statement");
        return;
    };
    assert_eq!(&**read.bytes(), bytes, "other bytes than were read");
    assert_eq!(read.id().hash(), Hash::of(read.signing_input()));
    assert_eq!(read.payload_hash(), Hash::of(read.payload()));
    assert!((1..=limits.events_max).contains(&read.event_count()) && bytes.len() <= limits.statement_bytes_max);
    assert!(read.events().all(|event| event.starts_with(b"{") && event.len() <= limits.event_bytes_max));
    // The one spelling: its parts encoded again are the very bytes.
    let mut segments = bytes.split(|byte| *byte == b'.');
    let header = chain::encoding::decode_base64url(segments.next().unwrap()).unwrap();
    let again = chain::jws::signing_input(&header, read.payload());
    assert_eq!(format!("{again}.{}", read.signature()).as_bytes(), bytes, "a second spelling was read");
    if let Ok(parsed) = Parsed::read(bytes) {
        assert_eq!(parsed.events().len(), read.event_count());
        let parameters = ledger::parameters::Parameters::new(crate::consortium::organisation_id("tax-bureau"));
        parsed.violations(&parameters, today());
        for event in parsed.events() {
            let text = serde_json::to_vec(event).unwrap();
            assert_eq!(&chain::json::from_slice::<ledger::event::Event>(&text).unwrap(), event, "an event changed");
        }
    }
}

fn today() -> Date {
    Date::from_unix_ms(NOON).unwrap()
}

/// Judging a document never panics; one that is read is written and read again as the same.
fn document(bytes: &[u8]) {
    let rules = Rules::default();
    let examined = invoice::draft::examine(bytes, &rules, today());
    assert!(examined.document.is_some() || !examined.validation.violations.is_empty(), "refused without a reason");
    drop(invoice::wechat::recognise(bytes));
    if let Ok(strict) = chain::json::from_slice::<Document>(bytes) {
        let read = Document::parse(bytes).expect("what is read strictly is read");
        assert_eq!(read, strict);
        assert_eq!(examined.validation, read.validate(&rules, today()), "two judgements of one document");
        let again = Document::parse(&serde_json::to_vec(&read).unwrap()).expect("what we write, we read");
        assert_eq!(again, read);
        assert_eq!(again.content_hash(), read.content_hash());
        assert!(!examined.validation.violations.is_empty() || read.totals_by_rate().is_ok(), "sums that do not fit");
    }
}

/// Whatever is decoded is encoded as the very same bytes.
fn block(bytes: &[u8]) {
    if let Ok(header) = Header::decode(bytes) {
        assert_eq!(header.encode(), bytes);
    }
    if let Ok(block) = Block::decode(bytes) {
        assert_eq!(block.encode(), bytes);
        drop(block.check_shape());
    }
    if let Ok(body) = Body::decode(bytes) {
        assert_eq!(body.encode(), bytes);
        assert_eq!(&Body::decode_header(bytes).unwrap(), body.header());
        if body.check_shape().is_ok() {
            let at = |offset: u32, len: u32| {
                let start = usize::try_from(offset).unwrap();
                &bytes[start..start + usize::try_from(len).unwrap()]
            };
            for (place, statement) in body.layout().iter().zip(&body.block.statements) {
                assert_eq!(at(place.offset, place.len), statement, "a statement is not where the layout says");
            }
        }
    }
    if let Ok(certificate) = CommitCertificate::decode(bytes) {
        assert_eq!(certificate.encode(), bytes);
    }
    if let Ok(leaf) = Leaf::decode(bytes) {
        assert_eq!(leaf.encode(), bytes);
    }
    if let Ok(committed) = CommittedBlock::decode(bytes) {
        assert_eq!(committed.encode(), bytes);
    }
}

/// An archive is read to its end or to a place that is named, and only the very bytes of an honest one are verified.
fn archive(bytes: &[u8]) {
    whole_archive(bytes);
    whole_archive(&resealed(bytes));
}

fn whole_archive(bytes: &[u8]) {
    let genesis = &KNOWN.genesis;
    let options = Options { at_least_height: Some(1), ..Options::default() };
    let report = ledger::replay::verify_archive(bytes, genesis, options, |_| {}).expect("memory can be read").report;
    for finding in &report.findings {
        // The months' sums are about the whole; everything else stands somewhere.
        assert!(
            ["replay.sums", "replay.numbers"].contains(&finding.rule) || finding.height.is_some(),
            "nowhere: {finding}"
        );
        assert!(finding.offset.is_none_or(|offset| offset <= u64::try_from(bytes.len()).unwrap()), "{finding}");
    }
    assert_eq!(report.status == Status::Findings, !report.findings.is_empty());
    assert!(report.status != Status::Incomplete || !report.missing.is_empty(), "incomplete, and nobody says why");
    if report.status != Status::Verified {
        return;
    }
    let mut reader = ArchiveReader::new(bytes);
    let mut writer = ArchiveWriter::new(Vec::new(), genesis).unwrap();
    while let Some(frame) = reader.next_frame().unwrap() {
        if let Entry::Block(block) = frame.entry {
            writer.push(&block).unwrap();
        }
    }
    assert_eq!(writer.finish().unwrap().0, bytes, "another archive than we would write was verified");
}

/// The same archive with checksums that fit its frames, so that what stands in them is looked at.
fn resealed(bytes: &[u8]) -> Vec<u8> {
    const LENGTH_AND_KIND: usize = 5;
    const CHECKSUM: usize = 8;
    let mut sealed = bytes.to_vec();
    let mut at = chain::archive::ARCHIVE_MAGIC.len();
    let head = |bytes: &[u8], at: usize| <[u8; LENGTH_AND_KIND]>::try_from(bytes.get(at..at + LENGTH_AND_KIND)?).ok();
    while let Some([a, b, c, d, kind]) = head(&sealed, at) {
        let length = [a, b, c, d];
        let Ok(payload_bytes) = usize::try_from(u32::from_be_bytes(length)) else { break };
        let start = at + LENGTH_AND_KIND;
        let Some(end) = start.checked_add(payload_bytes).filter(|end| end + CHECKSUM <= sealed.len()) else { break };
        let hash = Hash::of_parts(&[&[kind], &length, &sealed[start..end]]);
        sealed[end..end + CHECKSUM].copy_from_slice(&hash.as_bytes()[..CHECKSUM]);
        at = end + CHECKSUM;
    }
    sealed
}

/// A receipt that is read is written and read again as the same; verifying is total.
fn receipt(bytes: &[u8]) {
    let Ok(read) = Receipt::parse(bytes) else { return };
    let again = read.to_json();
    assert_eq!(Receipt::parse(again.as_bytes()).expect("what we write, we read"), read);
    if let Ok(verified) = read.verify(&KNOWN.genesis) {
        assert_eq!(verified.leaf, read.leaf);
        assert_eq!(Hash::of(&verified.record), verified.leaf.record_hash, "a record that the leaf does not cover");
    }
}

/// A genesis or an introduction that is read is written as the very same bytes; what stands in it is judged without a
/// panic, and nobody's signature covers it but for the very bytes that were signed.
fn genesis(bytes: &[u8]) {
    whole_genesis(bytes);
    // A fuzzer does not learn base64: the bytes as a payload too.
    whole_genesis(format!("{{\"payload\":\"{}\",\"signatures\":[]}}\n", encode_base64url(bytes)).as_bytes());
}

fn whole_genesis(bytes: &[u8]) {
    let same = |again: &[u8]| assert!(again == bytes || again.strip_suffix(b"\n") == Some(bytes), "a second spelling");
    let read = Genesis::parse(bytes).ok();
    if let Some(read) = &read {
        same(&read.to_bytes());
        assert_eq!(read.hash(), Hash::of(read.body_bytes()));
        let is_complete = read.verify_countersignatures().is_ok();
        assert!(!is_complete || read.hash() == KNOWN.genesis.hash(), "signed by nobody");
        assert_eq!(is_complete, read.countersigned().all(|(_, standing)| standing == Countersigned::Verified));
        let mut merged = read.unsigned();
        assert_eq!(merged.merge(read).is_ok(), read.verify_those_there().is_ok());
    }
    if let Ok(signed) = SignedIntroduction::parse(bytes) {
        same(&signed.to_bytes());
        if let Ok(introduction) = Introduction::open(&signed) {
            assert_eq!(signed.fingerprint(), seeds::INTRODUCTION.fingerprint(), "signed by nobody");
            let known = &KNOWN.genesis;
            assert!(!introduction.differences(known, &LedgerGenesis::read(known).unwrap()).is_empty());
        }
    }
    if let Some(read) = read {
        drop(LedgerGenesis::read(&read));
    }
}
