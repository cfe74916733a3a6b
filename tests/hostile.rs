//! Attacks on a running node's door, and what others notice of them.
//!
//! Each attack is a function from a target and a scale to a [`Report`]: many connections that send
//! next to nothing, bodies that never end, clients that never read. While it lasts an honest client
//! asks on fresh connections, from an address of its own, and must be served. The short forms of all
//! this are ordinary tests of the door; these are for full scale, against a real process.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// What the honest client asks for: public, and read from the store.
const HONEST_PATH: &str = "/v1/checkpoints/latest";

/// How long the honest client waits for an answer before it counts as not served.
const HONEST_PATIENCE: Duration = Duration::from_secs(10);

/// How often the honest client asks.
const HONEST_PAUSE: Duration = Duration::from_millis(50);

/// How long it asks before the attack, for comparison.
const BEFORE: Duration = Duration::from_secs(2);

/// Bytes of a chunk of a body without end.
const CHUNK_BYTES: usize = 64 * 1024;

/// What is attacked. Loopback only: the attackers' addresses are those of 127.1/16.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Where the door listens, without TLS.
    pub address: SocketAddr,
    /// The process, when its memory is to be watched.
    pub process: Option<u32>,
}

/// How large an attack is. Beyond some thousand connections the limit of open files must be raised for both sides.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Connections of the attackers.
    pub connections: u32,
    /// Addresses they come from, at most 60,000.
    pub addresses: u32,
    /// How long it lasts once all are open.
    pub lasts: Duration,
}

/// What an attack did.
#[derive(Clone, Debug)]
pub struct Report {
    /// The attack.
    pub attack: &'static str,
    /// Connections that could not even be opened.
    pub refused: u32,
    /// Connections the node had ended when it was over.
    pub ended: u32,
    /// Bytes the attackers got rid of.
    pub sent: u64,
    /// How the honest client fared before the attack.
    pub before: Served,
    /// How it fared meanwhile.
    pub meanwhile: Served,
}

/// How a client was served.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// Times until whole answers came.
    pub times: Vec<Duration>,
    /// Requests that were not answered.
    pub unanswered: u32,
    /// The most memory the node was seen with, bytes; 0 when nobody looked.
    pub memory_bytes_max: u64,
}

impl Served {
    /// The time below which so many percent of the answers came.
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let mut times = self.times.clone();
        times.sort_unstable();
        times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied()
    }
}

/// What one attacking connection does.
struct Attack {
    name: &'static str,
    /// Sent at once.
    first: Vec<u8>,
    /// Sent again and again, as far as the other side takes it.
    again: Vec<u8>,
    /// How long between two rounds over all connections.
    pause: Duration,
    /// How often a connection sends it at most.
    times_max: u32,
}

fn post(framing: &str) -> Vec<u8> {
    format!("POST /v1/verifications HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{framing}\r\n\r\n")
        .into_bytes()
}

/// Connections that send one byte of a large body a second.
///
/// # Errors
/// When the target cannot be asked at all.
pub fn drip(target: &Target, scale: &Scale) -> io::Result<Report> {
    let first = post("content-length: 4000000");
    let pause = Duration::from_secs(1);
    run(target, scale, &Attack { name: "one byte a second", first, again: b" ".to_vec(), pause, times_max: u32::MAX })
}

/// Connections that say nothing at all.
///
/// # Errors
/// When the target cannot be asked at all.
pub fn idle(target: &Target, scale: &Scale) -> io::Result<Report> {
    let pause = Duration::from_secs(1);
    run(target, scale, &Attack { name: "idle", first: Vec::new(), again: Vec::new(), pause, times_max: 0 })
}

/// Connections that announce the largest body and send half of it.
///
/// # Errors
/// When the target cannot be asked at all.
pub fn half_sent(target: &Target, scale: &Scale) -> io::Result<Report> {
    let (first, again) = (post("content-length: 4194304"), vec![b' '; CHUNK_BYTES]);
    let attack = Attack { name: "half a body", first, again, pause: Duration::ZERO, times_max: 32 };
    run(target, scale, &attack)
}

/// Connections that send bodies without end.
///
/// # Errors
/// When the target cannot be asked at all.
pub fn endless(target: &Target, scale: &Scale) -> io::Result<Report> {
    let mut again = format!("{CHUNK_BYTES:x}\r\n").into_bytes();
    again.resize(again.len() + CHUNK_BYTES, b' ');
    again.extend_from_slice(b"\r\n");
    let first = post("transfer-encoding: chunked");
    run(target, scale, &Attack { name: "no end", first, again, pause: Duration::ZERO, times_max: u32::MAX })
}

