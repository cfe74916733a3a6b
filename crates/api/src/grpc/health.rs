//! `grpc.health.v1`, tied to whether the node is ready for work.

use std::sync::Arc;
use std::time::Duration;

use replica::port::Store;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::HealthReporter;

use super::{LEDGER, REIMBURSEMENT};
use crate::service::Service;

/// How often it is looked at how the node is.
const LOOK: Duration = Duration::from_millis(250);

/// What is asked about: the door as a whole, and its services.
const NAMES: [&str; 3] = ["", REIMBURSEMENT, LEDGER];

/// The health service. It is kept true until `stop`, and then says that nothing is served any more.
pub(super) fn watched<S: Store>(service: Arc<Service<S>>, stop: CancellationToken) -> HealthServer<impl Health> {
    let reporter = HealthReporter::new();
    let health = tonic_health::server::HealthService::from_health_reporter(reporter.clone());
    tokio::spawn(async move {
        let mut told = None;
        loop {
            let ready = service.health().0 && !stop.is_cancelled();
            if told != Some(ready) {
                tell(&reporter, ready).await;
                told = Some(ready);
            }
            if stop.is_cancelled() {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    });
    HealthServer::new(health)
}

async fn tell(reporter: &HealthReporter, ready: bool) {
    let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    for name in NAMES {
        reporter.set_service_status(name, status).await;
    }
}
