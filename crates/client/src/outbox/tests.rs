//! What an outbox keeps, and what it says of what it cannot keep or read.

use std::fs;
use std::path::{Path, PathBuf};

use chain::hash::Hash;
use chain::identity::ChainId;
use chain::statement::Mode;
use tempfile::{TempDir, tempdir};

use super::*;
use crate::key::Key;
use crate::statement::Signer;

fn signed(number: u64) -> Signed {
    let key = Key {
        organisation: "shop".parse().unwrap(),
        id: "statement-1".parse().unwrap(),
        secret: chain::key::SecretKey::from_seed([1; 32]),
    };
    let chain = ChainId::new("demo".parse().unwrap(), Hash::from_bytes([3; 32]));
    let nonce = crate::Nonce::new(format!("n-{number}")).unwrap();
    Signer::new(key, chain).sign(Some(nonce), Mode::All, &[r#"{"void":{"invoice":"i"}}"#], 1_000).unwrap()
}

fn open(home: &TempDir) -> Result<Outbox, OutboxError> {
    Outbox::open(&home.path().join("outbox"), OutboxLimits::default())
}

/// An outbox with these statements, closed again.
fn holding(statements: &[Signed]) -> TempDir {
    let home = tempdir().unwrap();
    let mut outbox = open(&home).unwrap();
    for signed in statements {
        outbox.put(signed).unwrap();
    }
    home
}

fn ids(outbox: &Outbox) -> Vec<StatementId> {
    outbox.list().map(|kept| kept.unwrap().statement).collect()
}

/// The file of the statement in this place.
fn file_of(home: &TempDir, place: usize) -> PathBuf {
    let entries = fs::read_dir(home.path().join("outbox")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.file_name().unwrap() != LOCK).collect();
    files.sort();
    files.swap_remove(place)
}

/// Sets a statement aside, as a node that turns it away does.
fn set_aside(outbox: &mut Outbox, signed: &Signed, code: &str) {
    let (number, slot) = outbox.find(signed.id()).unwrap();
    outbox.change(number, slot, State::SetAside, &file::write(signed, Some(code))).unwrap();
}

#[test]
fn what_was_put_is_there_again_byte_for_byte_and_in_its_order() {
    let statements = [signed(3), signed(1).with_attachments(vec![vec![0, 255], Vec::new()]), signed(2)];
    let home = holding(&statements);
    let mut outbox = open(&home).unwrap();
    assert_eq!(ids(&outbox), statements.each_ref().map(Signed::id));
    for (slot, expected) in outbox.slots.iter().zip(&statements) {
        let (found, code) = outbox.read(*slot.0, *slot.1).unwrap();
        assert_eq!((found.as_str(), &found.attachments, code), (expected.as_str(), &expected.attachments, None));
    }
    // The same again is the same, and has no second place.
    outbox.put(&statements[0]).unwrap();
    assert_eq!(outbox.len(), 3);
    outbox.forget(statements[0].id()).unwrap();
    outbox.forget(statements[0].id()).unwrap();
    outbox.put(&signed(4)).unwrap();
    drop(outbox);
    let expected = [statements[1].id(), statements[2].id(), signed(4).id()];
    assert_eq!(ids(&open(&home).unwrap()), expected);
}

#[test]
fn an_outbox_is_private_and_open_once() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = holding(&[signed(1)]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&home.path().join("outbox")), mode(&file_of(&home, 0))), (0o700, 0o600));
    let first = open(&home).unwrap();
    let refused = open(&home).unwrap_err();
    let this = Some(std::process::id());
    assert!(matches!(refused, OutboxError::Held { holder, .. } if holder == this), "{refused}");
    assert_eq!(refused.code(), "outbox.held");
    drop(first);
    open(&home).unwrap();
}

