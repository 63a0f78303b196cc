//! The cells of a notebook as one `main.rs`.
//!
//! Items stand at the top, as they are. From the first cell on that defines a name anew, the rest of the
//! program is an inner block: earlier code keeps what it meant.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use syn::{Expr, Item, Stmt};

use super::items::{Items, Place};
use crate::cell::{Cell, Directive, Kind, Statement, awaits};
use crate::ipynb;
use crate::session::dependency;

/// A notebook as a program.
pub(super) struct Program {
    pub(super) text: String,
    /// What the `:dep` lines ask for.
    pub(super) dependencies: Vec<(String, toml::Value)>,
}

/// Cells that do not parse are an error: a program would lack them.
pub(super) fn of<'a>(cells: impl Iterator<Item = &'a Value>, title: &str) -> Result<Program> {
    let mut writer = Writer::default();
    let mut count = 0;
    for cell in cells {
        let source = ipynb::source(cell);
        if ipynb::is_code(cell) {
            count += 1;
            let parsed = Cell::parse(&source).with_context(|| format!("cell [{count}] does not parse"))?;
            writer.cell(&parsed).with_context(|| format!("cell [{count}]"))?;
        } else {
            writer.comment(&source);
        }
    }
    Ok(writer.finish(title))
}

#[derive(Default)]
struct Writer {
    items: Items,
    imports: String,
    top: String,
    body: String,
    blocks: usize,
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

    fn cell(&mut self, cell: &Cell) -> Result<()> {
        for directive in cell.directives.before.iter().chain(&cell.directives.after) {
            if let Directive::Command { name, arguments } = directive {
                ensure!(name != "load", "put the code of {arguments} into the notebook: a program loads no file");
                if name == "dep" {
                    self.dependencies.push(dependency(arguments)?);
                }
            }
        }
        let mut places = self.places(cell).into_iter();
        self.waits |= awaits(&cell.statements);
        let mut copied = 0;
        for statement in &cell.statements {
            let before = remarks(cell, copied..statement.range.start);
            copied = statement.range.end;
            let code = &cell.code[statement.range.clone()];
            let Some(item) = item(statement) else {
                self.body.push_str(&format!("{before}{}", as_statement(statement, code)));
                continue;
            };
            match places.next() {
                Some(Place::Known) => self.body.push_str(&before),
                Some(Place::Partly(imports)) => self.item(item, &before, &imports.join("\n")),
                _ => self.item(item, &before, code),
            }
        }
        self.body.push_str(&remarks(cell, copied..cell.code.len()));
        self.body.push('\n');
        Ok(())
    }

    /// Begins an inner block, where the cell defines a name anew.
    fn places(&mut self, cell: &Cell) -> Vec<Place> {
        let places: Vec<Place> = cell.statements.iter().filter_map(item).map(|item| self.items.add(item)).collect();
        if places.contains(&Place::Replaces) {
            self.body.push_str("\n// From here on, names that are defined anew mean something else.\n{\n");
            self.blocks += 1;
            self.items.begin_scope();
            for item in cell.statements.iter().filter_map(item) {
                self.items.add(item);
            }
        }
        places
    }

    /// Items stand at the top, with the comment above them, until a block has begun.
    fn item(&mut self, item: &Item, before: &str, code: &str) {
        if self.blocks > 0 {
            self.body.push_str(&format!("{before}{code}"));
            return;
        }
        let (rest, own) = own_comment(before);
        self.body.push_str(rest);
        match item {
            Item::Use(_) => self.imports.push_str(&format!("{own}{code}\n")),
            _ => self.top.push_str(&format!("{own}{code}\n\n")),
        }
    }

    fn finish(self, title: &str) -> Program {
        let main = if self.waits { "#[kensaku::tokio::main(crate = \"kensaku::tokio\")]\nasync fn" } else { "fn" };
        let blocks = "}".repeat(self.blocks);
        let Self { imports, top, body, .. } = &self;
        let text = format!(
            "//! The notebook `{title}` as a program.\n\n\
             // What is left unused in a notebook is no mistake.\n#![allow(unused)]\n\n\
             use kensaku::prelude::*;\n{imports}\n{top}\
             {main} main() -> std::result::Result<(), kensaku::ProgramError> {{\n\
             kensaku::show::save_to(\"displays\")?;\n{body}{blocks}\nOk(())\n}}\n"
        );
        Program { text, dependencies: self.dependencies }
    }
}

/// What stands between statements: comments, and what only a notebook understands as comments.
fn remarks(cell: &Cell, range: Range<usize>) -> String {
    let mut text = String::new();
    let mut copied = range.start;
    for place in cell.directives.places.iter().filter(|place| range.contains(&place.start)) {
        text += &cell.code[copied..place.start];
        copied = place.end;
        let rest = cell.code[place.end..].lines().next().unwrap_or_default();
        let alone = cell.code[..place.end].ends_with('\n') || rest.trim().is_empty();
        // What stands in front of code would take it into the comment.
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

/// The comment right above an item, apart from what stands before it.
fn own_comment(before: &str) -> (&str, &str) {
    let is_comment = |line: &&str| line.trim_start().starts_with("//");
    let own: usize = before.split_inclusive('\n').rev().take_while(is_comment).map(str::len).sum();
    before.split_at(before.len() - own)
}

/// A cell's last expression is shown; one that has no value ends like a statement.
fn as_statement(statement: &Statement, code: &str) -> String {
    match (&statement.kind, &statement.syntax) {
        (Kind::Value, _) => format!("kensaku::show_value!({code});"),
        (_, Stmt::Expr(Expr::Assign(_) | Expr::Return(_), None)) => format!("{code};"),
        _ => code.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn program(cells: &[(&str, &str)]) -> Program {
        let cells: Vec<Value> =
            cells.iter().map(|(kind, source)| json!({ "cell_type": kind, "source": source })).collect();
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
    fn what_is_defined_anew_holds_from_there_on() {
        let cells = ["use a::b;\nfn f() {}", "f();", "use a::b;\nfn f() -> u8 { 1 }\nf()", "fn g() { f(); }"];
        let text = program(&cells.map(|cell| ("code", cell))).text;
        let (top, main) = text.split_once("fn main()").expect("it has a main");
        assert!(top.contains("use a::b;\n") && top.contains("fn f() {}") && !main.contains("use a::b"), "{text}");
        let inner = main.split_once("{\n\nfn f() -> u8 { 1 }\nkensaku::show_value!(f());\nfn g()");
        assert!(inner.is_some_and(|(outer, _)| outer.contains("f();")), "{main}");
        assert!(main.contains("}\nOk(())\n}"), "{main}");
    }

    #[test]
    fn what_only_a_notebook_understands_is_a_comment() {
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
}