/// Connections that ask for much and read nothing.
///
/// # Errors
/// When the target cannot be asked at all.
pub fn deaf(target: &Target, scale: &Scale) -> io::Result<Report> {
    let again = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".to_vec();
    let pause = Duration::from_millis(100);
    run(target, scale, &Attack { name: "never reads", first: Vec::new(), again, pause, times_max: u32::MAX })
}

fn run(target: &Target, scale: &Scale, attack: &Attack) -> io::Result<Report> {
    ask(target)?;
    let before = honest(target, || thread::sleep(BEFORE)).0;
    let (meanwhile, (refused, ended, sent)) = honest(target, || attack_with(target, scale, attack));
    Ok(Report { attack: attack.name, refused, ended, sent, before, meanwhile })
}

/// Asks as an honest client while something goes on.
fn honest<T>(target: &Target, goes_on: impl FnOnce() -> T) -> (Served, T) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut served = Served::default();
            while !over.load(Ordering::Relaxed) {
                let started = Instant::now();
                match ask(target) {
                    Ok(()) => served.times.push(started.elapsed()),
                    Err(_) => served.unanswered += 1,
                }
                served.memory_bytes_max = served.memory_bytes_max.max(memory_bytes(target));
                thread::sleep(HONEST_PAUSE);
            }
            served
        });
        let came_out = goes_on();
        over.store(true, Ordering::Relaxed);
        (client.join().expect("the honest client does not panic"), came_out)
    })
}

/// One honest request on a connection of its own.
fn ask(target: &Target) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&target.address, HONEST_PATIENCE)?;
    stream.set_read_timeout(Some(HONEST_PATIENCE))?;
    write!(stream, "GET {HONEST_PATH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    // Before its first block a node has no checkpoint, and says so.
    let answered = [&b"HTTP/1.1 200"[..], b"HTTP/1.1 404"].iter().any(|start| answer.starts_with(start));
    if answered { Ok(()) } else { Err(ErrorKind::InvalidData.into()) }
}

/// What the process holds in memory, bytes; 0 when that cannot be read here.
fn memory_bytes(target: &Target) -> u64 {
    let status = target.process.and_then(|process| fs::read_to_string(format!("/proc/{process}/status")).ok());
    let line = status.as_deref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("VmRSS:")));
    let kib = line.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}

/// Connections refused, connections the node ended, bytes sent.
fn attack_with(target: &Target, scale: &Scale, attack: &Attack) -> (u32, u32, u64) {
    let (mut open, mut refused, mut sent) = (Vec::new(), 0, 0);
    for number in 0..scale.connections {
        match open_from(target, number % scale.addresses.max(1)).and_then(|mut stream| {
            stream.write_all(&attack.first)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        }) {
            Ok(stream) => open.push((stream, 0)),
            Err(_) => refused += 1,
        }
    }
    let opened = open.len();
    let until = Instant::now() + scale.lasts;
    while Instant::now() < until {
        open.retain_mut(|(stream, times)| {
            if *times >= attack.times_max {
                return true;
            }
            *times += 1;
            match stream.write(&attack.again) {
                Ok(bytes) => {
                    sent += bytes as u64;
                    true
                }
                Err(error) => error.kind() == ErrorKind::WouldBlock,
            }
        });
        thread::sleep(attack.pause.min(until.saturating_duration_since(Instant::now())));
    }
    // What the node has ended tells so when it is read; what it answered, and left open, does not.
    open.retain_mut(|(stream, _)| {
        !matches!(stream.read(&mut [0]), Ok(0)) && stream.take_error().is_ok_and(|e| e.is_none())
    });
    let ended = u32::try_from(opened - open.len()).unwrap_or(u32::MAX);
    (refused, ended, sent)
}

/// A connection from one of the attackers' addresses.
fn open_from(target: &Target, number: u32) -> io::Result<TcpStream> {
    let [_, _, high, low] = (number % 60_000 + 1).to_be_bytes();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 1, high, low), 0)).into())?;
    socket.connect_timeout(&target.address.into(), Duration::from_secs(2))?;
    let stream = TcpStream::from(socket);
    stream.set_write_timeout(Some(Duration::from_secs(2)))?;
    Ok(stream)
}
