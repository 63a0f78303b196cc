//! The cells of a notebook as one `main.rs`.
//!
//! Items are at the top, unchanged. From the first cell on that redefines a name, the rest of the program is an
//! inner block, so that earlier code keeps its meaning.
//!
//! An error in a cell tagged `raises-exception` does not end the program; a cell tagged `skip-execution` is a comment.

use std::collections::HashSet;

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use syn::{Expr, Item, Stmt};

use crate::cell::{
    Cell, Definitions, Directive, Edits, Kind, Place, Places, Statement, awaits, bare_returns, makes_items, words,
};
use crate::ipynb::{self, Task};
use crate::session::dependency;

/// A notebook as a program.
pub(super) struct Program {
    pub(super) text: String,
    /// The byte at which its `main` begins.
    pub(super) main: usize,
    /// The crates of its `:dep` lines.
    pub(super) dependencies: Vec<(String, toml::Value)>,
}

/// Converts cells to a program. A cell that does not parse is an error, as the program would lack it.
pub(super) fn of<'a>(cells: impl Iterator<Item = &'a Value>, title: &str) -> Result<Program> {
    let mut writer = Writer::default();
    let mut count = 0;
    for cell in cells {
        let source = ipynb::source(cell);
        let may_fail = match ipynb::task(cell) {
            Task::Run { may_fail } => may_fail,
            Task::Leave if ipynb::is_code(cell) => {
                writer.comment(&format!("Not run (skip-execution):\n{source}"));
                continue;
            }
            Task::Leave | Task::Blank => {
                writer.comment(&source);
                continue;
            }
        };
        count += 1;
        let parsed = Cell::parse_after(&source, &writer.item_macros);
        if may_fail && (parsed.is_err() || ipynb::did_not_compile(cell)) {
            writer.comment(&format!("Does not compile (raises-exception):\n{source}"));
            continue;
        }
        let parsed = parsed.with_context(|| format!("cell [{count}] does not parse"))?;
        writer.cell(&parsed, may_fail).with_context(|| format!("cell [{count}]"))?;
    }
    Ok(writer.finish(title))
}

#[derive(Default)]
struct Writer {
    definitions: Definitions,
    imports: String,
    top: String,
    body: String,
    blocks: usize,
    /// Macros so far that generate items.
    item_macros: Vec<String>,
    /// Variables so far.
    variables: HashSet<String>,
    dependencies: Vec<(String, toml::Value)>,
    waits: bool,
}

impl Writer {
    fn comment(&mut self, text: &str) {
        self.body.push('\n');
        for line in text.lines() {
            self.body.push_str(format!("// {line}").trim_end());
            self.body.push('\n');
        }
        self.body.push('\n');
    }

    fn cell(&mut self, cell: &Cell, may_fail: bool) -> Result<()> {
        for directive in cell.directives.before.iter().chain(&cell.directives.after) {
            if let Directive::Command { name, arguments } = directive {
                ensure!(
                    name != "load",
                    "`:load {arguments}` cannot be exported: put the code of the file into the notebook"
                );
                if name == "dep" {
                    self.dependencies.push(dependency(arguments)?);
                }
            }
        }
        self.variables.extend(cell.kept().into_iter().map(|(_, binding)| binding.name.clone()));
        let mut places = self.places(cell).into_iter();
        let waits = awaits(&cell.statements);
        self.waits |= waits;
        let (begin, end) = if may_fail { survived(waits) } else { ("", "") };
        self.body.push_str(begin);
        let mut copied = 0;
        for statement in &cell.statements {
            let before = remarks(cell, copied..statement.range.start);
            copied = statement.range.end;
            let code = &cell.code[statement.range.clone()];
            match item(statement) {
                Some(item) => match places.next() {
                    Some(Place::Known) => self.body.push_str(&before),
                    Some(Place::Partly(imports)) => self.item(item, &before, &imports.join("\n")),
                    _ => self.item(item, &before, code),
                },
                // A call of a macro that generates items.
                None if statement.kind == Kind::Item => self.top(&before, code),
                None => self.body.push_str(&format!("{before}{}", as_statement(statement, &cell.code))),
            }
        }
        self.body.push_str(&remarks(cell, copied..cell.code.len()));
        self.body.push_str(end);
        self.body.push('\n');
        Ok(())
    }

    /// Begins an inner block if the cell redefines a name.
    fn places(&mut self, cell: &Cell) -> Vec<Place> {
        let code = |statement: &Statement| cell.code[statement.range.clone()].to_owned();
        let items = cell.statements.iter().filter_map(|statement| Some((item(statement)?, code(statement))));
        let Places { items, begins } = self.definitions.cell(&items.collect::<Vec<_>>());
        if let Some(again) = begins {
            let again: String = again.iter().map(|code| format!("{code}\n")).collect();
            self.body.push_str("\n// Some names are redefined from here on.\n{\n");
            self.body.push_str(&again);
            self.blocks += 1;
        }
        items
    }

