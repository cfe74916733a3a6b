//! A client that sends what it is told, keeps no time, and knows no protobuf.

use std::net::SocketAddr;

use axum::body::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::HeaderMap;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tonic::Status;

use super::client::Refused;

/// Bytes of metadata that every client takes.
const METADATA_BYTES_MAX: usize = 8 * 1024;

/// Metadata as HTTP/2 counts it (RFC 9113 §6.5.2).
fn size(metadata: &HeaderMap) -> usize {
    metadata.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
}

/// A connection.
pub(crate) struct Raw {
    sender: SendRequest<Full<Bytes>>,
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender }
    }

    /// Sends bytes as the body of a call; gives the answer's message, or why there is none.
    pub(crate) async fn send(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> hyper::Result<Result<Bytes, Refused>> {
        self.sender.ready().await?;
        let mut request = hyper::Request::post(format!("http://door{path}")).header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/grpc");
        }
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        let body = body.collect().await?;
        let status = Status::from_header_map(&head.headers)
            .or_else(|| body.trailers().and_then(Status::from_header_map))
            .unwrap_or_else(|| panic!("no status: {head:?}"));
        let told = size(&head.headers).max(body.trailers().map_or(0, size));
        assert!(told <= METADATA_BYTES_MAX, "{told} bytes of metadata");
        if status.code() == tonic::Code::Ok {
            let bytes = body.to_bytes();
            return Ok(Ok(bytes.slice(5..)));
        }
        Ok(Err(Refused::from(status)))
    }

    /// Whether a call is refused before anybody looks at it: by an end of the call or connection, or by HTTP.
    pub(crate) async fn refused_outright(&mut self, path: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = hyper::Request::post(format!("http://door{path}")).header("content-type", "application/grpc");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(framed(b"")))).unwrap();
        match self.sender.send_request(request).await {
            Ok(response) => !response.status().is_success(),
            Err(_) => true,
        }
    }

    /// Makes a call with one message.
    pub(crate) async fn call(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        message: &[u8],
    ) -> Result<Bytes, Refused> {
        self.send(path, headers, framed(message)).await.unwrap()
    }
}

/// A message behind its prefix.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], length.as_slice(), message].concat()
}
