//! The commands there are, what they do, and what is said about those there are not.

use crate::session::Failure;

/// A group of commands: each as it is typed, and what it does.
type Group = (&'static str, &'static [(&'static str, &'static str)]);

const GROUPS: [Group; 4] = [
    (
        "Variables",
        &[
            (":vars", "show the variables, their types and sizes"),
            (":type df.lazy()", "show the type of an expression; `:t` for short"),
            (":types", "show the type of each value from now on, or no longer"),
            (":forget a b", "drop variables"),
            (":clear", "drop all variables, items and added crates"),
        ],
    ),
    (
        "Crates and files",
        &[
            (":dep regex = \"1\"", "add a crate, as in Cargo.toml, or by its folder: `:dep ./folder`"),
            (":show_deps", "show the crates that were added"),
            (":load file.rs", "put a file into the cell in place of this line; `kensaku run` runs it"),
            (":env NAME=value", "set a variable of the environment, for cells and `!commands`; `:env` shows all"),
            (":last_compile_dir", "show where cells are compiled"),
        ],
    ),
    (
        "Help",
        &[
            (":doc Trainer", "show documentation, as `?Trainer` does"),
            (":explain E0382", "explain an error of the compiler; without a code, the last one"),
            (":help", "show the commands"),
        ],
    ),
    (
        "Speed",
        &[
            (":time", "in front of the code: tell how long this cell takes to compile and to run"),
            (":timing", "tell it for every cell, or no longer"),
            (":opt 2", "optimise cells; 0 without a number, which compiles fastest"),
        ],
    ),
];

const MORE: &str =
    "`!command` runs a command of the shell. `?name` and `name?` show documentation, `name??` all of it.";

/// Commands of other kernels, and what to do here.
const ELSEWHERE: [(&[&str], &str); 8] = [
    (
        &["restart", "quit"],
        "restart or shut down the kernel in the front end; `:clear` drops variables, items and crates",
    ),
    (&["fmt"], "values are shown by `Debug`; for another form end the cell in `format!(\"{x}\")`"),
    (&["efmt"], "an error is shown by `Display`, with its causes"),
    (&["preserve_vars_on_panic"], "variables always survive a panic"),
    (&["last_error_json"], "`:explain` explains the last error"),
    (&["version"], "`kensaku doctor`, in a terminal, tells the versions"),
    (&["load_config"], "init.evcxr and prelude.rs are run when a kernel starts"),
    (
        &[
            "allow_static_linking",
            "build_env",
            "cache",
            "clear_cache",
            "codegen_backend",
            "linker",
            "offline",
            "sccache",
            "time_passes",
            "toolchain",
        ],
        "cells are compiled in one way only; `:opt` sets how much they are optimised",
    ),
];

/// The names of the commands, colons included, and what they do.
pub(crate) fn commands() -> impl Iterator<Item = (&'static str, &'static str)> {
    GROUPS.iter().flat_map(|(_, commands)| *commands).map(|(usage, what)| (name(usage), *what))
}

/// All commands, by group.
pub(super) fn help() -> String {
    let width = GROUPS.iter().flat_map(|(_, commands)| *commands).map(|(usage, _)| usage.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (title, commands) in GROUPS {
        text += &format!("{title}\n");
        for (usage, what) in commands {
            text += &format!("  {usage:<width$}  {what}\n");
        }
    }
    text + MORE
}

/// What is said to `:name`, which there is not.
pub(super) fn unknown(name: &str) -> Failure {
    let elsewhere = ELSEWHERE.iter().find(|(names, _)| names.contains(&name)).map(|(_, answer)| (*answer).to_owned());
    let answer = elsewhere.or_else(|| Some(format!("did you mean `{}`?", nearest(name)?))).unwrap_or_else(|| {
        let mut known: Vec<&str> = commands().map(|(name, _)| name).collect();
        known.sort_unstable();
        format!("there are {}", known.join(", "))
    });
    Failure::new("CommandError", format!("there is no command `:{name}`: {answer}"))
}

/// The command that `written` was most likely meant to be.
fn nearest(written: &str) -> Option<&'static str> {
    let known = commands().map(|(name, _)| (strsim::damerau_levenshtein(&name[1..], &written.to_lowercase()), name));
    // A short word has many neighbours.
    let (distance, name) = known.min_by_key(|(distance, _)| *distance)?;
    (distance <= written.len().div_ceil(3)).then_some(name)
}

fn name(usage: &str) -> &str {
    usage.split(' ').next().unwrap_or(usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_commands_are_answered() {
        for (written, expected) in [
            ("tiem", "did you mean `:time`?"),
            ("varz", "did you mean `:vars`?"),
            ("Help", "did you mean `:help`?"),
            ("deps", "did you mean `:dep`?"),
            ("restart", "`:clear` drops"),
            ("sccache", "`:opt` sets"),
            ("whatever", "there are :clear, :dep, :doc,"),
        ] {
            let failure = unknown(written);
            assert!(failure.message.contains(expected), "{}", failure.message);
        }
    }

    #[test]
    fn no_line_of_the_help_is_long() {
        let help = help();
        assert!(help.lines().all(|line| line.len() <= 110), "{help}");
        assert!(help.contains("\n  :time              "), "{help}");
    }
}
