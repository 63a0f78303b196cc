//! Formatting of texts and numbers.

use std::time::Duration;

use super::Message;

/// A display of Markdown.
///
/// ```
/// let note = kensaku::show::markdown("**nDCG@10** rose");
/// assert_eq!(note.data["text/markdown"], "**nDCG@10** rose");
/// ```
pub fn markdown(text: impl Into<String>) -> Message {
    let text = text.into();
    Message::text(text.clone()).with("text/markdown", text)
}

/// A display of HTML; a terminal shows the source.
pub fn html(html: impl Into<String>) -> Message {
    let html = html.into();
    Message::text(html.clone()).with("text/html", html)
}

/// `text` as HTML text or attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// `text` on one line of at most `max` characters, with an ellipsis if it is cut.
pub(crate) fn shorten(text: &str, max: usize) -> String {
    let mut short: String = text.chars().take(max).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(max).is_some() {
        short.pop();
        short.push('…');
    }
    short
}

/// A count with separators of thousands: `8,123`.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A measured value with three to five digits: `0.842`, `12.35`, `2.00e-5`.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !size.is_finite() => value.to_string(),
        size if !(0.01..1e6).contains(&size) => format!("{value:.2e}"),
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 10.0 => format!("{value:.2}"),
        size if size >= 0.1 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}

/// A duration in its two largest units: `0.4s`, `12s`, `3m 05s`, `2h 10m`.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    match seconds {
        _ if time < Duration::from_secs(10) => format!("{:.1}s", time.as_secs_f64()),
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_escaped() {
        assert_eq!(escape(r#"<a href="x">&'"#), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
        assert_eq!(escape("検索 é"), "検索 é");
    }

    #[test]
    fn long_texts_are_cut_by_characters() {
        assert_eq!(shorten("検索モデル", 5), "検索モデル");
        assert_eq!(shorten("検索モデル", 4), "検索モ…");
        assert_eq!(shorten("two\nlines\t", 20), "two lines ");
        assert_eq!(shorten("", 3), "");
    }

    #[test]
    fn counts_are_grouped() {
        let grouped = [0, 999, 1_000, 8_123, 1_234_567].map(count);
        assert_eq!(grouped, ["0", "999", "1,000", "8,123", "1,234,567"]);
    }

    #[test]
    fn numbers_keep_what_a_reader_compares() {
        let written = [0.0, 0.8421, 2.31, -12.345, 123.46, 8123.4, 0.0451, 2e-5, 3e7, f64::NAN].map(number);
        let expected = ["0", "0.842", "2.310", "-12.35", "123.5", "8123", "0.0451", "2.00e-5", "3.00e7", "NaN"];
        assert_eq!(written, expected);
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let written = [0.44, 9.96, 12.4, 59.6, 185.0, 7_800.0].map(|s| duration(Duration::from_secs_f64(s)));
        assert_eq!(written, ["0.4s", "10.0s", "12s", "1m 00s", "3m 05s", "2h 10m"]);
    }
}
