//! Attacks on a node's door: what each connection sends, and a crowd of connections that does it.
//!
//! A crowd never gives up: a connection that the node ended is opened again, from the same address.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

/// Bytes of a piece of a large body.
const PIECE_BYTES: usize = 64 * 1024;

/// How often those who send as much as they can look whether more is taken: often enough to keep every buffer between
/// the two full, seldom enough to leave the machine to the node.
pub(super) const RUSH: Duration = Duration::from_millis(50);

/// How often those who send little do so.
pub(super) const DRIP: Duration = Duration::from_secs(1);

/// What every connection of an attack does.
#[derive(Clone, Debug)]
pub(super) struct Attack {
    /// What it is called.
    pub(super) name: &'static str,
    /// Sent once.
    pub(super) first: Vec<u8>,
    /// Sent again and again, as far as the other side takes it.
    pub(super) again: Vec<u8>,
    /// How often a connection sends it at most.
    pub(super) times_max: u32,
    /// How long a round over all connections takes at least.
    pub(super) round: Duration,
    /// What becomes of what the node says.
    pub(super) ears: Ears,
}

/// What becomes of what the node says to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ears {
    /// Whatever it says ends the attack of that connection.
    End,
    /// It is left unread.
    Deaf,
    /// It is read and dropped: as one who speaks HTTP/2 must, or it would not see the end.
    Drop,
}

/// How large a crowd is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowd {
    /// Connections it holds, or tries to hold.
    pub(super) connections: u32,
    /// Addresses they come from, those of 127.1/16: at most 60,000.
    pub(super) addresses: u32,
}

/// What a crowd did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Did {
    /// Connections it began to open.
    pub(super) opened: u64,
    /// Connections that the node ended, with an answer or without.
    pub(super) ended: u64,
    /// Connections this machine did not let it begin.
    pub(super) failed: u64,
    /// Bytes it got rid of.
    pub(super) sent: u64,
}

fn post(framing: &str) -> Vec<u8> {
    format!("POST /v1/verifications HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{framing}\r\n\r\n")
        .into_bytes()
}

impl Attack {
    /// All of them.
    pub(super) fn all() -> Vec<Self> {
        vec![Self::idle(), Self::slow_heads(), Self::drip(), Self::half_sent(), Self::endless(), Self::deaf()]
    }

    /// Says nothing at all.
    pub(super) fn idle() -> Self {
        let (first, again) = (Vec::new(), Vec::new());
        Self { name: "idle", first, again, times_max: 0, round: DRIP, ears: Ears::End }
    }

    /// One byte of a request's head a second.
    pub(super) fn slow_heads() -> Self {
        let first = b"GET /v1/status HTTP/1.1\r\nhost: x\r\nx-padding: ".to_vec();
        Self { name: "slow heads", first, again: b"x".to_vec(), times_max: u32::MAX, round: DRIP, ears: Ears::End }
    }

    /// One byte of a large body a second.
    pub(super) fn drip() -> Self {
        let first = post("content-length: 4000000");
        Self { name: "slow bodies", first, again: b" ".to_vec(), times_max: u32::MAX, round: DRIP, ears: Ears::End }
    }

    /// Announces the largest body, and sends half of it.
    pub(super) fn half_sent() -> Self {
        let (first, again) = (post("content-length: 4194304"), vec![b' '; PIECE_BYTES]);
        Self { name: "half-sent bodies", first, again, times_max: 32, round: RUSH, ears: Ears::End }
    }

    /// A body without end.
    pub(super) fn endless() -> Self {
        let mut again = format!("{PIECE_BYTES:x}\r\n").into_bytes();
        again.resize(again.len() + PIECE_BYTES, b' ');
        again.extend_from_slice(b"\r\n");
        let first = post("transfer-encoding: chunked");
        Self { name: "endless bodies", first, again, times_max: u32::MAX, round: RUSH, ears: Ears::End }
    }

    /// Asks for much, and reads nothing.
    pub(super) fn deaf() -> Self {
        let again = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(16);
        Self { name: "never reads", first: Vec::new(), again, times_max: u32::MAX, round: RUSH, ears: Ears::Deaf }
    }

    /// Attacks for as long as it goes on.
    pub(super) fn rush(&self, door: SocketAddr, crowd: Crowd, going: &AtomicBool) -> Did {
        let mut did = Did::default();
        let mut places: Vec<Option<Connection>> = (0..crowd.connections).map(|_| None).collect();
        while going.load(Ordering::SeqCst) {
            let began = Instant::now();
            for (number, place) in (0_u32..).zip(&mut places) {
                // A round over ten thousand connections takes a while.
                if !going.load(Ordering::SeqCst) {
                    break;
                }
                match place {
                    None => match Connection::open(door, number % crowd.addresses.max(1)) {
                        Ok(connection) => {
                            did.opened += 1;
                            *place = Some(connection);
                        }
                        Err(_) => did.failed += 1,
                    },
                    Some(connection) => {
                        if connection.round(self, &mut did.sent).is_err() {
                            did.ended += 1;
                            *place = None;
                        }
                    }
                }
            }
            // The pace of the attack, nothing is waited for.
            thread::sleep(self.round.saturating_sub(began.elapsed()));
        }
        did
    }
}

/// One connection of a crowd.
struct Connection {
    stream: TcpStream,
    /// How far the other side has taken what is sent once.
    first: usize,
    /// How far it has taken the piece that is under way, and how many went before.
    piece: usize,
    times: u32,
}

impl Connection {
    /// Begins to connect from one of the crowd's addresses; nobody waits until the other side has accepted.
    fn open(door: SocketAddr, number: u32) -> io::Result<Self> {
        let [_, _, high, low] = (number % 60_000 + 1).to_be_bytes();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 1, high, low), 0)).into())?;
        socket.set_nonblocking(true)?;
        match socket.connect(&door.into()) {
            Ok(()) => {}
            // On its way.
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        Ok(Self { stream: socket.into(), first: 0, piece: 0, times: 0 })
    }

    /// Sends what the other side takes. An error says that it has ended the connection.
    fn round(&mut self, attack: &Attack, sent: &mut u64) -> io::Result<()> {
        self.hear(attack.ears)?;
        if !self.push(&attack.first, true, sent)? {
            return Ok(());
        }
        // Several pieces a round, or the pace would be that of the rounds.
        for _ in 0..4 {
            if self.times >= attack.times_max || !self.push(&attack.again, false, sent)? {
                break;
            }
            (self.piece, self.times) = (0, self.times + 1);
            if attack.again.len() == 1 {
                break;
            }
        }
        Ok(())
    }

    /// Hears what the node says. An error says that the connection is over.
    fn hear(&mut self, ears: Ears) -> io::Result<()> {
        let mut buffer = [0; 4 * 1024];
        loop {
            let heard = match ears {
                Ears::Drop => self.stream.read(&mut buffer),
                Ears::End | Ears::Deaf => self.stream.peek(&mut buffer[..1]),
            };
            match heard {
                Ok(bytes) if bytes == 0 || ears == Ears::End => return Err(ErrorKind::ConnectionAborted.into()),
                Ok(_) if ears == Ears::Drop => {}
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                Ok(_) | Err(_) => return Ok(()),
            }
        }
    }

    /// Goes on sending; says whether all of it was taken.
    fn push(&mut self, bytes: &[u8], first: bool, sent: &mut u64) -> io::Result<bool> {
        let done = if first { &mut self.first } else { &mut self.piece };
        while let Some(rest) = bytes.get(*done..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(taken) => {
                    *done += taken;
                    *sent += taken as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
