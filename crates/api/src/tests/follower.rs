//! A client that follows the ledger: reads server-sent events as they come (WHATWG HTML §9.2).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::client::{Answer, connect, head, parse};
use super::node::Node;

/// One dispatched event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    /// Its type; `message` when none is given.
    pub(crate) kind: String,
    /// The id that holds when it is dispatched.
    pub(crate) id: String,
    /// Its data.
    pub(crate) data: Value,
}

impl Event {
    /// The leaf of the event that it carries.
    pub(crate) fn leaf(&self) -> u64 {
        self.data["data"]["leaf_index"].as_u64().unwrap_or_else(|| panic!("no event of the ledger: {self:?}"))
    }
}

/// What a block of lines did.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Moved {
    /// It moved the id, and that was all.
    Id,
    /// It dispatched an event.
    Event(Event),
    /// There was none: the stream has ended.
    End,
}

/// A stream of events.
pub(crate) struct Follower {
    stream: BufReader<TcpStream>,
    text: String,
    /// The last id, also of blocks without data.
    pub(crate) last_id: String,
}

impl Follower {
    /// Begins to follow.
    pub(crate) fn start(node: &Node, name: &str, query: &str) -> Self {
        Self::resume(node, name, query, None)
    }

    /// Begins to follow behind an id.
    pub(crate) fn resume(node: &Node, name: &str, query: &str, last_id: Option<&str>) -> Self {
        Self::try_start(node, name, query, last_id).unwrap_or_else(|answer| panic!("{}", answer.text()))
    }

    /// The same; gives the answer when it is no stream.
    pub(crate) fn try_start(node: &Node, name: &str, query: &str, last_id: Option<&str>) -> Result<Self, Box<Answer>> {
        let bearer = node.bearer(name);
        let mut headers = vec![("authorization", bearer.as_str()), ("accept", "text/event-stream")];
        headers.extend(last_id.map(|id| ("last-event-id", id)));
        let mut stream = connect(node.address);
        // The system would keep megabytes for one who does not read.
        socket2::SockRef::from(&stream).set_recv_buffer_size(16 * 1024).unwrap();
        stream.write_all(&head("GET", &format!("/v1/events{query}"), &headers, None)).unwrap();
        let mut stream = BufReader::new(stream);
        let (mut first, mut line) = (Vec::new(), Vec::new());
        while line != b"\r\n" {
            line.clear();
            assert!(stream.read_until(b'\n', &mut line).unwrap() > 0, "no answer");
            first.extend_from_slice(&line);
        }
        if !first.starts_with(b"HTTP/1.1 200") {
            stream.read_to_end(&mut first).unwrap();
            return Err(Box::new(parse(&first)));
        }
        let answer = parse(&[first.as_slice(), b"0\r\n\r\n"].concat());
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        Ok(Self { stream, text: String::new(), last_id: String::new() })
    }

    /// One block of lines; `None` when the stream has ended.
    fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let mut line = String::new();
            self.stream.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            self.stream.read_exact(&mut chunk).unwrap();
            self.text.push_str(std::str::from_utf8(&chunk[..size]).unwrap());
            if size == 0 {
                return None;
            }
        }
    }

    /// Reads a block of lines.
    pub(crate) fn moved(&mut self) -> Moved {
        let Some(block) = self.block() else { return Moved::End };
        let (mut kind, mut data) = ("message".to_owned(), None);
        for line in block.lines() {
            match line.split_once(": ").unwrap_or_else(|| panic!("no field: {line}")) {
                ("id", id) => id.clone_into(&mut self.last_id),
                ("event", text) => text.clone_into(&mut kind),
                ("data", text) => data = Some(serde_json::from_str(text).unwrap()),
                ("retry", ms) => assert!(ms.parse::<u64>().is_ok(), "{ms}"),
                other => panic!("{other:?}"),
            }
        }
        data.map_or(Moved::Id, |data| Moved::Event(Event { kind, id: self.last_id.clone(), data }))
    }

    /// The next event; `None` when the stream has ended.
    pub(crate) fn next(&mut self) -> Option<Event> {
        loop {
            match self.moved() {
                Moved::Id => {}
                Moved::Event(event) => return Some(event),
                Moved::End => return None,
            }
        }
    }

    /// So many events.
    pub(crate) fn take(&mut self, count: usize) -> Vec<Event> {
        (0..count).map(|_| self.next().expect("the stream goes on")).collect()
    }

    /// The code that the stream ends with.
    pub(crate) fn end(&mut self) -> String {
        let event = self.next().expect("a stream says why it ends");
        assert_eq!(event.kind, "end", "{event:?}");
        assert_eq!(self.next(), None);
        event.data["code"].as_str().unwrap().to_owned()
    }
}

/// The leaves of events.
pub(crate) fn leaves(events: &[Event]) -> Vec<u64> {
    events.iter().map(Event::leaf).collect()
}