#[test]
fn a_full_outbox_says_so_and_keeps_what_it_has() {
    let home = tempdir().unwrap();
    let one = size(&file::write(&signed(1), None));
    let check = |limits: OutboxLimits, expected: &str| {
        let mut outbox = Outbox::open(home.path(), limits).unwrap();
        outbox.put(&signed(1)).unwrap();
        let refused = outbox.put(&signed(2)).unwrap_err();
        assert_eq!((refused.to_string().as_str(), refused.code()), (expected, "outbox.full"));
        assert_eq!(ids(&outbox), [signed(1).id()]);
        // What is there has its place already.
        outbox.put(&signed(1)).unwrap();
        set_aside(&mut outbox, &signed(1), "statement.expired");
        assert!(outbox.put(&signed(2)).is_err(), "what was set aside counts");
        outbox.discard(signed(1).id()).unwrap();
        outbox.put(&signed(2)).unwrap();
        outbox.forget(signed(2).id()).unwrap();
    };
    let large = OutboxLimits::default();
    check(OutboxLimits { statements_max: 1, ..large }, "outbox.full: statements: expected at most 1, found 2");
    let bytes_max = 2 * one - 1;
    let expected = format!("outbox.full: bytes: expected at most {bytes_max}, found {}", 2 * one);
    check(OutboxLimits { bytes_max, ..large }, &expected);
    let mut outbox = Outbox::open(home.path(), large).unwrap();
    let huge = signed(3).with_attachments(vec![vec![7; 7 * 1024 * 1024]]);
    assert_eq!(outbox.put(&huge).unwrap_err().code(), "outbox.too-large");
    assert!(outbox.is_empty());
}

#[test]
fn every_changed_byte_is_damage_that_names_its_file() {
    let home = holding(&[signed(1), signed(2), signed(3)]);
    let path = file_of(&home, 1);
    let whole = fs::read(&path).unwrap();
    let check = |content: &[u8]| {
        fs::write(&path, content).unwrap();
        let outbox = open(&home).unwrap();
        let listed: Vec<_> = outbox.list().collect();
        assert!(listed[0].is_ok() && listed[2].is_ok());
        let Err(OutboxError::Damaged { file, .. }) = &listed[1] else { panic!("it is damaged: {listed:?}") };
        assert_eq!(file, &path.canonicalize().unwrap());
    };
    for offset in (0..whole.len()).step_by(7) {
        let mut changed = whole.clone();
        changed[offset] ^= 1;
        check(&changed);
    }
    for end in [0, 1, 40, whole.len() / 2, whole.len() - 1] {
        check(&whole[..end]);
    }
    check(&[whole.as_slice(), b"more"].concat());
    check(&file::write(&signed(4), None));
    check(&file::write(&signed(2), Some("statement.expired")));
}

#[test]
fn what_is_no_file_of_an_outbox_is_named_and_half_a_file_goes() {
    let home = holding(&[signed(1)]);
    let outbox = home.path().join("outbox");
    let id = signed(2).id();
    for name in ["notes.txt", "1-x.statement", &format!("2-{id}.statement"), &format!("{:020}-{id}.jws", 2)] {
        fs::write(outbox.join(name), b"").unwrap();
        let refused = open(&home).unwrap_err();
        assert_eq!(refused.code(), "outbox.damaged");
        assert!(refused.to_string().contains(name), "{refused}");
        fs::remove_file(outbox.join(name)).unwrap();
    }
    // Two statements in one place.
    fs::write(outbox.join(format!("{:020}-{id}.statement", 1)), b"").unwrap();
    assert_eq!(open(&home).unwrap_err().code(), "outbox.damaged");
    fs::remove_file(outbox.join(format!("{:020}-{id}.statement", 1))).unwrap();
    let half = outbox.join(format!("{:020}-{id}.partial", 2));
    fs::write(&half, b"einvoice-out").unwrap();
    assert_eq!(ids(&open(&home).unwrap()), [signed(1).id()]);
    assert!(!half.exists());
}

#[test]
fn what_was_set_aside_is_kept_until_it_is_discarded_or_put_again() {
    let home = holding(&[signed(1), signed(2)]);
    let mut outbox = open(&home).unwrap();
    assert_eq!(outbox.discard(signed(1).id()).unwrap_err().code(), "outbox.unknown");
    set_aside(&mut outbox, &signed(1), "statement.expired");
    drop(outbox);
    let mut outbox = open(&home).unwrap();
    let codes = |outbox: &Outbox| outbox.list().map(|kept| kept.unwrap().set_aside).collect::<Vec<_>>();
    assert_eq!(codes(&outbox), [Some("statement.expired".to_owned()), None]);
    outbox.put(&signed(1)).unwrap();
    assert_eq!((ids(&outbox), codes(&outbox)), (vec![signed(1).id(), signed(2).id()], vec![None, None]));
    set_aside(&mut outbox, &signed(2), "document.invalid");
    outbox.discard(signed(2).id()).unwrap();
    assert_eq!(outbox.discard(signed(2).id()).unwrap_err().code(), "outbox.unknown");
    drop(outbox);
    assert_eq!(ids(&open(&home).unwrap()), [signed(1).id()]);
}

