//! A client's connection: HTTP/1.1, kept alive, one request at a time. It costs little, so that it does not hide the node
//! on a machine that both share. It knows what the REST door sends and nothing more: answers with a `content-length`.

use std::net::SocketAddr;

use anyhow::{Context as _, anyhow, bail};
use tokio::net::TcpStream;

/// Bytes of an answer's head at most.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Bytes of an answer at most, head and body.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    host: String,
    received: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its status.
    pub(super) status: u16,
    /// Its body.
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The body's beginning, to be shown.
    pub(super) fn excerpt(&self) -> String {
        let text: String = String::from_utf8_lossy(&self.body).chars().take(200).collect();
        format!("{}: {text}", self.status)
    }
}

impl Connection {
    /// Connects.
    pub(super) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true).context("send small requests at once")?;
        Ok(Self { stream, host: address.to_string(), received: Vec::new() })
    }

    /// Sends a request and reads its answer. `headers` are whole lines, each with its line's end.
    pub(super) async fn ask(&mut self, request: &str, headers: &str, body: &[u8]) -> anyhow::Result<Answer> {
        let length = body.len();
        let mut bytes =
            format!("{request} HTTP/1.1\r\nhost: {}\r\ncontent-length: {length}\r\n{headers}\r\n", self.host)
                .into_bytes();
        bytes.extend_from_slice(body);
        self.send(&bytes).await.context("send a request")?;
        self.answer().await.context("read an answer")
    }

    async fn send(&self, mut bytes: &[u8]) -> anyhow::Result<()> {
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn answer(&mut self) -> anyhow::Result<Answer> {
        self.received.clear();
        loop {
            if let Some(head) = head(&self.received)? {
                let whole = head.bytes + head.content_length;
                if whole > ANSWER_BYTES_MAX {
                    bail!("it has more than {ANSWER_BYTES_MAX} bytes");
                }
                while self.received.len() < whole {
                    self.receive().await?;
                }
                let body = self.received[head.bytes..whole].to_vec();
                return Ok(Answer { status: head.status, body });
            }
            if self.received.len() > HEAD_BYTES_MAX {
                bail!("its head has more than {HEAD_BYTES_MAX} bytes");
            }
            self.receive().await?;
        }
    }

    async fn receive(&mut self) -> anyhow::Result<()> {
        self.stream.readable().await?;
        let mut buffer = [0; 8 * 1024];
        match self.stream.try_read(&mut buffer) {
            Ok(0) => Err(anyhow!("the connection was closed")),
            Ok(read) => {
                self.received.extend_from_slice(&buffer[..read]);
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// What an answer's head says.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// The head's length, its empty line included.
    bytes: usize,
    content_length: usize,
}

/// Reads a head, if all of it is there.
fn head(received: &[u8]) -> anyhow::Result<Option<Head>> {
    let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&received[..end]).context("its head is no text")?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok());
    let status = status.ok_or_else(|| anyhow!("it does not begin with an HTTP/1.1 status"))?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let content_length = length.ok_or_else(|| anyhow!("it has no content-length"))?;
    Ok(Some(Head { status, bytes: end + 4, content_length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_all_of_it_is_there() {
        let answer = b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\nx: y\r\n\r\nhello";
        assert_eq!(head(answer).unwrap(), Some(Head { status: 201, bytes: answer.len() - 5, content_length: 5 }));
        assert_eq!(head(&answer[..30]).unwrap(), None);
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(head(b"ICY 200 OK\r\ncontent-length: 1\r\n\r\n").is_err());
    }
}
