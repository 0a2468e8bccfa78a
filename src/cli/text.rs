//! Text that may come from anywhere, made fit for a terminal and for one line.

/// Returns text with what would move the cursor, colour the terminal or turn the line around written
/// as an escape.
pub(super) fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        // The marks that change the direction of writing (UAX #9).
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match c.is_control() || turns {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_in_its_own_colour_and_direction() {
        assert_eq!(printable("a\nb\u{1b}[31mc\u{202e}d"), "a\\nb\\u{1b}[31mc\\u{202e}d");
        assert_eq!(printable("caf\u{e9} \u{1f680}"), "caf\u{e9} \u{1f680}");
    }
}
