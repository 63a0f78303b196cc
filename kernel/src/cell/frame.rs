//! Builds the crate for a cell: the items it needs, and a function with its statements.
//!
//! ```text
//! use kensaku::prelude::*;
//! ..items..
//! fn kensaku_cell_7() {
//!     let kensaku_cell = kensaku::nb::begin();
//!     let x: T = kensaku::nb::take("x");                 // variables that the cell names
//!     let kensaku_end = kensaku::nb::run(|| {
//!         ..statements..
//!         kensaku::nb::keep("y", y);                     // variables that it creates
//!         Ok(())
//!     });
//!     kensaku::nb::give_back("x", x);                    // unless it was moved away
//! }
//! ```
//!
//! The statements borrow variables that they do not move, so that these survive a panic or an error; [`levels`] does
//! the same for the variables that the cell creates.

use super::items::{Item, Sort};
use super::levels::{Level, levels};
use super::parse::{Binding, Cell, Kind};
use super::program::{Impl, Nesting, Plan, Program, Role, Variable};
use super::statics::Homes;
use super::weave::{POLL, awaits, woven};

/// The first line of every program: user code gets no warnings.
const HEAD: &str = "#![allow(warnings)]\n";
const PRELUDE: &str = "use kensaku::prelude::*;\n";
const RESULT: &str = "::std::result::Result<(), ::kensaku::nb::Failed>";
const WELL: &str = "#[allow(unreachable_code)] ::std::result::Result::Ok::<(), ::kensaku::nb::Failed>(())";

/// The function of the `number`th program. Types inside it get its name in their paths, which makes them unique.
pub(crate) fn entry(number: usize) -> String {
    format!("kensaku_cell_{number}")
}

/// The program that runs `cell`, which is the `source`th.
pub(crate) fn runnable(items: &[&Item], homes: &Homes, cell: &Cell, source: usize, plan: &Plan) -> Program {
    let mut program = Program::default();
    program.head(items, homes, plan);
    let asynchronous = awaits(&cell.statements);
    program.line(&format!("fn {}() {{", entry(plan.number)));
    program.line("let kensaku_cell = ::kensaku::nb::begin();");
    if !plan.forgotten.is_empty() {
        program.line(&format!("::kensaku::nb::forget(&{:?});", plan.forgotten));
    }
    for Variable { name, ty, generation, .. } in &plan.used {
        // The type is the same, but its `TypeId` may differ since the generation changed.
        let check = if *generation == plan.generation { "has" } else { "readmit" };
        let line = format!("if !unsafe {{ ::kensaku::nb::{check}::<{ty}>(\"{name}\") }} {{ return; }}");
        program.marked(Role::Takes, name, usize::MAX, &line);
    }
    for Variable { name, ty, mutable, .. } in &plan.used {
        let mutable = if *mutable { "mut " } else { "" };
        program.line(&format!("let {mutable}{name}: {ty} = ::kensaku::nb::take(\"{name}\");"));
    }
    program.line(&if asynchronous {
        "let kensaku_end = ::kensaku::nb::run_async(async {".to_owned()
    } else {
        format!("let kensaku_end = ::kensaku::nb::run(|| -> {RESULT} {{")
    });
    for Variable { name, ty, .. } in &plan.vacant {
        program.line(&format!("let mut {name}: {ty};"));
    }
    let nesting = if plan.vacant.is_empty() { plan.nesting } else { Nesting::Flat };
    let levels = levels(cell, &plan.local, nesting);
    program.nested = levels.len() > 1;
    program.levels(&levels, cell, source, plan, asynchronous);
    program.line("});");
    for Variable { name, .. } in plan.used.iter().filter(|used| !plan.moved.contains(&used.name)) {
        program.marked(
            Role::Returns,
            name,
            usize::MAX,
            &format!("{{ ::kensaku::nb::give_back(\"{name}\", {name}); }}"),
        );
    }
    program.line("}");
    program
}

