//! Just enough of Rust's grammar to tell code from comments, literals and tests.
//!
//! Both functions keep every line where it was, so that a finding can name it.

/// The code alone: comments, strings and characters are blanked.
pub(crate) fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_or_comment_end(&chars, at);
        if end == at {
            masked.push(chars[at]);
            at += 1;
        } else {
            masked.extend(chars[at..end].iter().map(|&c| blank(c)));
            at = end;
        }
    }
    masked
}

/// The code that ships: items under `#[cfg(test)]` are blanked. Takes what [`code`] returns.
pub(crate) fn shipped(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut shipped = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(start) = rest.find(MARK) {
        let (before, item) = rest.split_at(start);
        let (item, after) = item.split_at(item_end(item));
        shipped.push_str(before);
        shipped.extend(item.chars().map(blank));
        rest = after;
    }
    shipped.push_str(rest);
    shipped
}

/// The modules that are compiled for tests only and stand in a file of their own.
pub(crate) fn test_modules(code: &str) -> Vec<String> {
    const MARK: &str = "#[cfg(test)]";
    code.match_indices(MARK)
        .filter_map(|(start, _)| {
            let item = code[start + MARK.len()..].trim_start();
            let (name, _) = item.strip_prefix("pub(crate) ").unwrap_or(item).strip_prefix("mod ")?.split_once(';')?;
            name.chars().all(is_word).then(|| name.to_owned())
        })
        .collect()
}

/// The words of a line of code, each with the characters that follow it.
pub(crate) fn words(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split(|c| !is_word(c)).filter(|word| !word.is_empty()).map(|word| {
        let end = word.as_ptr().addr() - line.as_ptr().addr() + word.len();
        (word, &line[end..])
    })
}

/// Whether a character can stand in an identifier.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Spaces for everything but line ends.
fn blank(c: char) -> char {
    if c == '\n' { '\n' } else { ' ' }
}

/// Where the literal or comment that begins at `at` ends; `at` itself when none begins there.
fn literal_or_comment_end(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    match (chars[at], next) {
        ('/', Some('/')) => find(chars, at, |rest| rest[0] == '\n').unwrap_or(chars.len()),
        ('/', Some('*')) => block_comment_end(chars, at),
        ('"', _) => quoted_end(chars, at, '"'),
        ('r', Some('#' | '"')) if !continues_word(chars, at) => raw_string_end(chars, at),
        ('\'', Some('\\')) => quoted_end(chars, at, '\''),
        // `'a'` is a character, `'a` a lifetime.
        ('\'', Some(_)) if chars.get(at + 2) == Some(&'\'') => at + 3,
        _ => at,
    }
}

/// Whether the `r` at `at` belongs to a longer word; `br` and `cr` open raw strings too.
fn continues_word(chars: &[char], at: usize) -> bool {
    let before = |distance: usize| at.checked_sub(distance).is_some_and(|index| is_word(chars[index]));
    let prefixed = at > 0 && matches!(chars[at - 1], 'b' | 'c');
    if prefixed { before(2) } else { before(1) }
}

fn find(chars: &[char], from: usize, is_it: impl Fn(&[char]) -> bool) -> Option<usize> {
    (from..chars.len()).find(|&index| is_it(&chars[index..]))
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut index = at;
    while index < chars.len() {
        match &chars[index..] {
            ['/', '*', ..] => (depth, index) = (depth + 1, index + 2),
            ['*', '/', ..] if depth == 1 => return index + 2,
            ['*', '/', ..] => (depth, index) = (depth - 1, index + 2),
            _ => index += 1,
        }
    }
    chars.len()
}

fn quoted_end(chars: &[char], at: usize, quote: char) -> usize {
    let mut index = at + 1;
    while index < chars.len() {
        match chars[index] {
            '\\' => index += 2,
            c if c == quote => return index + 1,
            _ => index += 1,
        }
    }
    chars.len()
}

/// The end of `r"…"` or `r#"…"#`; `at` itself for a raw identifier.
fn raw_string_end(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
    let open = at + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return at;
    }
    let closes =
        |rest: &[char]| rest[0] == '"' && rest[1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes;
    find(chars, open + 1, closes).map_or(chars.len(), |index| index + 1 + hashes)
}

/// Where the item that `text` begins with (attributes first) ends.
fn item_end(text: &str) -> usize {
    let mut brackets = 0_usize;
    let mut braces = 0_usize;
    for (index, c) in text.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            '{' => braces += 1,
            '}' if braces == 1 => return index + 1,
            '}' => braces = braces.saturating_sub(1),
            // Not the one in `[u8; 32]`, nor one inside the body.
            ';' if brackets == 0 && braces == 0 => return index + 1,
            _ => {}
        }
    }
    text.len()
}

#[test]
fn comments_and_literals_are_not_code() {
    let text = "let a = \"f64 \\\" async\"; // async\nlet b = r#\"a \" async\"#; /* a /* b */\nasync */ let c = '\"'; let d: &'a str;";
    let masked = code(text);
    assert!(!masked.contains("async") && !masked.contains("f64"), "{masked}");
    assert_eq!(masked.lines().count(), text.lines().count());
    assert!(masked.contains("let c =") && masked.contains("let d: &'a str;"), "{masked}");
}

#[test]
fn raw_identifiers_are_code() {
    assert_eq!(code("r#type + br\"x\" + for_r"), "r#type + b     + for_r");
}

#[test]
fn code_under_cfg_test_does_not_ship() {
    let text =
        "fn a() {}\n#[cfg(test)]\n#[derive(Debug)]\nfn b(x: [u8; 2]) { {c} }\n#[cfg(test)]\nmod tests;\nfn d() {}\n";
    let shipped = shipped(text);
    assert_eq!(shipped.split_whitespace().collect::<Vec<_>>(), ["fn", "a()", "{}", "fn", "d()", "{}"]);
    assert_eq!(shipped.lines().count(), text.lines().count());
    assert_eq!(test_modules(text), ["tests"]);
}

#[test]
fn words_come_with_what_follows_them() {
    let found: Vec<_> = words("a::b1(c)").collect();
    assert_eq!(found, [("a", "::b1(c)"), ("b1", "(c)"), ("c", ")")]);
}
