//! Frames: what travels on the stream between two nodes.

use super::{
    BlocksResponse, FRAME_STATEMENTS_BYTES_MAX, FRAME_STATEMENTS_MAX, FrameContent, PeerFrame, STATEMENT_BYTES_MAX,
};
use crate::error::Error;
use crate::{Portable, field, generated};

impl From<&PeerFrame> for generated::PeerFrame {
    fn from(frame: &PeerFrame) -> Self {
        use generated::peer_frame::Content;
        let content = match &frame.content {
            FrameContent::Consensus(message) => Content::Consensus(message.into()),
            FrameContent::Liveness(message) => Content::Liveness(message.into()),
            FrameContent::Part(part) => Content::Part(part.into()),
            FrameContent::Statements(statements) => {
                Content::Statements(generated::WaitingStatements { statements: statements.clone() })
            }
            FrameContent::Status(status) => Content::Status(status.into()),
            FrameContent::Call(id, request) => {
                Content::Call(generated::BlocksCall { id: *id, request: Some(request.into()) })
            }
            FrameContent::Answer(id, response) => {
                Content::Answer(generated::BlocksAnswer { id: *id, response: Some(response.into()) })
            }
        };
        Self { origin: frame.origin.to_vec(), content: Some(content) }
    }
}

impl TryFrom<generated::PeerFrame> for PeerFrame {
    type Error = Error;

    fn try_from(message: generated::PeerFrame) -> Result<Self, Error> {
        use generated::peer_frame::Content;
        let content = match message.content {
            Some(Content::Consensus(message)) => {
                FrameContent::Consensus(field::required(Some(message), "consensus", "a message")?)
            }
            Some(Content::Liveness(message)) => {
                FrameContent::Liveness(field::required(Some(message), "liveness", "a message")?)
            }
            Some(Content::Part(part)) => FrameContent::Part(field::required(Some(part), "part", "a part")?),
            Some(Content::Statements(message)) => {
                let statement = |bytes: Vec<u8>| field::size(bytes.len(), "", STATEMENT_BYTES_MAX).map(|()| bytes);
                let list = field::list_with(message.statements, "statements", FRAME_STATEMENTS_MAX, statement)?;
                FrameContent::Statements(list)
            }
            Some(Content::Status(status)) => FrameContent::Status(field::required(Some(status), "status", "a status")?),
            Some(Content::Call(call)) => {
                let request = field::required(call.request, "request", "what is asked for");
                FrameContent::Call(call.id, request.map_err(|error| error.within("call"))?)
            }
            Some(Content::Answer(answer)) => {
                let response = field::required(answer.response, "response", "the blocks");
                FrameContent::Answer(answer.id, response.map_err(|error| error.within("answer"))?)
            }
            None => {
                let expected = "a message, a part, statements, a status, a call or an answer";
                return Err(Error::Missing { path: "content".to_owned(), expected });
            }
        };
        Ok(Self { origin: field::array(&message.origin, "origin")?, content })
    }
}

impl Portable for PeerFrame {
    type Message = generated::PeerFrame;
    const NAME: &'static str = "PeerFrame";
    // The largest of them is an answer; statements are one of the largest and more of the small.
    const BYTES_MAX: usize = BlocksResponse::BYTES_MAX + STATEMENT_BYTES_MAX.saturating_sub(FRAME_STATEMENTS_BYTES_MAX);
}
