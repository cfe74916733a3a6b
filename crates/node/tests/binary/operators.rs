//! What can go wrong on one of four nodes in an operator's hands. Each time: a clear message, no fork, and the others go
//! on. The texts that are looked for here stand in the README, under "When something is wrong".
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chain::block::BlockId;
use chain::certificate::{VoteKind, sign_vote};
use chain::encoding::decode_base64url_array;
use chain::equivocation::{Equivocation, Signed, Step};
use chain::genesis::Genesis;
use chain::hash::Hash;
use chain::identity::OrganisationId;
use chain::key::SecretKey;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::trial::Report;
use tests::trial::binary::{Binary, PATIENCE, eventually};
use tests::trial::four::{Crowd, Four, NODES};
use tests::trial::full::Disk;
use tests::trial::seed::Seed;

use crate::support::EINVOICE;

/// The node that something happens to.
const VICTIM: usize = 3;

/// Four nodes with clients at their doors.
struct Town {
    directory: TempDir,
    four: Four,
    crowd: Crowd,
}

impl Town {
    /// A town whose nodes do not run yet.
    fn found(seed: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut seed = Seed::new(seed.wrapping_mul(1_000_003) + u64::from(std::process::id()));
        let places = Four::on_loopback(&mut seed).unwrap();
        let four = Four::make(&Binary::at(EINVOICE), directory.path(), places).unwrap();
        Self { directory, four, crowd: Crowd::new(&seed, 1, 1) }
    }

    fn running(seed: u64) -> Self {
        let mut town = Self::found(seed);
        (0..NODES).for_each(|place| town.four.start(place).unwrap());
        town.ready(&[0, 1, 2, 3]);
        town
    }

    fn ready(&mut self, places: &[usize]) {
        self.four.until_ready(places).unwrap();
    }

    /// Loads the doors until a node has so many blocks more.
    fn blocks(&mut self, count: u64, place: usize) {
        let (doors, four) = (self.four.doors(), &self.four);
        let from = four.height(place).unwrap();
        let there = self
            .crowd
            .load(&doors, || Ok(eventually(PATIENCE, || (four.height(place) >= Some(from + count)).then_some(()))));
        assert!(there.unwrap().is_some(), "{:?}: {:?}", self.four.heights(), self.four.status(place));
    }

    /// Starts a node that must end by itself; its exit code and what it said.
    #[track_caller]
    fn refused(&mut self, place: usize, settings: &[String]) -> (Option<i32>, String) {
        let before = self.four.talk(place).len();
        self.four.start_with(place, settings).unwrap();
        let ended = self.four.ends(place, PATIENCE).unwrap();
        let (code, talk) = ended.unwrap_or_else(|| panic!("it goes on: {}", self.four.talk(place)));
        (code, talk[before..].to_owned())
    }

    fn log(&self, place: usize) -> PathBuf {
        self.four.members[place].home.join("data/consensus/consensus.wal")
    }

    /// All are level, nothing that was answered is lost, and nobody has another chain.
    fn must_be_whole(mut self) {
        let doors = self.four.doors();
        self.four.until_level().unwrap();
        let mut losses = self.crowd.settle(&doors).unwrap();
        self.four.until_level().unwrap();
        losses.extend(self.four.verdict(&self.crowd, &mut Report::new("operators", 0)).unwrap());
        assert_eq!(losses, [""; 0]);
    }
}

