//! Habits from Python and other kernels, and what does the same here.

/// What to write instead of a line that is not Rust.
pub(super) fn habit(line: &str) -> Option<&'static str> {
    let line = line.trim();
    let word = line.split(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
    if let Some(magic) = word.strip_prefix('%') {
        return Some(of_magic(magic.trim_start_matches('%')));
    }
    let called = |name: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('('));
    let found = match word {
        "pip" | "pip3" | "conda" | "mamba" | "cargo" => {
            "`:dep name = \"version\"` adds a crate; `!command` runs a program"
        }
        "ls" | "cd" | "pwd" | "cat" | "git" if !line.contains(['(', '=', ';']) => "`!command` runs a shell command",
        "import" | "from" => "`use path::Name;` imports a name, and `:dep name = \"version\"` adds a crate",
        "def" => "a function is written `fn name(argument: f32) -> f32 { .. }`",
        "class" => "a type is written `struct Name { field: f32 }`, its methods `impl Name { .. }`",
        "lambda" => "a closure is written `|x| x + 1`",
        "for" | "if" | "while" | "else:" | "elif" | "try:" if line.ends_with(':') => {
            "a block goes in braces: `for x in 0..3 { .. }`"
        }
        "var" | "const" | "auto" if line.contains('=') && !line.contains(": ") => {
            "a variable is declared with `let name = ..;`"
        }
        _ if called("print") => "`println!(\"{}\", value);` prints",
        _ if line.starts_with("# ") => "a comment begins with `//`",
        _ if line.contains(" = lambda ") => "a closure is written `|x| x + 1`",
        _ => return None,
    };
    Some(found)
}

fn of_magic(name: &str) -> &'static str {
    match name {
        "time" | "timeit" => "`:time` before a cell measures it, `:timing` measures every cell",
        "matplotlib" | "pylab" | "config" => "nothing to set up: a cell that ends in a chart shows it",
        "load" | "run" | "loadpy" => "`:load file` runs the code of a file",
        "env" | "set_env" => "`:env NAME = value` sets an environment variable",
        "pip" | "conda" | "mamba" => "`:dep name = \"version\"` adds a crate",
        "reset" | "reset_selective" => "`:clear` forgets everything, `:forget name` one variable",
        "who" | "whos" | "who_ls" => "`:vars` lists the variables and their types",
        "cd" | "pwd" | "ls" | "bash" | "sh" | "system" | "sx" => "`!command` runs a shell command",
        "pdoc" | "pinfo" | "psource" | "pdef" => "`?name` shows documentation",
        "html" | "HTML" | "markdown" | "svg" | "latex" => {
            "`show::html(\"..\")` and `show::markdown(\"..\")` are shown as the value of a cell"
        }
        "writefile" | "file" => "`std::fs::write(path, text)?` writes a file",
        _ => "commands begin with a colon here: `:help` lists them",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn habits_have_an_answer() {
        let answers = [
            ("%%time", ":time"),
            ("%timeit f(1)", ":timing"),
            ("%matplotlib inline", "chart"),
            ("%load x.py", ":load"),
            ("%autoreload 2", ":help"),
            ("pip install x", ":dep"),
            ("conda install -c conda-forge x", ":dep"),
            ("import numpy as np", "use path"),
            ("from x import y", "use path"),
            ("print(\"x\")", "println!"),
            ("print('x')", "println!"),
            ("def f(x):", "fn name"),
            ("  for x in range(3):", "braces"),
            ("# a comment", "//"),
            ("f = lambda x: x + 1", "|x|"),
            ("ls -l", "!command"),
        ];
        for (line, answer) in answers {
            assert!(habit(line).is_some_and(|text| text.contains(answer)), "{line}: {:?}", habit(line));
        }
    }

    #[test]
    fn rust_is_not_a_habit() {
        let lines = [
            "for x in 0..3 {",
            "if a {",
            "let from = 1;",
            "println!(\"x\")",
            "#[derive(Debug)]",
            "const N: u8 = 1;",
            "a % b",
            "ls(1);",
        ];
        assert!(lines.iter().all(|line| habit(line).is_none()), "{:?}", lines.map(habit));
    }
}
