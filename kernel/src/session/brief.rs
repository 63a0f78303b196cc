//! Limits error messages to what fits on a screen.

/// The longest message in bytes: some errors contain the whole line of a file, or the whole file.
const MOST: usize = 4_000;

/// Shortens the message, and removes the backtrace that some errors contain if `RUST_BACKTRACE` is set.
pub(super) fn brief(message: &str) -> String {
    of_length(&without_calls(message), MOST)
}

/// Cuts `text` after `most` bytes, and adds its full size; colours are reset.
pub(super) fn of_length(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let colour = if text.contains('\u{1b}') { "\u{1b}[0m" } else { "" };
    format!("{}{colour}… ({} bytes in all)", &text[..text.floor_char_boundary(most)], text.len())
}

/// Removes lines such as `  12: path::function`, and `at file:3:4` below them.
fn without_calls(text: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut calls = false;
    let lines = text.split('\n').count();
    for line in text.split('\n') {
        let trimmed = line.trim_start();
        calls = match calls {
            false => line.starts_with(' ') && trimmed.starts_with("0: "),
            true => trimmed.starts_with("at ") || is_call(trimmed),
        };
        if !calls {
            kept.push(line);
        }
    }
    if kept.len() == lines { text.to_owned() } else { kept.join("\n").trim_end().to_owned() }
}

fn is_call(line: &str) -> bool {
    line.split_once(": ").is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_left_out() {
        let calls = std::backtrace::Backtrace::force_capture().to_string();
        let calls = calls.trim_end();
        assert!(calls.lines().count() > 5, "{calls}");
        let message = "shape mismatch in matmul, lhs: [2, 3], rhs: [2, 3]";
        assert_eq!(brief(&format!("{message}\n{calls}")), message);
        assert_eq!(
            brief(&format!("encoding: {message}\n{calls}\nwhile training")),
            format!("encoding: {message}\nwhile training")
        );
        let list = "expected one of\n1: a\n2: b";
        assert_eq!(brief(list), list);
    }

    #[test]
    fn long_messages_are_cut() {
        let cut = brief(&"検".repeat(3_000_000));
        assert!(cut.len() < MOST + 50 && cut.ends_with("検… (9000000 bytes in all)"), "{}", &cut[cut.len() - 60..]);
        assert!(of_length(&format!("\u{1b}[1m{}", "x".repeat(99)), 50).contains("x\u{1b}[0m… ("));
        assert_eq!(brief("short"), "short");
    }
}