#[test]
fn a_crash_while_a_statement_is_set_aside_leaves_one_that_waits() {
    let home = holding(&[signed(1)]);
    let waits = file_of(&home, 0);
    let aside = waits.with_extension("set-aside");
    fs::write(&aside, file::write(&signed(1), Some("statement.expired"))).unwrap();
    let outbox = open(&home).unwrap();
    assert_eq!(outbox.list().map(|kept| kept.unwrap().set_aside).collect::<Vec<_>>(), [None]);
    assert!(waits.exists() && !aside.exists());
    drop(outbox);
    // There must be something whole to go back to.
    fs::write(&aside, file::write(&signed(1), Some("statement.expired"))).unwrap();
    fs::write(&waits, b"").unwrap();
    assert_eq!(open(&home).unwrap_err().code(), "outbox.damaged");
    assert!(waits.exists() && aside.exists());
}

#[test]
fn the_codes_are_sorted_and_begin_every_message() {
    assert!(OutboxError::CODES.is_sorted());
    let refused = OutboxError::Unknown { statement: signed(1).id(), found: "none" };
    assert!(refused.to_string().starts_with(refused.code()));
    assert!(OutboxError::CODES.contains(&refused.code()));
}

#[test]
fn what_is_no_outbox_is_neither_written_to_nor_followed() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let home = tempdir().unwrap();
    let (outbox, secret) = (home.path().join("outbox"), home.path().join("secret"));
    let lock = outbox.join(LOCK);
    fs::create_dir(&outbox).unwrap();
    let refused = |expected: &str| {
        let error = open(&home).unwrap_err();
        assert!(matches!(&error, OutboxError::Damaged { expected: said, .. } if *said == expected), "{error:?}");
    };
    // Another program's lock, alone and beside its files.
    fs::write(&lock, "held by backup, host 7").unwrap();
    refused("a file of an outbox");
    fs::write(outbox.join("notes"), "x").unwrap();
    refused("a file of an outbox");
    assert_eq!(fs::read_to_string(&lock).unwrap(), "held by backup, host 7");
    fs::remove_file(outbox.join("notes")).unwrap();
    fs::remove_file(&lock).unwrap();
    // A link to a file of the user's own.
    fs::write(&secret, "secret").unwrap();
    symlink(&secret, &lock).unwrap();
    refused("a file of an outbox");
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    fs::remove_file(&lock).unwrap();
    // Others could put such a link there.
    fs::set_permissions(&outbox, fs::Permissions::from_mode(0o777)).unwrap();
    refused("a directory that only its owner may write to");
    assert_eq!(fs::read_dir(&outbox).unwrap().count(), 0, "nothing was written");
    fs::set_permissions(&outbox, fs::Permissions::from_mode(0o700)).unwrap();
    open(&home).unwrap();
}

#[test]
fn what_the_ledger_refused_is_set_aside_until_somebody_looks() {
    let statement = signed(1);
    let home = holding(std::slice::from_ref(&statement));
    let mut outbox = open(&home).unwrap();
    let mut refused = crate::error::Refused::on_the_way(tonic::Code::FailedPrecondition, "");
    "invoice.void".clone_into(&mut refused.code);
    outbox.put_aside(statement.id(), &refused).unwrap();
    assert_eq!((outbox.waits(statement.id()), outbox.set_aside_count()), (false, 1));
    assert!(outbox.put_aside(statement.id(), &refused).is_err(), "it waits no more");
    drop(outbox);
    let kept = open(&home).unwrap().list().next().unwrap().unwrap();
    assert_eq!(kept.set_aside.as_deref(), Some("invoice.void"));
}