#[test]
fn a_damaged_consensus_log_is_never_voted_over() {
    let mut town = Town::running(1);
    town.blocks(3, VICTIM);
    // Two are left, so their logs hold votes of a height that nobody decided.
    town.four.kill(&[1, 2]).unwrap();
    let doors = town.four.doors();
    let log = town.log(VICTIM);
    let four = &town.four;
    let voted = || {
        let bytes = fs::read(&log).ok()?;
        let height = u64::from_be_bytes(*bytes.get(4..)?.first_chunk()?);
        (bytes.len() > 150 && four.height(VICTIM)? + 1 == height).then_some(())
    };
    let waited = town.crowd.load(&doors, || Ok(eventually(PATIENCE, voted)));
    assert!(waited.unwrap().is_some(), "nobody votes");
    town.four.kill(&[VICTIM]).unwrap();
    let good = fs::read(&log).unwrap();
    for (damaged, what) in [
        (
            {
                let mut bytes = good.clone();
                bytes[60] ^= 1;
                bytes
            },
            "the entry's checksum is of other bytes",
        ),
        (
            {
                let mut bytes = good.clone();
                bytes[11] ^= 1;
                bytes
            },
            "expected an entry of height",
        ),
        (good[..5].to_vec(), "expected 12 bytes, found 5"),
    ] {
        fs::write(&log, &damaged).unwrap();
        // However often a service manager starts it: the same.
        for _ in 0..2 {
            let (code, said) = town.refused(VICTIM, &[]);
            assert_eq!(code, Some(7), "{said}");
            assert!(said.contains(what) && said.contains("consensus.wal is damaged at byte"), "{said}");
            assert!(said.contains("--set node.part=observer"), "{said}");
            assert_eq!(fs::read(&log).unwrap(), damaged, "it was changed");
        }
    }
    fs::rename(&log, town.directory.path().join("kept.wal")).unwrap();
    let (code, said) = town.refused(VICTIM, &[]);
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("there is no consensus log"), "{said}");
    // What the messages say, done.
    town.four.start(1).unwrap();
    town.four.start(2).unwrap();
    town.ready(&[0, 1, 2]);
    town.blocks(2, 0);
    town.four.start_with(VICTIM, &["node.part=observer".to_owned()]).unwrap();
    town.four.until_level().unwrap();
    town.four.stop(VICTIM).unwrap();
    town.four.start(VICTIM).unwrap();
    town.ready(&[0, 1, 2, 3]);
    town.blocks(2, VICTIM);
    town.must_be_whole();
}

#[test]
fn a_wrong_genesis_is_refused_and_the_others_go_on() {
    let mut town = Town::running(2);
    town.four.stop(VICTIM).unwrap();
    let other = Town::found(3);
    let genesis = format!("node.genesis={}", other.four.genesis.display());
    let (code, said) = town.refused(VICTIM, &[genesis]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("central-bank/receipt-1: it is no receipt key of this genesis"), "{said}");
    // The same agencies with the same keys, and another beginning.
    let changed = town.directory.path().join("changed.json");
    let bytes = fs::read_to_string(&town.four.genesis).unwrap();
    let middle = bytes.find("\"payload\"").unwrap() + 40;
    let mut text = bytes.into_bytes();
    text[middle] = if text[middle] == b'A' { b'B' } else { b'A' };
    fs::write(&changed, text).unwrap();
    let (code, said) = town.refused(VICTIM, &[format!("node.genesis={}", changed.display())]);
    assert_eq!(code, Some(2), "{said}");
    town.blocks(2, 0);
    town.four.start(VICTIM).unwrap();
    town.ready(&[VICTIM]);
    town.must_be_whole();
}

#[test]
fn two_nodes_with_one_key_are_noticed_and_decide_nothing_twice() {
    let mut town = Town::running(4);
    town.blocks(2, VICTIM);
    // A copy of everything but the ledger, at addresses of its own.
    let copy = town.directory.path().join("copy");
    fs::create_dir(&copy).unwrap();
    let key = |name: &str| format!("keys.{name}={}", town.four.members[VICTIM].home.join("keys").display());
    let mut settings: Vec<String> =
        ["consensus", "receipt", "peer"].map(|name| format!("{}/{name}-1.json", key(name))).to_vec();
    settings.push(format!("node.data={}", copy.join("data").display()));
    settings.push("http.listen=127.0.0.1:0".to_owned());
    settings.push("peers.listen=127.0.0.1:0".to_owned());
    settings.push("telemetry.filter=warn".to_owned());
    let log = copy.join("log");
    let binary = town.four.binary().clone();
    let mut second = binary.start(town.four.config(VICTIM), &settings, &log, None).unwrap();
    let told = |four: &Four| (0..VICTIM).any(|place| four.talk(place).contains("two nodes use its key"));
    assert!(eventually(PATIENCE, || told(&town.four).then_some(())).is_some(), "nobody says so: {}", second.talk());
    town.blocks(3, 0);
    assert!(second.runs(), "{}", second.talk());
    second.stop().unwrap();
    town.ready(&[0, 1, 2, 3]);
    town.must_be_whole();
}

