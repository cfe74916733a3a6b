//! Checks of invoices, one or many a call.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use client::messages::batch_verify_answer::Answer;
use client::messages::{VerifyRequest, VerifyResult, verify_request};

use super::doors::Doors;
use super::{Course, Watch, clients, stock};
use crate::commands::bench::Args;
use crate::commands::bench::report::Report;
use crate::exit::{Exit, Exits as _, Failure};
use crate::output::Output;

/// Invoices that are checked in turn.
const INVOICES: usize = 2_000;

/// Measures checks; so many a call, or one by itself.
pub(super) async fn run(
    args: &Args,
    doors: &Arc<Doors>,
    batch: Option<u64>,
    output: &Output,
) -> Result<Report, Failure> {
    let qrs = Arc::new(stock::qrs(args, doors, INVOICES, output).await.or_exit(Exit::Refused)?);
    let a_call = batch.unwrap_or(1);
    let doors = Arc::clone(doors);
    let call = move |place: u64| {
        let (doors, qrs) = (Arc::clone(&doors), Arc::clone(&qrs));
        async move {
            match batch {
                None => one(&doors, &qrs, place).await,
                Some(size) => many(&doors, &qrs, place, size).await,
            }
        }
    };
    let limit = Duration::from_secs(args.seconds);
    Course::new(args.warm_up.div_ceil(a_call), None, limit).run(clients(args), call.clone()).await;
    let watch = Watch::begin(args);
    let course = Course::new(args.events().div_ceil(a_call), args.rate, limit);
    course.run(clients(args), call).await;
    let mode = if batch.is_some() { "grpc batch-verify" } else { "grpc verify" };
    let mut report = Report::of(args, mode, clients(args), &course.recorder, watch.cpu_us());
    report.answer = report.finality.take();
    report.batch = batch;
    report.resident_bytes_max = watch.end();
    Ok(report)
}

fn qr(qrs: &[String], place: u64) -> String {
    let count = u64::try_from(qrs.len()).unwrap_or(u64::MAX).max(1);
    usize::try_from(place % count).ok().and_then(|place| qrs.get(place)).cloned().unwrap_or_default()
}

async fn one(doors: &Doors, qrs: &[String], place: u64) -> anyhow::Result<u64> {
    let found = doors.any(place).verify_qr(&qr(qrs, place)).await.context("verify")?.result();
    if found != VerifyResult::Match {
        bail!("verify: {}", found.as_str_name());
    }
    Ok(1)
}

async fn many(doors: &Doors, qrs: &[String], place: u64, size: u64) -> anyhow::Result<u64> {
    let request = |number| VerifyRequest { by: Some(verify_request::By::Qr(qr(qrs, number))) };
    let requests = (place * size..(place + 1) * size).map(request).collect();
    for answer in doors.any(place).batch_verify(requests).await.context("verify")? {
        match answer.answer.ok_or_else(|| anyhow!("verify: an answer is empty"))? {
            Answer::Response(response) if response.result() == VerifyResult::Match => {}
            Answer::Response(response) => bail!("verify: {}", response.result().as_str_name()),
            Answer::Problem(problem) => bail!("verify: {}", problem.code),
        }
    }
    Ok(size)
}
