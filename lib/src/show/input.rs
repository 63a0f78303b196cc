//! Text input by the user: in a field below the cell, or in the terminal.

use std::io::Write;

use super::sink::with_sink;
use crate::{Error, Result};

/// Asks the user for a line of text. On Linux a cell can also read `std::io::stdin()`; elsewhere that is empty.
///
/// ```no_run
/// let name = kensaku::show::input("Name: ")?;
/// println!("Hello {name}");
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn input(prompt: &str) -> Result<String> {
    with_sink(|sink| sink.ask(prompt, false))
}

/// Asks the user for a secret: it is not shown while it is typed, and not stored in the notebook.
///
/// ```no_run
/// let key = kensaku::show::password("API key: ")?;
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn password(prompt: &str) -> Result<String> {
    with_sink(|sink| sink.ask(prompt, true))
}

/// Asks in the terminal, or takes the next line of whatever stdin is.
pub(super) fn ask_terminal(prompt: &str, password: bool) -> Result<String> {
    let answer = if password { rpassword::prompt_password(prompt) } else { read_line(prompt) };
    answer.map_err(|error| Error::Input { prompt: prompt.to_owned(), problem: error.to_string() })
}

fn read_line(prompt: &str) -> std::io::Result<String> {
    let mut out = std::io::stdout().lock();
    write!(out, "{prompt}")?;
    out.flush()?;
    drop(out);
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line)? {
        0 => Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "stdin has ended")),
        _ => Ok(line.trim_end_matches(['\r', '\n']).to_owned()),
    }
}