#[test]
fn evidence_that_waited_when_a_process_ended_is_reported_by_the_next() {
    let mut town = Town::running(6);
    town.blocks(2, VICTIM);
    town.four.kill(&[VICTIM]).unwrap();
    let genesis = Genesis::parse(&fs::read(&town.four.genesis).unwrap()).unwrap();
    let key = town.four.members[1].home.join("keys/consensus-1.json");
    let key: Value = serde_json::from_slice(&fs::read(key).unwrap()).unwrap();
    let key = SecretKey::from_seed(decode_base64url_array(key["seed"].as_str().unwrap()).unwrap());
    let vote = |block: Option<BlockId>| {
        let (chain, suite) = (genesis.chain_id(), genesis.suite());
        let signature = sign_vote(&key, &chain, suite, VoteKind::Prevote, 1, 0, block.as_ref());
        Signed { block, pol_round: None, signature }
    };
    let accused: OrganisationId = "police".parse().unwrap();
    let other = Some(Hash::of(b"another").into());
    let proof = Equivocation::new(accused, (1, 0, Step::Prevote), vote(None), vote(other));
    // What a process that saw both votes, and nobody else did, left behind.
    let left = town.four.members[VICTIM].home.join("data/consensus/evidence.json");
    assert!(!left.exists(), "nothing waited");
    fs::write(&left, json!({"pending": [proof]}).to_string()).unwrap();
    town.four.start(VICTIM).unwrap();
    assert!(eventually(PATIENCE, || (!left.exists()).then_some(())).is_some(), "{}", town.four.talk(VICTIM));
    town.ready(&[0, 1, 2, 3]);
    town.four.until_level().unwrap();
    for place in 0..NODES {
        let status = town.four.status(place).unwrap();
        assert_eq!(status["evidence"]["count"], 1, "{status}");
        assert_eq!(status["evidence"]["newest"][0]["validator"], "police", "{status}");
    }
    // Damage is said, with what to do.
    town.four.stop(VICTIM).unwrap();
    fs::write(&left, "{").unwrap();
    let (code, said) = town.refused(VICTIM, &[]);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("evidence.json is damaged") && said.contains("move it away"), "{said}");
    fs::remove_file(&left).unwrap();
    town.four.start(VICTIM).unwrap();
    town.ready(&[VICTIM]);
    town.must_be_whole();
}

#[test]
fn a_full_disk_of_one_stops_nobody_else() {
    let mut town = Town::found(5);
    let data = town.directory.path().join("disk");
    let disk = match Disk::mount(&data) {
        Ok(disk) => disk,
        Err(reason) => {
            // Past what catches a test's output: nobody is to think that it was tried.
            let text = format!("NOT TRIED: a full disk of one of four: a small disk needs root: {reason}\n");
            std::io::stderr().write_all(text.as_bytes()).unwrap();
            return;
        }
    };
    let settings = [format!("node.data={}", data.join("data").display()), "store.reserve-bytes=25165824".to_owned()];
    (0..VICTIM).for_each(|place| town.four.start(place).unwrap());
    town.four.start_with(VICTIM, &settings).unwrap();
    town.ready(&[0, 1, 2, 3]);
    town.blocks(2, VICTIM);
    disk.fill(0).unwrap();
    town.blocks(5, 0);
    // It says so, while it serves or as it ends.
    let says = |town: &mut Town| {
        if let Some(ended) = town.four.ends(VICTIM, Duration::ZERO).unwrap() {
            return Some(ended);
        }
        let status = town.four.status(VICTIM)?;
        (status["health"] == "disk-full").then(|| (None, town.four.talk(VICTIM)))
    };
    let (code, talk) = eventually(PATIENCE, || says(&mut town)).expect("it says that its disk is full");
    assert!(code.is_none_or(|code| code == 5), "{code:?} {talk}");
    assert!(talk.contains("the disk is full") || talk.contains("No space left"), "{code:?} {talk}");
    disk.make_room().unwrap();
    if code.is_some() {
        town.four.start_with(VICTIM, &settings).unwrap();
    }
    town.ready(&[VICTIM]);
    // The verdict reads the ledger where a node has it.
    let home = town.four.members[VICTIM].home.clone();
    town.four.until_level().unwrap();
    town.four.stop(VICTIM).unwrap();
    copy(&data.join("data"), &home.join("data"));
    town.four.start(VICTIM).unwrap();
    town.ready(&[VICTIM]);
    town.must_be_whole();
}

/// Copies a directory with everything in it, but no locks of whoever ran on it.
fn copy(from: &Path, to: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
