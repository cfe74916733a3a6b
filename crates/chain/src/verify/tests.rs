//! Verification: clean chains pass at every level, and nothing else does.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::archive::tests::{offsets, repaired};
use crate::block::{Body, Outcome};
use crate::fixture::{self, Chain};
use crate::genesis::Genesis;
use crate::hash::Hash;

fn report_with(bytes: &[u8], genesis: &Genesis, level: Level, options: Options) -> Report {
    verify_archive(bytes, genesis, level, options, |_, _, _, _| {}).unwrap()
}

fn report(bytes: &[u8], level: Level) -> Report {
    report_with(bytes, &fixture::genesis(&[1]), level, Options::default())
}

fn rules(report: &Report) -> Vec<&'static str> {
    report.findings.iter().map(|finding| finding.rule).collect()
}

/// Commits a changed body as block 2, and expects exactly these rules to be found there, at this
/// level and at every deeper one, and none before.
fn check(level: Level, change: &dyn Fn(&mut Body), expected: &[&str]) {
    let mut chain = Chain::new(1);
    chain.push(&[&[r#"{"a":1}"#]]);
    let mut body = chain.body(&[&[r#"{"b":2}"#, r#"{"c":3}"#], &[r#"{"d":4}"#]]);
    change(&mut body);
    chain.commit(body);
    for at in Level::ALL {
        let mut verifier = Verifier::new(&chain.genesis, at, Options::default());
        assert!(verifier.push(&chain.blocks[0]).clean);
        let pushed = verifier.push(&chain.blocks[1]);
        let found = rules(verifier.report());
        if at < level {
            assert!(pushed.clean, "{at}: {found:?}");
        } else {
            assert_eq!(&found[..expected.len().min(found.len())], expected, "{at}");
            assert!(!pushed.clean);
        }
        assert!(
            verifier.report().findings.iter().all(|finding| finding.height == Some(chain.blocks[1].header().height))
        );
    }
}

#[test]
fn a_clean_archive_is_verified_at_every_level() {
    let chain = Chain::small();
    for level in Level::ALL {
        let report = report(&chain.archive(), level);
        assert_eq!(report.status, Status::Verified, "{report}");
        assert_eq!((report.blocks, report.statements, report.events), (3, 3, 4));
        assert_eq!((report.tip_height, report.log_size), (3, 4));
        assert_eq!(report.tip_id, chain.blocks[2].header().id());
        assert_eq!(report.level, level.as_str());
    }
}

#[test]
fn an_archive_without_blocks_is_verified() {
    let report = report(&Chain::new(1).archive(), Level::Log);
    assert_eq!(report.status, Status::Verified, "{report}");
    assert_eq!(report.tip_id, report.chain.genesis().into());
}

/// Changing this text changes what auditors' scripts read.
#[test]
fn a_report_is_shown_and_serialised() {
    let mut report = report(&Chain::small().archive(), Level::Log);
    report.add_missing("height 9".to_owned());
    report.add_finding(Finding {
        height: Some(2),
        offset: Some(77),
        statement: None,
        rule: "links.parent",
        expected: "a".to_owned(),
        actual: "b".to_owned(),
    });
    assert_eq!(report.to_string(), include_str!("../../golden/report.txt"));
    assert_eq!(serde_json::to_string_pretty(&report).unwrap() + "\n", include_str!("../../golden/report.json"));
}

#[test]
fn a_changed_byte_anywhere_is_never_verified_at_any_level() {
    let chain = Chain::small();
    let bytes = chain.archive();
    for place in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[place] ^= 1 << (place % 8);
        for level in Level::ALL {
            let report = report_with(&bad, &chain.genesis, level, Options::default());
            assert_ne!(report.status, Status::Verified, "byte {place} at {level}");
            let named = report.findings.iter().all(|finding| finding.offset.is_some() && finding.height.is_some());
            assert!(named && (!report.findings.is_empty() || !report.missing.is_empty()));
        }
    }
}

#[test]
fn a_byte_changed_by_a_forger_who_repairs_the_checksums_is_never_verified() {
    let chain = Chain::small();
    let bytes = chain.archive();
    let offsets = offsets(&bytes);
    for place in 19..bytes.len() {
        // The length field decides where the checksum stands; changing it is damage, not forgery.
        let frame = offsets.iter().copied().rfind(|&offset| offset <= place).unwrap();
        let next = offsets.iter().copied().find(|&offset| offset > place).unwrap_or(bytes.len());
        if place < frame + 4 || place >= next - 8 {
            continue;
        }
        let mut bad = bytes.clone();
        bad[place] ^= 1 << (place % 8);
        let bad = repaired(bad, &offsets);
        let report = report_with(&bad, &chain.genesis, Level::Log, Options::default());
        assert_eq!(report.status, Status::Findings, "byte {place}\n{report}");
    }
}

#[test]
fn an_archive_cut_off_anywhere_is_incomplete() {
    let chain = Chain::small();
    let bytes = chain.archive();
    for length in 0..bytes.len() {
        let report = report_with(&bytes[..length], &chain.genesis, Level::Links, Options::default());
        assert_eq!(report.status, Status::Incomplete, "cut at {length}\n{report}");
    }
}

#[test]
fn an_archive_of_another_genesis_is_a_finding() {
    let other = fixture::genesis(&[2]);
    let report = report_with(&Chain::small().archive(), &other, Level::Log, Options::default());
    assert_eq!(rules(&report), ["archive.other-genesis"]);
}

#[test]
fn a_genesis_that_not_everybody_has_countersigned_is_a_finding() {
    let mut chain = Chain::new(1);
    let signed = chain.genesis.clone();
    chain.genesis = Genesis::assemble(signed.body()).unwrap();
    let bytes = chain.archive();
    // In the archive, at the auditor's, and at both.
    let code = "genesis.missing-signature";
    assert_eq!(rules(&report_with(&bytes, &signed, Level::Links, Options::default())), [code]);
    let unsigned = chain.genesis.clone();
    chain.genesis = signed;
    assert_eq!(rules(&report_with(&chain.archive(), &unsigned, Level::Links, Options::default())), [code]);
    assert_eq!(rules(&report_with(&bytes, &unsigned, Level::Links, Options::default())), [code, code]);
}

#[test]
fn false_links_are_found_at_every_level() {
    let links = Level::Links;
    let id = Hash::of(b"another");
    check(links, &|body| body.block.header.height = 3, &["links.height"]);
    check(links, &|body| body.block.header.height = u64::MAX, &["links.height"]);
    check(links, &|body| body.block.header.parent = id.into(), &["links.parent"]);
    check(
        links,
        &|body| {
            let header = &mut body.block.header;
            header.chain = crate::identity::ChainId::new(header.chain.name().clone(), id);
        },
        &["links.chain"],
    );
    check(links, &|body| body.block.header.version = 2, &["links.version"]);
    check(links, &|body| body.block.header.time_ms -= 1_000, &["links.time"]);
    check(links, &|body| body.block.header.time_ms = i64::MIN, &["links.time"]);
    check(links, &|body| body.block.header.proposer = fixture::consensus_key(2).public(), &["links.proposer"]);
    check(links, &|body| body.block.header.state_checkpoint.height = 2, &["links.state-checkpoint"]);
    check(links, &|body| body.block.header.state_checkpoint.root = id, &["links.state-checkpoint"]);
    check(links, &|body| body.block.header.statement_count = 1, &["block.statement-count"]);
    check(links, &|body| body.block.header.statements_root = id, &["block.statements-root"]);
    check(links, &|body| body.block.header.log_size = 5, &["links.log-size"]);
    check(links, &|body| body.block.header.log_size = u64::MAX, &["links.log-size"]);
    check(links, &|body| drop(body.outcomes.pop()), &["block.outcome-lists", "links.log-size"]);
    check(links, &|body| drop(body.outcomes[0].pop()), &["links.log-size"]);
    check(links, &|body| body.outcomes[0][0].code.clear(), &["block.outcome-code"]);
    check(links, &|body| body.block.header.next_validators_hash = id, &["block.next-validators-missing"]);
    check(
        links,
        &|body| {
            body.block.header.validators_hash = id;
            body.block.header.next_validators_hash = id;
        },
        &["links.validators"],
    );
}

#[test]
fn a_false_log_is_found_when_it_is_rebuilt() {
    let log = Level::Log;
    check(log, &|body| body.block.header.log_root = Hash::EMPTY, &["log.root"]);
    check(log, &|body| body.outcomes[0][1].code = Outcome::REPEATED.to_owned(), &["log.root"]);
    check(log, &|body| body.outcomes[0][1].subject.push('x'), &["log.root"]);
    check(log, &|body| body.outcomes[0][1].record.push(0), &["log.root"]);
    check(log, &|body| body.outcomes.swap(0, 1), &["log.outcome-count", "log.outcome-count"]);
    check(log, &|body| body.outcomes[0].swap(0, 1), &["log.root"]);
    check(
        log,
        &|body| {
            let last = body.block.statements[1].len() - 10;
            body.block.statements[1][last] = b'=';
            body.block.header.statements_root = crate::block::statements_root(&body.block.statements);
        },
        &["statement.malformed"],
    );
}

#[test]
fn a_lost_log_is_found_once_and_not_at_every_block_after() {
    let mut chain = Chain::new(1);
    let mut body = chain.body(&[&[r#"{"a":1}"#]]);
    body.block.header.log_root = Hash::EMPTY;
    chain.commit(body);
    for _ in 0..5 {
        chain.push(&[&[r#"{"b":2}"#]]);
    }
    let report = report(&chain.archive(), Level::Log);
    assert_eq!(rules(&report), ["log.root"]);
    assert_eq!(report.findings[0].height, Some(1));
}

#[test]
fn a_bad_certificate_is_found_where_it_stands() {
    let mut chain = Chain::small();
    chain.blocks[2].certificate = fixture::certify(chain.blocks[2].header(), [1]);
    assert!(report(&chain.archive(), Level::Links).is_verified());
    let report = report(&chain.archive(), Level::Certificates);
    assert_eq!(rules(&report), ["certificate.too-little-power"]);
    let finding = &report.findings[0];
    assert_eq!((finding.height, finding.offset.is_some()), (Some(3), true));
    assert_eq!((finding.expected.as_str(), finding.actual.as_str()), ("power 2 of 2", "power 1"));
}

#[test]
fn the_set_that_a_block_brings_decides_the_next_and_not_its_own() {
    let mut chain = Chain::small();
    chain.blocks[1].certificate = fixture::certify(chain.blocks[1].header(), [1, 2]);
    let report = report(&chain.archive(), Level::Log);
    assert_eq!(rules(&report), ["certificate.unknown-validator"]);
    assert_eq!(report.findings[0].height, Some(2));
}

#[test]
fn a_missing_or_doubled_block_is_found() {
    let chain = Chain::small();
    for order in [&[1, 2][..], &[0, 2], &[0, 0, 1, 2], &[1, 0, 2]] {
        let mut verifier = Verifier::new(&chain.genesis, Level::Log, Options::default());
        for &number in order {
            verifier.push(&chain.blocks[number]);
        }
        assert!(rules(verifier.report()).contains(&"links.height"), "{order:?}");
    }
}

#[test]
fn an_end_that_tells_another_story_is_found() {
    let chain = Chain::small();
    let end = |change: &dyn Fn(&mut crate::archive::ArchiveEnd)| {
        let mut verifier = Verifier::new(&chain.genesis, Level::Links, Options::default());
        let mut end = crate::archive::ArchiveEnd::of_genesis(&chain.genesis);
        for block in &chain.blocks {
            verifier.push(block);
            end = end.with(block.header());
        }
        change(&mut end);
        rules(&verifier.finish(Some(&end)))
    };
    assert!(end(&|_| {}).is_empty());
    assert_eq!(end(&|end| end.blocks = 2), ["archive.end-blocks"]);
    assert_eq!(end(&|end| end.tip_height = 4), ["archive.end-height"]);
    assert_eq!(end(&|end| end.tip = Hash::EMPTY.into()), ["archive.end-tip"]);
    assert_eq!(end(&|end| end.log_size = 5), ["archive.end-log-size"]);
    assert_eq!(end(&|end| end.log_root = Hash::EMPTY), ["archive.end-log-root"]);
}

#[test]
fn a_cut_off_tail_is_caught_by_what_the_auditor_knows() {
    let whole = Chain::small();
    let mut short = Chain::small();
    short.blocks.pop();
    let at_least = |height| Options { at_least_height: Some(height), ..Options::default() };
    let verify = |chain: &Chain, options| report_with(&chain.archive(), &chain.genesis, Level::Log, options);
    assert_eq!(verify(&whole, at_least(3)).status, Status::Verified);
    assert_eq!(verify(&short, Options::default()).status, Status::Verified);
    assert_eq!(verify(&short, at_least(3)).status, Status::Incomplete);

    let newest = Checkpoint::of(whole.blocks[2].header());
    let with = |checkpoints| Options { checkpoints, ..Options::default() };
    assert_eq!(verify(&whole, with(vec![newest.clone()])).status, Status::Verified);
    let report = verify(&short, with(vec![newest]));
    assert_eq!(report.status, Status::Incomplete);
    assert_eq!(report.missing, ["height 3, of which there is a log checkpoint"]);
}

#[test]
fn a_chain_that_contradicts_a_checkpoint_is_found() {
    let chain = Chain::small();
    let check = |change: &dyn Fn(&mut Checkpoint), expected: &[&str]| {
        for number in 0..3 {
            let mut checkpoint = Checkpoint::of(chain.blocks[number].header());
            change(&mut checkpoint);
            let options = Options { checkpoints: vec![checkpoint], ..Options::default() };
            let report = report_with(&chain.archive(), &chain.genesis, Level::Links, options);
            assert_eq!(rules(&report), expected, "block {}", number + 1);
        }
    };
    check(&|_| {}, &[]);
    check(&|checkpoint| checkpoint.root = Hash::EMPTY, &["checkpoint.root"]);
    check(&|checkpoint| checkpoint.block_id = Hash::EMPTY.into(), &["checkpoint.block-id"]);
    check(&|checkpoint| checkpoint.time_ms += 1, &["checkpoint.time"]);
    check(&|checkpoint| checkpoint.size -= 1, &["checkpoint.size", "checkpoint.size"]);
    // A checkpoint of genesis: an empty log.
    let genesis = Checkpoint {
        chain: chain.genesis.chain_id(),
        size: 0,
        root: Hash::EMPTY,
        height: 0,
        block_id: chain.genesis.block_id(),
        time_ms: chain.genesis.time_ms(),
    };
    let other = Checkpoint { root: Hash::of(b"x"), ..genesis.clone() };
    let options = Options { checkpoints: vec![genesis, other], ..Options::default() };
    let report = report_with(&chain.archive(), &chain.genesis, Level::Links, options);
    assert_eq!(rules(&report), ["checkpoint.root"]);
}

#[test]
fn findings_are_listed_up_to_a_limit_and_then_counted() {
    let chain = Chain::small();
    let mut verifier = Verifier::new(&chain.genesis, Level::Links, Options::default());
    for _ in 0..FINDINGS_MAX {
        verifier.push(&chain.blocks[0]);
        verifier.push(&chain.blocks[2]);
    }
    let report = verifier.finish(None);
    assert_eq!(report.findings.len(), FINDINGS_MAX);
    assert!(report.findings_omitted > 0);
    assert!(report.to_string().contains("more"));
}

#[test]
fn deeper_levels_see_each_block_with_its_statements() {
    let chain = Chain::small();
    let mut seen = Vec::new();
    let report = verify_archive(
        chain.archive().as_slice(),
        &chain.genesis,
        Level::Log,
        Options::default(),
        |verifier, block, pushed, offset| {
            assert!(pushed.clean);
            assert_eq!(verifier.report().tip_height, block.header().height);
            seen.push((block.header().height, pushed.statements.len(), offset > 19));
        },
    );
    assert_eq!(seen, [(1, 1, true), (2, 0, true), (3, 2, true)]);
    assert!(report.unwrap().is_verified());
}

#[test]
fn levels_have_names_and_an_order() {
    assert!(Level::Links < Level::Certificates && Level::Certificates < Level::Log);
    for level in Level::ALL {
        assert_eq!(level.to_string().parse(), Ok(level));
        assert_eq!(serde_json::to_string(&level).unwrap(), format!("\"{level}\""));
    }
    assert_eq!("replay".parse::<Level>(), Err(UnknownLevel));
}

proptest! {
    #![proptest_config(fixture::cases(48))]

    #[test]
    fn any_honest_chain_is_verified(
        agencies in 1_u8..5,
        blocks in prop::collection::vec((0_usize..4, 1_usize..4, any::<bool>()), 0..6),
    ) {
        let mut chain = Chain::new(agencies);
        for (statements, events, changes) in blocks {
            if changes {
                chain.push_change(if chain.agencies() == 1 { 3 } else { chain.agencies() - 1 });
            }
            let events = vec![r#"{"x":1}"#; events];
            chain.push(&vec![events.as_slice(); statements]);
        }
        for level in Level::ALL {
            let report = report_with(&chain.archive(), &chain.genesis, level, Options::default());
            prop_assert!(report.is_verified(), "{}", report);
            prop_assert_eq!(report.log_size, u64::try_from(chain.leaves.len()).unwrap());
        }
    }

    #[test]
    fn a_forged_archive_is_never_verified_and_never_a_panic(
        flips in prop::collection::vec((any::<Index>(), 1_u8..), 1..4),
        cut in any::<Index>(),
        repair in any::<bool>(),
    ) {
        let chain = Chain::small();
        let good = chain.archive();
        let places = offsets(&good);
        let mut bad = good.clone();
        for (place, flip) in flips {
            bad[place.index(good.len())] ^= flip;
        }
        let lengths_stand = places.iter().all(|&place| bad[place..place + 4] == good[place..place + 4]);
        if repair && lengths_stand {
            bad = repaired(bad, &places);
        } else if repair {
            bad.truncate(cut.index(bad.len()));
        }
        let report = report_with(&bad, &chain.genesis, Level::Log, Options::default());
        prop_assert!(bad == good || !report.is_verified());
    }
}
