//! `GET /v1/archive`: the whole chain as an archive, streamed to agencies and auditors.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use chain::archive::ArchiveWriter;
use http_body_util::BodyExt;
use hyper::body::Frame;
use replica::port::Store;
use tokio::sync::mpsc;

use crate::call::Call;
use crate::problem::Problem;
use crate::service::Service;
use crate::shares::Full;

/// Pieces of the archive on their way to the client.
const PIECES_MAX: usize = 4;

/// Bytes of a piece, about.
const PIECE_BYTES: usize = 256 * 1024;

/// Archives under way at once; one organisation may have half of them.
const ARCHIVES_MAX: usize = 4;

/// Download the chain
///
/// An archive from genesis to the height committed last, for `einvoice verify`. For agencies and auditors. The end frame
/// tells a whole archive from one that was cut off.
#[utoipa::path(
    get, path = "/v1/archive", operation_id = "download_archive", tag = "chain",
    responses((status = 200, description = "The archive.", content_type = "application/octet-stream")),
    security(("login" = []))
)]
pub(crate) async fn archive<S: Store>(State(service): State<Arc<Service<S>>>, call: Call) -> Result<Response, Problem> {
    call.query(&[])?;
    let caller = service.read_as(call, |_, caller, _| Ok(caller.clone())).await?;
    if !caller.sees_everything() {
        return Err(Problem::new("auth.role-missing").at("", "an agency or auditor", caller.id().as_str()));
    }
    let share = service.archives.take(caller.id().clone(), 1).map_err(|full| {
        let expected = match full {
            Full::All => format!("at most {ARCHIVES_MAX} archives at once"),
            Full::One => format!("at most {} archives of an organisation at once", service.archives.one_max()),
        };
        Problem::new("node.busy").retry_after(30).at("", expected, "more")
    })?;
    let (pieces, receiver) = mpsc::channel(PIECES_MAX);
    let worker = Arc::clone(&service);
    tokio::task::spawn_blocking(move || {
        let _share = share;
        let broken = pieces.clone();
        if let Err(error) = write(&worker, Pieces { pieces, piece: Vec::new() }) {
            // A client that hung up is no failure of ours, and one that did not must not take this for a whole archive.
            if !broken.is_closed() {
                tracing::error!(error = %error, "failed to stream an archive");
                let _ = broken.blocking_send(Err(io::Error::other("the archive could not be read")));
            }
        }
    });
    let mut response = Body::new(Stream { receiver }.boxed_unsync()).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"einvoice.archive\""));
    Ok(response)
}

/// How many archives may be under way at once.
pub(crate) const fn archives_max() -> usize {
    ARCHIVES_MAX
}

fn write<S: Store>(service: &Service<S>, pieces: Pieces) -> Result<(), Box<dyn std::error::Error>> {
    let query = service.query();
    let mut writer = ArchiveWriter::new(pieces, query.genesis())?;
    // To the tip of this moment: a chain that grows must not keep the archive from ending.
    for height in 1..=query.tip().progress.height {
        let block = query.committed_block(height)?.ok_or("a decided block is gone")?;
        writer.push(&block)?;
    }
    writer.finish()?;
    Ok(())
}

/// Cuts what is written into pieces, and waits while the client is slow.
struct Pieces {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
}

impl Pieces {
    fn send(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        if piece.is_empty() {
            return Ok(());
        }
        self.pieces.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

/// The pieces as a body.
struct Stream {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
}

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.receiver.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
