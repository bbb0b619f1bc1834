//! The patterns of KEYS and SCAN MATCH: `*`, `?`, `[abc]`, `[^a-c]`, `\` before what is meant as it is.

/// True if the whole text is as the pattern says. Takes at most pattern × text steps: a pattern is a stranger's.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // The last star, and where what it stands for ends.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p, t));
            p += 1;
            continue;
        }
        if t == text.len() && p == pattern.len() {
            return true;
        }
        if t < text.len()
            && p < pattern.len()
            && let Some(next) = one(&pattern[p..], text[t])
        {
            p += next;
            t += 1;
            continue;
        }
        match star {
            Some((at, end)) if end < text.len() => {
                star = Some((at, end + 1));
                (p, t) = (at + 1, end + 1);
            }
            _ => return false,
        }
    }
}

/// What every text that matches begins with.
pub(super) fn literal_prefix(pattern: &[u8]) -> &[u8] {
    let end = pattern.iter().position(|byte| b"*?[\\".contains(byte));
    &pattern[..end.unwrap_or(pattern.len())]
}

/// How long the element is that the pattern begins with, if it takes this byte.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', meant, ..] => (*meant == byte).then_some(2),
        [b'[', class @ ..] => class_takes(class, byte).map(|length| length + 1),
        [plain, ..] => (*plain == byte).then_some(1),
        [] => None,
    }
}

/// The same behind a `[`. A class without an end reaches to the end of the pattern.
fn class_takes(class: &[u8], byte: u8) -> Option<usize> {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut taken = false;
    while at < class.len() && class[at] != b']' {
        match &class[at..] {
            [b'\\', meant, ..] => {
                taken |= *meant == byte;
                at += 2;
            }
            [from, b'-', to, ..] if *to != b']' => {
                taken |= (*from.min(to)..=*from.max(to)).contains(&byte);
                at += 3;
            }
            _ => {
                taken |= class[at] == byte;
                at += 1;
            }
        }
    }
    (taken != negated).then_some(class.len().min(at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, yes, no) in [
            ("*", &["", "a", "abc"][..], &[][..]),
            ("", &[""], &["a"]),
            ("user:*", &["user:", "user:1"], &["user", "xuser:1"]),
            ("*:1", &["user:1", ":1", "a:1:1"], &["user:12", "1"]),
            ("a*b*c", &["abc", "aXbYc", "abbcc"], &["acb", "ab"]),
            ("h?llo", &["hello", "hallo"], &["hllo", "heello"]),
            ("h[ae]llo", &["hello", "hallo"], &["hillo"]),
            ("h[^e]llo", &["hallo"], &["hello", "hllo"]),
            ("h[a-b]llo", &["hallo", "hbllo"], &["hcllo", "h-llo"]),
            ("[b-a]", &["a", "b"], &["c"]),
            (r"\*[\]x]", &["*]", "*x"], &["a]", r"*\"]),
            ("[a", &["a"], &["b", ""]),
            (r"a\", &[r"a\"], &["a"]),
            ("**a", &["a", "ba"], &["b"]),
        ] {
            for text in yes {
                assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
            }
            for text in no {
                assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
            }
        }
    }

    #[test]
    fn a_wicked_pattern_is_answered_at_once() {
        let pattern = "*a".repeat(200);
        assert!(!matches(format!("{pattern}b").as_bytes(), "a".repeat(4_096).as_bytes()));
    }

    #[test]
    fn the_prefix_ends_where_the_pattern_begins_to_mean_something_else() {
        for (pattern, prefix) in [("user:*", "user:"), ("*", ""), ("abc", "abc"), ("a?", "a"), ("a[b]", "a"), (r"a\*", "a")] {
            assert_eq!(literal_prefix(pattern.as_bytes()), prefix.as_bytes());
        }
    }
}