/// The program that is only checked: a deliberate type error follows each new variable, in which rustc names its
/// type.
pub(crate) fn probe(items: &[&Item], cell: &Cell, source: usize, plan: &Plan) -> Program {
    let mut program = Program::default();
    program.head(items, &Homes::default(), plan);
    let parameters: Vec<String> = plan
        .used
        .iter()
        .map(|Variable { name, ty, mutable, .. }| format!("{}{name}: {ty}", if *mutable { "mut " } else { "" }))
        .collect();
    let asynchronous = if awaits(&cell.statements) { "async " } else { "" };
    program.line(&format!("{asynchronous}fn {}({}) -> {RESULT} {{", entry(plan.number), parameters.join(", ")));
    for Variable { name, ty, .. } in &plan.vacant {
        program.line(&format!("let mut {name}: {ty};"));
    }
    for statement in cell.statements.iter().filter(|statement| statement.kind != Kind::Item) {
        program.original(source, &woven(&cell.code, statement, plan.tried));
    }
    for (index, Binding { name, .. }) in cell.kept().into_iter().filter(|(_, binding)| binding.is_open()) {
        let ask = format!("{{ let marker = ::kensaku::nb::type_of(&{name}); let () = marker; }}");
        program.marked(Role::Asks, name, index, &ask);
    }
    program.line("::std::result::Result::Ok(())\n}");
    program
}

impl Program {
    /// Macros come first: they must be defined before they are used.
    fn head(&mut self, items: &[&Item], homes: &Homes, plan: &Plan) {
        self.text.push_str(HEAD);
        self.text.push_str(if plan.names.is_empty() { PRELUDE } else { &plan.names });
        let (macros, others): (Vec<&Item>, Vec<&Item>) = items.iter().partition(|item| item.sort == Sort::Macro);
        for item in macros.into_iter().chain(others) {
            let edited = item.edited(|site, edits| match homes.get(site.key) {
                Some(home) => {
                    site.declare(&home.symbol, edits);
                    self.libraries.insert(home.library.clone());
                }
                None => {
                    let symbol = format!("kensaku_static_{}_{:016x}", plan.number, site.key);
                    site.define(&symbol, edits);
                    self.statics.push((site.key, symbol));
                }
            });
            let start = self.text.len();
            self.original(item.source, &edited);
            if item.sort == Sort::Impl {
                self.impls.push(Impl { at: start..self.text.len(), source: item.source, key: item.key.clone() });
            }
        }
    }