    /// Puts items at the top, except for a second `main` and macros that name variables.
    fn item(&mut self, item: &Item, before: &str, code: &str) {
        match item {
            Item::Use(_) if self.blocks == 0 => {
                let (rest, own) = own_comment(before);
                self.body.push_str(rest);
                self.imports.push_str(&format!("{own}{code}\n"));
            }
            Item::Fn(function) if function.sig.ident == "main" => self.body.push_str(&format!("{before}{code}")),
            Item::Macro(definition) => {
                if makes_items(definition) {
                    self.item_macros.extend(definition.ident.as_ref().map(ToString::to_string));
                }
                match words(definition.mac.tokens.clone()).is_disjoint(&self.variables) {
                    true => self.top(before, code),
                    false => self.body.push_str(&format!("{before}{code}")),
                }
            }
            _ => self.top(before, code),
        }
    }

    /// Puts `code` at the top, with the comment above it, until a block has begun.
    fn top(&mut self, before: &str, code: &str) {
        if self.blocks > 0 {
            self.body.push_str(&format!("{before}{code}"));
            return;
        }
        let (rest, own) = own_comment(before);
        self.body.push_str(rest);
        self.top.push_str(&format!("{own}{code}\n\n"));
    }

    fn finish(self, title: &str) -> Program {
        let main = if self.waits { "#[kensaku::tokio::main(crate = \"kensaku::tokio\")]\nasync fn" } else { "fn" };
        let blocks = "}".repeat(self.blocks);
        let Self { imports, top, body, .. } = &self;
        let top = format!(
            "//! The notebook `{title}` as a program.\n\n\
             // Notebooks may leave items and variables unused.\n#![allow(unused)]\n\n\
             use kensaku::prelude::*;\n{imports}\n{top}"
        );
        let text = format!(
            "{top}{main} main() -> std::result::Result<(), kensaku::ProgramError> {{\n\
             kensaku::show::save_to(\"displays\")?;\n{body}{blocks}\nOk(())\n}}\n"
        );
        Program { text, main: top.len(), dependencies: self.dependencies }
    }
}

/// The text between statements: comments, and the lines for the notebook only, as comments.
fn remarks(cell: &Cell, range: Range<usize>) -> String {
    let mut text = String::new();
    let mut copied = range.start;
    for place in cell.directives.places.iter().filter(|place| range.contains(&place.start)) {
        text += &cell.code[copied..place.start];
        copied = place.end;
        let rest = cell.code[place.end..].lines().next().unwrap_or_default();
        let alone = cell.code[..place.end].ends_with('\n') || rest.trim().is_empty();
        // Before code on the same line, it would comment out that code.
        if alone {
            let lines = cell.code[place.clone()].split_inclusive('\n');
            lines.filter(|line| !line.trim().is_empty()).for_each(|line| text += &format!("// {line}"));
        }
    }
    text + &cell.code[copied..range.end]
}

fn item(statement: &Statement) -> Option<&Item> {
    match &statement.syntax {
        Stmt::Item(item) => Some(item),
        _ => None,
    }
}

/// Splits off the comment right above an item.
fn own_comment(before: &str) -> (&str, &str) {
    let is_comment = |line: &&str| line.trim_start().starts_with("//");
    let own: usize = before.split_inclusive('\n').rev().take_while(is_comment).map(str::len).sum();
    before.split_at(before.len() - own)
}

/// Shows the cell's last expression; one without a value becomes a statement.
fn as_statement(statement: &Statement, code: &str) -> String {
    let mut edits = Edits::default();
    let range = statement.range.clone();
    let (begin, end) = match (&statement.kind, &statement.syntax) {
        (Kind::Value, _) => ("kensaku::show_value!(", ");"),
        (_, Stmt::Expr(Expr::Assign(_) | Expr::Return(_), None)) => ("", ";"),
        _ => ("", ""),
    };
    edits.insert(range.start, begin);
    for place in bare_returns(statement) {
        edits.insert(place, " Ok(())");
    }
    edits.insert(range.end, end);
    edits.apply(code, range).text
}

