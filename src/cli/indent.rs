//! JSON with line ends and indentation, for people.

/// The same JSON text, each member and element on a line of its own. Numbers, strings and order stay as they are.
///
/// Requires: `json` is JSON without space between its parts, as answers are. Anything else comes out in some form, without harm.
pub(super) fn indent(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in json.iter().enumerate() {
        if in_string {
            out.push(*byte);
            in_string = escaped || *byte != b'"';
            escaped = *byte == b'\\' && !escaped;
            continue;
        }
        let empty = |open: u8| at > 0 && json[at - 1] == open;
        match byte {
            b'{' | b'[' => {
                out.push(*byte);
                depth += 1;
                if !matches!(json.get(at + 1), Some(b'}' | b']')) {
                    new_line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if !empty(b'{') && !empty(b'[') {
                    new_line(&mut out, depth);
                }
                out.push(*byte);
            }
            b',' => {
                out.push(b',');
                new_line(&mut out, depth);
            }
            b':' => out.extend(b": "),
            _ => {
                in_string = *byte == b'"';
                out.push(*byte);
            }
        }
    }
    out
}

fn new_line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.extend(std::iter::repeat_n(b' ', depth * 2));
}

#[cfg(test)]
mod tests {
    use super::indent;

    #[test]
    fn members_and_elements_have_lines_of_their_own_and_strings_stay_whole() {
        let shown = indent(br#"{"a":{"b\"{,":[1,2.50],"c":[]},"d":{},"e":"x\\"}"#);
        let expected = "{\n  \"a\": {\n    \"b\\\"{,\": [\n      1,\n      2.50\n    ],\n    \"c\": []\n  },\n  \"d\": {},\n  \"e\": \"x\\\\\"\n}";
        assert_eq!(String::from_utf8(shown).unwrap(), expected);
    }

    #[test]
    fn what_is_no_json_does_no_harm() {
        for text in ["", "}}}", "[{", "\"\\", ",:,", "]["] {
            indent(text.as_bytes());
        }
    }
}
