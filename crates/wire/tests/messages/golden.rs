//! The bytes of every message. A change here is a decision about compatibility, never a fix: another
//! program, or this one a year ago, still sends and reads the old ones.

use chain::block::CommittedBlock;
use wire::Portable;

use super::values;

/// One line a message: its name and its bytes in hexadecimal.
const GOLDEN: &str = include_str!("../../golden/messages.txt");

pub(crate) fn line<T: Portable>(value: &T) -> String {
    format!("{} {}\n", T::NAME, hex::encode(wire::encode(value)))
}

#[test]
fn the_bytes_of_every_message_stay() {
    let body = values::body();
    let block = CommittedBlock { body: body.clone(), certificate: values::certificate(2) };
    let lines = [
        line(&body.block.header),
        line(&values::set(2)),
        line(&body.block),
        line(&body.outcomes[0][0]),
        line(&body),
        line(&values::leaf()),
        line(&block.certificate),
        line(&block),
        line(&values::receipt()),
        line(&values::checkpoint()),
    ];
    assert_eq!(lines.concat(), GOLDEN, "the messages are now:\n{}", lines.concat());
}