/// The code around a cell whose error does not end the program.
fn survived(waits: bool) -> (&'static str, &'static str) {
    match waits {
        true => (
            "// An error in this cell does not end the program.\nif let Err(error) = async {\n",
            "\nOk::<(), kensaku::ProgramError>(())\n}.await {\neprintln!(\"{error:?}\");\n}\n",
        ),
        false => (
            "// An error in this cell does not end the program.\n\
             if let Ok(Err(error)) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(\
             || -> std::result::Result<(), kensaku::ProgramError> {\n",
            "\nOk(())\n})) {\neprintln!(\"{error:?}\");\n}\n",
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn program(cells: &[(&str, &str)]) -> Program {
        of_cells(cells.iter().map(|(kind, source)| json!({ "cell_type": kind, "source": source })).collect())
    }

    fn of_cells(cells: Vec<Value>) -> Program {
        of(cells.iter(), "test").expect("the cells parse")
    }

    #[test]
    fn cells_stay_in_order_and_items_go_up() {
        let cells = [
            ("markdown", "# Title\n\ntext"),
            ("code", "// first\nlet a = f()?;\n\n// doubles\nfn f() -> Result<u8> { Ok(1) }\na + 1"),
            ("code", ":dep regex = \"1\"\n:vars\nfor i in 0..3 {}"),
        ];
        let program = program(&cells);
        assert_eq!(program.dependencies, [("regex".to_owned(), "1".into())]);
        let (top, main) = program.text.split_once("fn main()").expect("it has a main");
        assert!(top.ends_with("\n// doubles\nfn f() -> Result<u8> { Ok(1) }\n\n"), "{top}");
        assert!(main.contains("// # Title\n//\n// text\n"), "{main}");
        assert!(
            main.contains(
                "// first\nlet a = f()?;\n\n\nkensaku::show_value!(a + 1);\n// :dep regex = \"1\"\n// :vars\nfor i in 0..3 {}\n"
            ),
            "{main}"
        );
    }

    #[test]
    fn redefinitions_apply_from_their_cell_on() {
        let cells = ["use a::b;\nfn f() {}", "f();", "use a::b;\nfn f() -> u8 { 1 }\nf()", "fn g() { f(); }"];
        let text = program(&cells.map(|cell| ("code", cell))).text;
        let (top, main) = text.split_once("fn main()").expect("it has a main");
        assert!(top.contains("use a::b;\n") && top.contains("fn f() {}") && !main.contains("use a::b"), "{text}");
        let inner = main.split_once("{\n\nfn f() -> u8 { 1 }\nkensaku::show_value!(f());\nfn g()");
        assert!(inner.is_some_and(|(outer, _)| outer.contains("f();")), "{main}");
        assert!(main.contains("}\nOk(())\n}"), "{main}");
    }

    #[test]
    fn lines_for_notebooks_become_comments() {
        let text = program(&[
            ("code", "?Tensor\n!ls\nlet a = 1;"),
            ("code", "a?"),
            ("code", "// a question?"),
            ("code", ":dep a = { features = [\n\"b\"] }\n:time f();\n:time\nlet s = \"\n:vars\n\";"),
        ])
        .text;
        for line in [
            "// ?Tensor\n",
            "// !ls\n",
            "\n// a?\n",
            "// a question?\n",
            "// \"b\"] }\n f();\n// :time\nlet s = \"\n:vars\n\";",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn cells_that_await_make_main_async() {
        assert!(program(&[("code", "let x = f().await?;")]).text.contains("\nasync fn main()"));
        let own = "let x = async { f().await };\nasync fn g() { f().await }";
        assert!(program(&[("code", own)]).text.contains("\nfn main()"));
    }

    #[test]
    fn tags_decide_what_becomes_of_a_cell() {
        let cell = |tag: &str, source: &str| json!({ "cell_type": "code", "metadata": { "tags": [tag] }, "source": source, "outputs": [] });
        let mut wrong = cell("raises-exception", "let n: u8 = \"x\";");
        wrong["outputs"] = json!([{ "output_type": "error", "ename": "CompileError" }]);
        let cells = vec![
            cell("skip-execution", "std::process::exit(9);"),
            cell("raises-exception", "fn kept() {}\nlet n: u8 = \"x\".parse()?;"),
            cell("raises-exception", "later().await?;"),
            cell("raises-exception", "let = 1;"),
            wrong,
        ];
        let text = of_cells(cells).text;
        assert!(text.contains("// Not run (skip-execution):\n// std::process::exit(9);\n"), "{text}");
        let (top, main) = text.split_once("async fn main()").expect("it has a main");
        assert!(top.contains("fn kept() {}"), "{top}");
        assert!(main.contains("catch_unwind") && main.contains("\nlet n: u8 = \"x\".parse()?;\nOk(())\n}))"), "{main}");
        assert!(main.contains("async {\nlater().await?;\nOk::<(), "), "{main}");
        let comment = "// Does not compile (raises-exception):\n";
        assert!(main.contains(&format!("{comment}// let = 1;\n")), "{main}");
        assert!(main.contains(&format!("{comment}// let n: u8 = \"x\";\n")), "{main}");
    }

    #[test]
    fn macros_are_placed_where_they_work() {
        let cells = [
            "let (k, n, ident) = (1, 2, 3);\nmacro_rules! of_k { () => { k } }\nmacro_rules! make { ($n:ident) => { struct $n; } }",
            "make!(A);\nimpl A {}\nthread_local! { static N: u8 = 1; }\nof_k!()",
        ];
        let text = program(&cells.map(|cell| ("code", cell))).text;
        let (top, main) = text.split_once("fn main()").expect("it has a main");
        for item in ["macro_rules! make", "make!(A);", "impl A {}", "thread_local!"] {
            assert!(top.contains(item) && !main.contains(item), "{text}");
        }
        // The variable is bound in the same cell.
        assert!(!top.contains("of_k") && main.contains("macro_rules! of_k"), "{text}");
    }

    #[test]
    fn a_main_of_the_notebook_is_an_inner_one() {
        let text = program(&[("code", "fn main() {}\nmain();\nlet Some(a) = b else { return };")]).text;
        let (top, main) = text.split_once("fn main() -> ").expect("it has a main");
        assert!(!top.contains("main") && main.contains("fn main() {}\nmain();"), "{text}");
        assert!(main.contains("else { return Ok(()) };"), "{text}");
    }
}
