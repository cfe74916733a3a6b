//! `Subscribe`: the feed of events, as messages.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _, stream};
use replica::port::Store;
use tokio::time::{Instant, timeout_at};
use tonic::{Request, Response, Status};
use wire::generated::{SubscribeRequest, SubscribeResponse};

use super::context::Asked;
use super::reimbursement::said;
use super::{Handlers, convert, status};
use crate::feed::{Cursor, Filter, Next, Reader, Subscription};
use crate::problem::Problem;
use crate::service::Service;

/// What comes next, until a status ends it.
pub(crate) type Events = Pin<Box<dyn Stream<Item = Result<SubscribeResponse, Status>> + Send>>;

/// One who follows the ledger over gRPC.
struct Following<S: Store> {
    subscription: Subscription<S>,
    deadline: Option<Instant>,
    /// The request's id.
    id: String,
    over: bool,
}

impl<S: Store> Handlers<S> {
    /// Follows the ledger.
    pub(crate) async fn follow(&self, request: Request<SubscribeRequest>) -> Result<Response<Events>, Status> {
        let Asked { context, message } = Asked::from(request)?;
        let asked = Arc::clone(&context);
        let read = move |service: &Service<S>| {
            let caller = &asked.caller;
            let kinds = message.kinds.join(",");
            let (invoice, organisation) = (said(&message.invoice), said(&message.organisation));
            let filter = Filter::read(service, caller, said(&kinds), invoice, organisation)?;
            let after = said(&message.after).map(|text| Cursor::read_here(text, service)).transpose()?;
            Ok((Reader::from(caller), filter, after))
        };
        let refused = |problem: Problem| status::of(&problem, &context.id);
        let (reader, filter, after) = self.service.run(&context.name, read).await.map_err(refused)?;
        let subscription = self.service.subscribe(reader, filter, after.as_ref()).map_err(refused)?;
        let following = Following { subscription, deadline: context.deadline, id: context.id.clone(), over: false };
        let events = stream::unfold(following, async |mut following: Following<S>| {
            let next = following.next().await?;
            Some((stream::iter(next), following))
        });
        Ok(Response::new(Box::pin(events.flatten())))
    }
}

impl<S: Store> Following<S> {
    /// The next messages, when they come; `None` behind the end.
    async fn next(&mut self) -> Option<Vec<Result<SubscribeResponse, Status>>> {
        if self.over {
            return None;
        }
        let next = match self.deadline {
            None => self.subscription.next().await,
            Some(deadline) => match timeout_at(deadline, self.subscription.next()).await {
                Ok(next) => next,
                Err(_) => Some(Next::End(Box::new(Problem::new("request.deadline")))),
            },
        };
        Some(match next? {
            Next::Items(items) => items.iter().map(|item| Ok(convert::delivery(item))).collect(),
            Next::Bookmark(cursor) => vec![Ok(SubscribeResponse { cursor: cursor.to_string(), event: None })],
            Next::End(problem) => {
                self.over = true;
                vec![Err(status::of(&problem, &self.id))]
            }
        })
    }
}
