//! What holds for the configuration of a node. `node` reads it, which nothing below may use, so the reader is handed in:
//! the fuzz target and the tests of `node` do that.

/// Any text is a configuration, which is written and read again as the same, or refused on one line that names the line
/// or the key.
///
/// # Panics
/// When that does not hold.
pub fn config(read: impl Fn(&str) -> Result<String, String>, bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match read(text) {
        Ok(effective) => assert_eq!(read(&effective).as_ref(), Ok(&effective), "what we write, we read"),
        Err(error) => {
            assert!(error.starts_with("line ") || error.split(':').next().is_some_and(is_key), "nowhere: {error}");
            assert!(error.len() < 2_000, "a complaint of {} bytes", error.len());
        }
    }
}

/// Whether it begins like `section.key` or `section`.
fn is_key(text: &str) -> bool {
    text.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'))
}
