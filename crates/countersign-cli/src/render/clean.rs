//! Text that others chose, made harmless: a terminal obeys control characters, and a log believes
//! line ends.

use serde_json::Value;

/// Returns the text on one line, without anything that a terminal would obey.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if is_harmful(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Returns the value on one line, with whatever a terminal would obey written as an escape.
pub(crate) fn clean_json(value: &Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        if is_harmful(c) {
            // Outside of strings, the text of a value has no such character.
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            text.push(c);
        }
    }
    text
}

/// Control characters, and those that change the order in which text is shown.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{clean, clean_json};

    #[test]
    fn nothing_is_left_to_obey() {
        assert_eq!(
            clean("a\u{1b}[2Jb\nc\u{9b}d\u{202e}e ü"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\u{fffd}e ü"
        );
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = json!({ "name": "a\u{1b}\u{9b}\u{202e}\n\u{7f}ü" });
        let text = clean_json(&value);
        assert!(text.chars().all(|c| !super::is_harmful(c)), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
