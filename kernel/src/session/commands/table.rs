//! The commands, their descriptions, and the errors for unknown ones.

use crate::session::Failure;

/// A group of commands, each with its usage and description.
type Group = (&'static str, &'static [(&'static str, &'static str)]);

const GROUPS: [Group; 4] = [
    (
        "Variables",
        &[
            (":vars", "show the variables, their types and sizes"),
            (":type df.lazy()", "show the type of an expression; `:t` for short"),
            (":types", "toggle showing the type of each value"),
            (":forget a b", "drop variables"),
            (":clear", "drop all variables, items and added crates"),
        ],
    ),
    (
        "Crates and files",
        &[
            (":dep regex = \"1\"", "add a crate, as in Cargo.toml, or by its folder: `:dep ./folder`"),
            (":show_deps", "show the added crates"),
            (":load file.rs", "replace this line by a file; `kensaku run` runs the file"),
            (":env NAME=value", "set an environment variable for cells and `!commands`; `:env` shows all"),
            (":last_compile_dir", "show where cells are compiled"),
        ],
    ),
    (
        "Help",
        &[
            (":doc Trainer", "show documentation, as `?Trainer` does"),
            (":explain E0382", "explain a compiler error; without a code, the last one"),
            (":help", "show this list"),
        ],
    ),
    (
        "Speed",
        &[
            (":time", "before the code: show how long this cell takes to compile and run"),
            (":timing", "toggle showing the times of every cell"),
            (":opt 2", "set the optimisation level of cells; the default, 0, compiles fastest"),
        ],
    ),
];

const MORE: &str = "`!command` runs a shell command. `?name` and `name?` show documentation, `name??` all of it.";

/// Commands of other kernels, and what to use instead.
const ELSEWHERE: [(&[&str], &str); 8] = [
    (
        &["restart", "quit"],
        "restart or shut down the kernel in the front end; `:clear` drops variables, items and crates",
    ),
    (&["fmt"], "values are shown by `Debug`; for another format, end the cell with `format!(\"{x}\")`"),
    (&["efmt"], "errors are shown by `Display`, with their causes"),
    (&["preserve_vars_on_panic"], "variables always survive a panic"),
    (&["last_error_json"], "`:explain` explains the last error"),
    (&["version"], "`kensaku doctor`, in a terminal, shows the versions"),
    (&["load_config"], "init.evcxr and prelude.rs run when the kernel starts"),
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
        "not needed here; `:opt` sets the optimisation level",
    ),
];

/// The names of the commands, with colons, and their descriptions.
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

/// The error for the unknown command `:name`.
pub(super) fn unknown(name: &str) -> Failure {
    let elsewhere = ELSEWHERE.iter().find(|(names, _)| names.contains(&name)).map(|(_, answer)| (*answer).to_owned());
    let answer = elsewhere.or_else(|| Some(format!("did you mean `{}`?", nearest(name)?))).unwrap_or_else(|| {
        let mut known: Vec<&str> = commands().map(|(name, _)| name).collect();
        known.sort_unstable();
        format!("the commands are {}", known.join(", "))
    });
    Failure::new("CommandError", format!("unknown command `:{name}`: {answer}"))
}

/// The command most similar to `written`.
fn nearest(written: &str) -> Option<&'static str> {
    let known = commands().map(|(name, _)| (strsim::damerau_levenshtein(&name[1..], &written.to_lowercase()), name));
    // A short word is similar to many.
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
            ("whatever", "the commands are :clear, :dep, :doc,"),
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
