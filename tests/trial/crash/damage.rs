//! Copies of a node's directory in which bytes of the ledger are destroyed.
//!
//! Whatever was hit, the node must not serve what is wrong: it refuses to start and says where, or
//! nothing that is in use was hit, and the whole chain is there and verifies.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::faults::files;
use super::{EXIT_FAULT, tail};
use crate::trial::archive::Chain;
use crate::trial::binary::{Binary, PATIENCE, eventually, odd_talk};
use crate::trial::client::Client;
use crate::trial::load::Acknowledged;
use crate::trial::seed::Seed;
use crate::trial::{Broken, Report, copy_directory};

/// Copies that are tried in one round.
const COPIES: u64 = 4;

/// Bytes that are destroyed at one place.
const HIT_BYTES: usize = 512;

/// Places that are destroyed in one copy at most.
const PLACES_MAX: u64 = 6;

/// How damaged copies ended.
#[derive(Debug, Default)]
pub(super) struct Tally {
    refused: u64,
    names_height: u64,
    /// Of those refused, how many served until the damage was read.
    later: u64,
    unhurt: u64,
    said: Vec<String>,
}

impl Tally {
    /// Takes down what a node said of damage. It has to name a height.
    fn finding(&mut self, hit: &str, said: &str) -> Option<String> {
        let names_height = said.contains(" height ");
        self.refused += 1;
        self.names_height += u64::from(names_height);
        self.said.push(format!("{hit}: {said}"));
        (!names_height).then(|| format!("{hit}: no height in: {said}"))
    }

    pub(super) fn tell(&self, report: &mut Report) {
        report.fact("damaged ledgers refused", self.refused);
        report.fact("  of these only when the damage was read", self.later);
        report.fact("  of these with a height in the finding", self.names_height);
        report.fact("damage to bytes not in use, chain whole", self.unhurt);
        for (number, said) in self.said.iter().enumerate() {
            report.fact(&format!("  finding {}", number + 1), said);
        }
    }
}

/// Tries some damaged copies of a node that is down.
pub(super) fn try_copies<'a>(
    binary: &Binary,
    data: &Path,
    client: &Client,
    seed: &mut Seed,
    told: impl Iterator<Item = &'a Acknowledged> + Clone,
    tally: &mut Tally,
) -> Result<Vec<String>, Broken> {
    let mut losses = Vec::new();
    for number in 0..COPIES {
        let image = data.with_file_name("damaged");
        if image.exists() {
            fs::remove_dir_all(&image)?;
        }
        copy_directory(data, &image)?;
        // Without an index every body is read again at the start.
        let without_index = number % 2 == 0;
        if without_index {
            fs::remove_dir_all(image.join("data/index"))?;
        }
        let hit = destroy(&image.join("data/ledger"), seed)?;
        losses.extend(one(binary, &image, client, &hit, told.clone(), tally)?);
        fs::remove_dir_all(&image)?;
    }
    Ok(losses)
}

/// Destroys some bytes of some files of the ledger: most of what is there are pages out of use, so one place is not enough.
fn destroy(ledger: &Path, seed: &mut Seed) -> Result<String, Broken> {
    let places = 1 + seed.below(PLACES_MAX);
    let hits: Result<Vec<String>, Broken> = (0..places).map(|_| destroy_one(ledger, seed)).collect();
    Ok(hits?.join(", "))
}

/// Destroys some bytes of some file, that is not empty there.
fn destroy_one(ledger: &Path, seed: &mut Seed) -> Result<String, Broken> {
    let files = files(ledger)?;
    for _ in 0..200 {
        let path = &files[seed.place(files.len())];
        let file = fs::File::options().read(true).write(true).open(path)?;
        let length = file.metadata()?.len();
        let mut bytes = [0; HIT_BYTES];
        let offset = seed.below(length);
        let read = file.read_at(&mut bytes, offset)?;
        let hit = &mut bytes[..read];
        if hit.iter().all(|byte| *byte == 0) {
            continue;
        }
        hit.iter_mut().for_each(|byte| *byte ^= 0x5a);
        file.write_all_at(hit, offset)?;
        let name = path.strip_prefix(ledger).unwrap_or(path).display();
        return Ok(format!("{read} bytes at {offset} of {name} ({length} bytes)"));
    }
    Err("nothing to destroy was found in the ledger".into())
}

fn one<'a>(
    binary: &Binary,
    image: &Path,
    client: &Client,
    hit: &str,
    told: impl Iterator<Item = &'a Acknowledged>,
    tally: &mut Tally,
) -> Result<Vec<String>, Broken> {
    let mut life = binary.dev(image, &image.with_extension("log"))?;
    match life.serves()? {
        Err(status) => {
            let talk = life.talk();
            let mut losses = odd_talk(&talk);
            let said = talk.lines().find(|line| line.starts_with("error: ")).unwrap_or_default().to_owned();
            if status.code() != Some(EXIT_FAULT) {
                losses.push(format!("{hit}: it ended with {status}: {}", tail(&talk)));
            }
            losses.extend(tally.finding(hit, &said));
            Ok(losses)
        }
        Ok(ready) => {
            let served = super::client(&ready, std::sync::Arc::clone(client.cast()))?;
            served.ask_time()?;
            let path = |path: &Path| path.display().to_string();
            let (archive, token) = (image.with_extension("archive"), image.with_extension("token"));
            fs::write(&token, served.cast().token("demo-auditor"))?;
            let (out, token) = (path(&archive), path(&token));
            let exported =
                binary.run(["export", "--url", served.url(), "--token-file", &token, "--force", "--out", &out])?;
            let mut losses = Vec::new();
            if exported.code != 0 && eventually(PATIENCE, || (!life.runs()).then_some(())).is_none() {
                losses.push(format!("{hit}: export ended with {}, and it serves on", exported.code));
            }
            let talk = life.kill()?;
            losses.extend(odd_talk(&talk));
            if exported.code != 0 {
                // It serves what is sound and stops at what is not, which nobody has asked for before.
                let said =
                    talk.lines().find(|line| line.contains("ERROR") || line.contains("error")).unwrap_or_default();
                tally.later += 1;
                losses.extend(tally.finding(&format!("{hit}: found when it was read"), said));
                return Ok(losses);
            }
            tally.unhurt += 1;
            let missing = Chain::read(&archive)?.check(told);
            losses.extend(missing.into_iter().map(|loss| format!("{hit}: it serves, and {loss}")));
            Ok(losses)
        }
    }
}
