//! The lines of a cell that are not Rust: `:dep`, `!ls`, `?name`.

/// What such a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Directive {
    /// `:name arguments`
    Command { name: String, arguments: String },
    /// `!command`, for the shell.
    Shell(String),
    /// `?name` or `name?`; with two marks, all there is to say.
    Docs { name: String, whole: bool },
}

/// The directives in front of and behind the Rust code.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    pub(crate) before: Vec<Directive>,
    pub(crate) after: Vec<Directive>,
}

/// Takes the directives out of `code`: spaces stand in their place, so that offsets stay.
///
/// A colon and a word begin a command in every line, as no Rust does. The other two are looked for
/// in front of the code only, where `!` and `?` cannot be Rust.
pub(crate) fn split(code: &str) -> (Directives, String) {
    let mut found = Directives::default();
    if let Some(docs) = whole_cell(code) {
        found.before.push(docs);
        return (found, blank(code));
    }
    let mut rust = String::with_capacity(code.len());
    let mut begun = false;
    for line in code.split_inclusive('\n') {
        match directive(line.trim_end(), begun) {
            Some(directive) => {
                let place = if begun { &mut found.after } else { &mut found.before };
                place.push(directive);
                rust.push_str(&blank(line));
            }
            None => {
                let text = line.trim_start();
                begun |= !text.is_empty() && !text.starts_with("//");
                rust.push_str(line);
            }
        }
    }
    (found, rust)
}

fn directive(line: &str, begun: bool) -> Option<Directive> {
    if let Some(command) = line.strip_prefix(':').filter(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic())) {
        let (name, arguments) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        return Some(Directive::Command { name: name.to_owned(), arguments: arguments.trim().to_owned() });
    }
    match line.strip_prefix('!') {
        Some(command) if !begun => Some(Directive::Shell(command.trim().to_owned())),
        _ if !begun => docs_before(line),
        _ => None,
    }
}

fn docs_before(line: &str) -> Option<Directive> {
    let name = line.strip_prefix('?')?;
    let whole = name.starts_with('?');
    let name = name.trim_start_matches('?').trim();
    Some(Directive::Docs { name: name.to_owned(), whole })
}

/// `name?` alone in its cell.
fn whole_cell(code: &str) -> Option<Directive> {
    let name = code.trim().strip_suffix('?')?;
    let whole = name.ends_with('?');
    let name = name.trim_end_matches('?');
    let is_path = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_:.!".contains(c));
    is_path.then(|| Directive::Docs { name: name.to_owned(), whole })
}

fn blank(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { "\n".to_owned() } else { " ".repeat(c.len_utf8()) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(name: &str, arguments: &str) -> Directive {
        Directive::Command { name: name.to_owned(), arguments: arguments.to_owned() }
    }

    #[test]
    fn commands_stand_in_lines_of_their_own() {
        let (found, rust) = split("// first\n:dep regex = \"1\"\n!ls 検\nlet x = !true;\n:vars\n!x");
        assert_eq!(found.before, [command("dep", "regex = \"1\""), Directive::Shell("ls 検".to_owned())]);
        assert_eq!(found.after, [command("vars", "")]);
        assert_eq!(rust.len(), "// first\n:dep regex = \"1\"\n!ls 検\nlet x = !true;\n:vars\n!x".len());
        let lines: Vec<_> = rust.lines().map(str::trim).collect();
        assert_eq!(lines, ["// first", "", "", "let x = !true;", "", "!x"]);
    }

    #[test]
    fn docs_are_asked_for_before_and_behind() {
        let docs = |name: &str, whole| Directive::Docs { name: name.to_owned(), whole };
        assert_eq!(split("?Tensor::ones").0.before, [docs("Tensor::ones", false)]);
        assert_eq!(split("df.lazy??\n").0.before, [docs("df.lazy", true)]);
        assert_eq!(split("f()?").0, Directives::default());
        assert_eq!(split("let x = f()?;\nx?").0, Directives::default());
    }

    #[test]
    fn paths_are_no_commands() {
        assert_eq!(split("use a\n::b;").0, Directives::default());
    }
}
