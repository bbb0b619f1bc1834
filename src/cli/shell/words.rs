//! A line of the shell, cut into words.
//!
//! Words are parted by white space. In single quotes everything stands for itself; in double quotes `\"` is a quote and `\\` a
//! backslash. A word that begins with `{` or `[` goes to the bracket that closes it, spaces and all, so that JSON needs no quotes.
//! Elsewhere a backslash stands for itself: `query a\.b.c` is what it looks like.

/// The words of a line. Errors: a quote or a bracket is not closed; for people.
pub(super) fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '{' | '[' => bracketed(rest)?,
            _ => plain(rest)?,
        };
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

/// A word with or without quotes in it, and what follows.
fn plain(text: &str) -> Result<(String, &str), String> {
    let mut word = String::new();
    let mut rest = text.char_indices();
    while let Some((at, c)) = rest.next() {
        match c {
            c if c.is_whitespace() => return Ok((word, &text[at..])),
            quote @ ('\'' | '"') => loop {
                match rest.next() {
                    None => return Err(format!("the quote {quote} is not closed")),
                    Some((_, c)) if c == quote => break,
                    Some((_, '\\')) if quote == '"' => match rest.next() {
                        Some((_, c @ ('"' | '\\'))) => word.push(c),
                        Some((_, c)) => word.extend(['\\', c]),
                        None => return Err(format!("the quote {quote} is not closed")),
                    },
                    Some((_, c)) => word.push(c),
                }
            },
            c => word.push(c),
        }
    }
    Ok((word, ""))
}

/// JSON up to the bracket that closes it, and what follows. Which bracket closes which is left to the JSON parser.
fn bracketed(text: &str) -> Result<(String, &str), String> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            '{' | '[' if !in_string => depth += 1,
            '}' | ']' if !in_string => {
                depth -= 1;
                if depth == 0 {
                    return Ok((text[..=at].to_string(), &text[at + 1..]));
                }
            }
            _ => {}
        }
    }
    Err("a bracket or a quote in the JSON is not closed".to_string())
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn words_are_parted_by_space_and_kept_together_by_quotes_and_brackets() {
        for (line, expected) in [
            ("", &[][..]),
            ("   ", &[]),
            ("GET ada", &["GET", "ada"]),
            ("put  greeting\t'hello  world'", &["put", "greeting", "hello  world"]),
            (r#"put k "say \"hi\" \n""#, &["put", "k", r#"say "hi" \n"#]),
            (r#"put ada {"name": "A } da", "x": [1, 2]} -v"#, &["put", "ada", r#"{"name": "A } da", "x": [1, 2]}"#, "-v"]),
            (r#"patch a.b [1, "\"]"]"#, &["patch", "a.b", r#"[1, "\"]"]"#]),
            (r"query a\.b.c", &["query", r"a\.b.c"]),
            ("put it'\"'s ''", &["put", "it\"s", ""]),
            ("put k '{\"a\": 1}'", &["put", "k", "{\"a\": 1}"]),
        ] {
            assert_eq!(words(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn what_is_not_closed_is_told() {
        for line in ["put k 'a", "put k \"a", "put k {\"a\": 1", "put k [\"a]", "put k \"a\\"] {
            assert!(words(line).is_err(), "{line}");
        }
    }
}