    /// The first of `levels` and the ones nested in it.
    fn levels(&mut self, levels: &[Level], cell: &Cell, source: usize, plan: &Plan, asynchronous: bool) {
        let Some((level, deeper)) = levels.split_first() else { return };
        for index in &level.statements {
            self.original(source, &woven(&cell.code, &cell.statements[*index], plan.tried));
        }
        let rest = format!("kensaku_rest_{}", deeper.len());
        if !deeper.is_empty() {
            self.line(&if asynchronous {
                format!("let {rest} = ::kensaku::nb::rest_async(async {{")
            } else {
                format!("let {rest} = ::kensaku::nb::rest(|| -> {RESULT} {{")
            });
            self.levels(deeper, cell, source, plan, asynchronous);
            self.line(if asynchronous { "}).await;" } else { "});" });
        }
        for (index, name) in &level.names {
            let ty = plan.pointers.get(name).map(|ty| format!("::<{ty}>")).unwrap_or_default();
            self.marked(Role::Keeps, name, *index, &format!("::kensaku::nb::keep{ty}(\"{name}\", {name});"));
        }
        if deeper.is_empty() {
            for Variable { name, .. } in plan.vacant.iter().filter(|vacant| !plan.moved.contains(&vacant.name)) {
                self.marked(Role::Returns, name, usize::MAX, &format!("::kensaku::nb::keep(\"{name}\", {name});"));
            }
            // In case the last statement could not be interrupted.
            self.line(&format!("{POLL} {WELL}"));
        } else {
            self.line(&rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::items::items;
    use super::super::program::Local;
    use super::super::weave::Tried;
    use super::*;

    fn plan(used: &[(&str, &str)]) -> Plan {
        let used = used.iter().map(|(name, ty)| Variable {
            name: (*name).to_owned(),
            ty: (*ty).to_owned(),
            full: (*ty).to_owned(),
            mutable: false,
            generation: 0,
        });
        Plan { number: 7, used: used.collect(), tried: Tried::Text, ..Plan::default() }
    }

    fn cell(code: &str) -> Cell {
        Cell::parse(code).expect("the cell parses")
    }

    /// The program of `code`, without its first lines, shortened.
    fn lines(code: &str, plan: &Plan) -> Vec<String> {
        let cell = cell(code);
        let program = runnable(&[], &Homes::default(), &cell, 0, plan);
        let short = program
            .text
            .replace("::kensaku::nb::", "")
            .replace("poll();\n", "")
            .replace("poll(); ", "")
            .replace(&format!(" -> {}", RESULT.replace("::kensaku::nb::", "")), "");
        short.replace(&WELL.replace("::kensaku::nb::", ""), "Ok(())").lines().skip(2).map(str::to_owned).collect()
    }

    #[test]
    fn a_variable_is_taken_used_and_given_back() {
        assert_eq!(
            lines("let y = x + 1;\ny", &plan(&[("x", "i32")])),
            [
                "fn kensaku_cell_7() {",
                "let kensaku_cell = begin();",
                "if !unsafe { has::<i32>(\"x\") } { return; }",
                "let x: i32 = take(\"x\");",
                "let kensaku_end = run(|| {",
                "let y = x + 1;;",
                "let kensaku_rest_1 = rest(|| {",
                "kensaku::show_value!(y);",
                "Ok(())",
                "});",
                "keep(\"y\", y);",
                "kensaku_rest_1",
                "});",
                "{ give_back(\"x\", x); }",
                "}",
            ]
        );
    }

    #[test]
    fn moved_and_local_variables_are_not_kept() {
        let mut plan = plan(&[("x", "String")]);
        plan.moved.insert("x".to_owned());
        plan.local.insert((1, "f".to_owned()), Local::Closure);
        let text = lines("drop(x);\nlet f = || 1;", &plan).join("\n");
        assert!(!text.contains("keep(") && !text.contains("give_back("), "{text}");
    }

    #[test]
    fn a_type_of_an_older_generation_is_readmitted() {
        let plan = Plan { generation: 1, ..plan(&[("x", "P")]) };
        assert!(lines("x;", &plan).join("\n").contains("readmit::<P>(\"x\")"));
    }

    #[test]
    fn places_map_back_to_the_cell() {
        let code = "fn one() -> i32 { 1 }\nlet y = one();\nf(y)?";
        let cell = cell(code);
        let items = items(&cell, 3);
        let program = runnable(&items.iter().collect::<Vec<_>>(), &Homes::default(), &cell, 4, &plan(&[]));
        let origin = |text: &str| {
            let start = program.text.find(text).expect("the text is there");
            program.origins.of(start..start + text.len())
        };
        assert_eq!(origin("fn one"), Some((3, 0..6)));
        assert_eq!(origin("one();"), Some((4, 30..36)));
        assert_eq!(origin("f(y)"), Some((4, 37..41)));
        assert_eq!(origin("nb::begin"), None);
    }

    #[test]
    fn the_first_program_defines_a_static_and_the_next_declares_it() {
        let cell = cell("static N: AtomicU8 = AtomicU8::new(1);");
        let items = items(&cell, 0);
        let needed: Vec<&Item> = items.iter().collect();
        let mut homes = Homes::default();
        let first = runnable(&needed, &homes, &cell, 0, &plan(&[]));
        let (key, symbol) = first.statics[0].clone();
        assert!(first.text.contains(&format!("#[unsafe(export_name = \"{symbol}\")] static N")), "{}", first.text);
        homes.insert(key, super::super::statics::Home { symbol: symbol.clone(), library: "/x/libcode_1.so".into() });
        let next = runnable(&needed, &homes, &cell, 0, &plan(&[]));
        assert!(next.text.contains(&format!("#[link_name = \"{symbol}\"]")), "{}", next.text);
        assert_eq!(next.libraries.len(), 1);
    }

    #[test]
    fn the_probe_asks_for_each_open_type() {
        let program = probe(&[], &cell("let a = f();\nlet b: u8 = 1;\na.len()"), 0, &plan(&[("v", "u8")]));
        let asked: Vec<_> = program.marks.iter().map(|mark| (mark.role, mark.name.as_str())).collect();
        assert_eq!(asked, [(Role::Asks, "a")]);
        assert!(program.text.contains("fn kensaku_cell_7(v: u8) -> "), "{}", program.text);
    }
}
