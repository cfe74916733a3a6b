//! How long to wait before the next attempt.

use std::time::Duration;

use crate::error::Error;
use crate::options::Options;

/// Doublings at most; the longest wait is reached long before.
const DOUBLINGS_MAX: u32 = 16;

/// The wait after so many failures in a row: it doubles up to a limit, and half of it is chance, so that clients that
/// failed together do not come back together. Never shorter than what the node asks for.
pub(crate) fn wait(failures: u32, asked: Option<Duration>, options: &Options) -> Result<Duration, Error> {
    let whole = options.backoff_min.saturating_mul(1 << failures.min(DOUBLINGS_MAX)).min(options.backoff_max);
    let half = whole / 2;
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(Error::Randomness)?;
    let chance = u64::from(u32::from_le_bytes(bytes));
    let micros = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
    let jitter = Duration::from_micros(micros / 1_024 * (chance % 1_025));
    Ok(match asked {
        None => half + jitter,
        // Behind the asked time the crowd spreads out too.
        Some(asked) => asked + jitter.min(asked / 4),
    })
}

/// A nonce that nobody used before: 16 random bytes in base64url.
pub(crate) fn nonce() -> Result<chain::statement::Nonce, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(Error::Randomness)?;
    let text = chain::encoding::encode_base64url(&bytes);
    Ok(chain::statement::Nonce::new(text).expect("base64url of 16 bytes is a nonce"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;
    use crate::options::{Login, Node};

    #[test]
    fn waits_double_up_to_a_limit_and_are_never_shorter_than_asked() {
        let key = Key {
            organisation: "shop".parse().expect("an id"),
            id: "k".parse().expect("an id"),
            secret: chain::key::SecretKey::from_seed([1; 32]),
        };
        let mut options = Options::new(vec![Node::new("http://localhost:1", "n")], Login::Tokens(key));
        options.backoff_min = Duration::from_millis(100);
        options.backoff_max = Duration::from_secs(1);
        for (failures, least, most) in [(0, 50, 100), (1, 100, 200), (3, 400, 800), (9, 500, 1_000), (99, 500, 1_000)] {
            for _ in 0..50 {
                let found = wait(failures, None, &options).expect("there is randomness");
                assert!((Duration::from_millis(least)..=Duration::from_millis(most)).contains(&found), "{found:?}");
            }
        }
        let asked = Duration::from_secs(30);
        let found = wait(0, Some(asked), &options).expect("there is randomness");
        assert!((asked..=asked + Duration::from_millis(100)).contains(&found), "{found:?}");
    }
}
