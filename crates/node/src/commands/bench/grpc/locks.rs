//! Locks, from when each is due until it is decided.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use client::{Event, Lock, Signed, Signer};
use rayon::iter::{IndexedParallelIterator as _, IntoParallelIterator as _, ParallelIterator as _};

use super::doors::Doors;
use super::stock::Claimable;
use super::{Course, Watch, clients, stock};
use crate::commands::bench::Args;
use crate::commands::bench::machine::disk_bytes;
use crate::commands::bench::report::Report;
use crate::exit::{Exit, Exits as _, Failure};
use crate::output::Output;

/// Locks of one run: each is kept in memory, signed.
const LOCKS_MAX: u64 = 500_000;

/// A signed lock, and whose.
struct Ready {
    platform: usize,
    signed: Signed,
}

/// Measures locks.
pub(super) async fn run(args: &Args, doors: &Arc<Doors>, output: &Output) -> Result<Report, Failure> {
    let count = args.events() + args.warm_up;
    if count > LOCKS_MAX {
        let text = format!("lock {count} invoices: at most {LOCKS_MAX} are signed beforehand");
        return Err(Failure::text(Exit::Usage, text));
    }
    let stock = stock::issue(args, doors, count, output).await.or_exit(Exit::Refused)?;
    let mut warm_up = sign(doors, stock).or_exit(Exit::Unexpected)?;
    let ready = warm_up.split_off(usize::try_from(args.warm_up).context("count locks")?.min(warm_up.len()));
    let limit = Duration::from_secs(args.seconds);
    drive(args, doors, warm_up, None, limit).await;
    let before = (args.data.as_deref().map(disk_bytes), doors.grown().await.or_exit(Exit::Unavailable)?);
    let watch = Watch::begin(args);
    let course = drive(args, doors, ready, args.rate, limit).await;
    let mut report = Report::of(args, "grpc lock", clients(args), &course.recorder, watch.cpu_us());
    report.resident_bytes_max = watch.end();
    if let (Some(directory), (Some(bytes), leaves)) = (&args.data, before) {
        let leaves = doors.grown().await.or_exit(Exit::Unavailable)?.saturating_sub(leaves);
        report.disk_bytes_per_event = Some(disk_bytes(directory).saturating_sub(bytes) / leaves.max(1));
    }
    Ok(report)
}

/// Signs a lock of every invoice, on all cores.
fn sign(doors: &Doors, stock: Vec<Claimable>) -> anyhow::Result<Vec<Ready>> {
    let mut signers: BTreeMap<&str, (usize, Signer)> = BTreeMap::new();
    for (place, platform) in doors.consortium.platforms().iter().enumerate() {
        signers.insert(platform.as_str(), (place, doors.signer(platform)?));
    }
    let clock = doors.any(0);
    let sign = |(number, claimable): (usize, Claimable)| {
        let Claimable { invoice, enterprise, platform } = claimable;
        let (platform, signer) = signers.get(platform.as_str()).ok_or_else(|| anyhow!("{platform} is no platform"))?;
        let (enterprise, claim) = (enterprise.to_string(), format!("bench-{number}"));
        let event = Event::Lock(Lock { invoice, enterprise, claim, lease_seconds: None });
        Ok(Ready { platform: *platform, signed: clock.sign(signer, &event)? })
    };
    stock.into_par_iter().enumerate().map(sign).collect()
}

/// Sends every lock and waits until it is decided.
async fn drive(args: &Args, doors: &Arc<Doors>, ready: Vec<Ready>, rate: Option<u32>, limit: Duration) -> Arc<Course> {
    let course = Course::new(u64::try_from(ready.len()).unwrap_or(u64::MAX), rate, limit);
    let (doors, ready) = (Arc::clone(doors), Arc::new(ready));
    let call = move |place: u64| {
        let (doors, ready) = (Arc::clone(&doors), Arc::clone(&ready));
        async move {
            let lock = usize::try_from(place).ok().and_then(|place| ready.get(place));
            let Ready { platform, signed } = lock.ok_or_else(|| anyhow!("there are no more locks"))?;
            doors.of(*platform, place).decide(signed).await.context("lock")?;
            Ok(1)
        }
    };
    course.run(clients(args), call).await;
    course
}
