//! Checks that several trials make of a node that runs.

use std::fs;
use std::path::Path;
use std::thread;

use super::Broken;
use super::archive::Chain;
use super::binary::Binary;
use super::client::Client;
use super::load::{Meter, Worker};

/// Lets every worker send again what was not answered and ask again for what was: everything since the last check, and a
/// sample of what is older. Gives everything that is not as it was told.
pub fn acknowledged(
    workers: &mut [Worker],
    client: &Client,
    meter: &Meter,
    sample: usize,
) -> Result<Vec<String>, Broken> {
    let outcomes: Vec<Result<(), Broken>> = thread::scope(|scope| {
        let check = |worker| {
            let client = client.another();
            scope.spawn(move || Worker::check(worker, &client, meter, sample))
        };
        let checks: Vec<_> = workers.iter_mut().map(check).collect();
        checks.into_iter().map(|check| check.join().expect("checking does not panic")).collect()
    });
    outcomes.into_iter().collect::<Result<(), Broken>>()?;
    Ok(workers.iter_mut().flat_map(Worker::take_losses).collect())
}

/// Exports the chain of a running node to `archive`, verifies it at a level, and, at the deepest, holds it against every answer.
pub fn chain(
    binary: &Binary,
    client: &Client,
    genesis: &Path,
    archive: &Path,
    level: &str,
    workers: &[Worker],
) -> Result<Vec<String>, Broken> {
    let token = archive.with_extension("token");
    fs::write(&token, client.cast().token("demo-auditor"))?;
    let path = |path: &Path| path.display().to_string();
    let (token, archive_path) = (path(&token), path(archive));
    let arguments = ["export", "--url", client.url(), "--token-file", &token, "--force", "--out", &archive_path];
    let exported = binary.run(arguments)?;
    if exported.code != 0 {
        return Ok(vec![format!("export ended with {}: {}", exported.code, exported.stderr)]);
    }
    let verified = binary.run(["verify", &archive_path, "--genesis", &path(genesis), "--level", level])?;
    if verified.code != 0 {
        let text = format!("verify --level {level} ended with {}: {}", verified.code, verified.stdout);
        return Ok(vec![text + &verified.stderr]);
    }
    if level != "replay" {
        return Ok(Vec::new());
    }
    Ok(Chain::read(archive)?.check(workers.iter().flat_map(|worker| &worker.acknowledged)))
}
