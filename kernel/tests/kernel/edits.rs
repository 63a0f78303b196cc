//! Random chains of edits: after each, a variable either keeps its value or is reported as dropped, and only variables
//! that the edit affects are dropped.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::client::Client;

/// Types of fields, each with a value.
const FIELDS: [(&str, &str); 6] = [
    ("u8", "7"),
    ("u64", "7"),
    ("[u64; 4]", "[7; 4]"),
    ("String", "String::from(\"seven\")"),
    ("Vec<u16>", "vec![7, 8]"),
    ("(u8, u32)", "(7, 8)"),
];

/// The edited parts: the cell for one of the fields, and the variables that an edit affects.
struct Part {
    name: &'static str,
    code: fn(&str, usize) -> String,
    touches: &'static [&'static str],
}

const PARTS: [Part; 8] = [
    Part { name: "alias", code: |ty, _| format!("type Word = {ty};"), touches: &["all", "many", "erased"] },
    Part { name: "constant", code: |_, n| format!("const N: usize = {};", n + 1), touches: &["all", "many", "erased"] },
    Part {
        name: "function",
        code: |_, n| format!("const fn n() -> usize {{ {} }}", n + 1),
        touches: &["all", "many", "erased"],
    },
    Part {
        name: "associated type",
        code: |ty, _| format!("impl Shape for K {{ type Inner = {ty}; fn name(&self) -> u8 {{ 1 }} }}"),
        touches: &["all", "many", "key", "erased"],
    },
    Part {
        name: "macro",
        code: |ty, _| format!("macro_rules! make {{ ($n:ident) => {{ #[derive(Debug)] struct $n {{ x: {ty} }} }} }}"),
        touches: &["all", "many", "made", "erased"],
    },
    Part {
        name: "module",
        code: |ty, _| format!("mod m {{ #[derive(Debug)] pub struct P {{ pub x: {ty} }} }}"),
        touches: &["all", "many", "erased"],
    },
    Part {
        name: "struct",
        code: |ty, _| format!("#[derive(Debug)] struct Alone {{ x: {ty} }}"),
        touches: &["alone", "erased"],
    },
    Part { name: "function with a body", code: |_, n| format!("fn free() -> usize {{ {n} }}"), touches: &[] },
];

const TYPES: &str = "trait Shape { type Inner; fn name(&self) -> u8; }\n#[derive(Debug)] struct K;\nuse m::*;\n\
    make!(Made);\n#[derive(Debug)] struct All { w: Word, n: [u8; N], f: [u8; n()], i: <K as Shape>::Inner, m: Made, p: P }";

/// The code that creates each variable from the current fields.
fn variables(field: &BTreeMap<&str, usize>) -> Vec<(&'static str, String)> {
    let value = |part: &str| FIELDS[field[part]].1;
    let all = format!(
        "All {{ w: {}, n: [1; N], f: [2; n()], i: {}, m: Made {{ x: {} }}, p: P {{ x: {} }} }}",
        value("alias"),
        value("associated type"),
        value("macro"),
        value("module")
    );
    vec![
        ("all", all.clone()),
        ("many", format!("vec![{all}, {all}]")),
        ("word", format!("Some::<Word>({})", value("alias"))),
        ("key", "K".to_owned()),
        ("made", format!("Made {{ x: {} }}", value("macro"))),
        ("alone", format!("Alone {{ x: {} }}", value("struct"))),
        ("erased", format!("Box::new(Alone {{ x: {} }}) as Box<dyn std::any::Any>", value("struct"))),
        ("plain", "vec![1, 2, 3]".to_owned()),
    ]
}

/// Reads a variable: its text, and the current size of its type.
fn read(name: &str) -> String {
    match name {
        "erased" => "format!(\"{:?}\", erased.downcast_ref::<Alone>())".to_owned(),
        _ => format!("format!(\"{{:?}} {{}}\", {name}, size_of_val(&{name}))"),
    }
}

#[tokio::test]
async fn random_chains_of_edits() -> Result<()> {
    for seed in [1, 2] {
        chain(seed, 9).await?;
    }
    Ok(())
}

async fn chain(seed: u64, length: usize) -> Result<()> {
    let mut random = Random(seed);
    let mut kernel = Client::start().await?;
    let mut field: BTreeMap<&str, usize> = PARTS.iter().map(|part| (part.name, random.below(FIELDS.len()))).collect();
    let code = |part: &Part, field: usize| (part.code)(FIELDS[field].0, field);
    let parts: Vec<String> = PARTS.iter().map(|part| code(part, field[part.name])).collect();
    kernel.execute(&format!("{}\n{TYPES}", parts.join("\n"))).await?.expect_ok();
    let mut forms = BTreeMap::new();
    let mut touched: Vec<&str> = variables(&field).iter().map(|(name, _)| *name).collect();
    for step in 0..=length {
        // Recreates what the last edit has dropped.
        for (name, value) in variables(&field).iter().filter(|(name, _)| touched.contains(name)) {
            kernel.execute(&format!("let {name} = {value};")).await?.expect_ok();
            let form = kernel.execute(&read(name)).await?.expect_ok();
            forms.insert(*name, form.value().unwrap_or_default().to_owned());
        }
        let part = &PARTS[random.below(PARTS.len())];
        let new = random.below(FIELDS.len());
        let edited = kernel.execute(&code(part, new)).await?.expect_ok();
        touched = if field.insert(part.name, new) == Some(new) { Vec::new() } else { part.touches.to_vec() };
        for (name, form) in &forms {
            let now = kernel.execute(&read(name)).await?;
            let place = format!("seed {seed}, step {step}: {} becomes {}, then `{name}`", part.name, FIELDS[new].0);
            if touched.contains(name) {
                assert_eq!(now.status(), "error", "{place}");
                assert!(edited.text("stderr").contains(&format!("dropped `{name}`")), "{place}: {edited:#?}");
            } else {
                assert_eq!(now.status(), "ok", "{place}: {}", now.traceback());
                assert_eq!(now.value(), Some(form.as_str()), "{place}");
            }
        }
    }
    kernel.shutdown().await
}

/// Marsaglia's xorshift, so that the numbers are the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or_default() % end
    }
}

#[tokio::test]
async fn an_edit_is_not_refused_for_an_older_impl() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("#[derive(Debug)]\nstruct Doc { id: u32 }").await?.expect_ok();
    kernel.execute("impl Doc { fn new(id: u32) -> Self { Self { id } } }").await?.expect_ok();
    let edited = kernel.execute("#[derive(Debug)]\nstruct Doc { id: u32, title: String }").await?.expect_ok();
    let said = edited.text("stderr");
    assert!(
        said.starts_with("`impl Doc` of cell [2] no longer compiles and is left out until it is defined again: "),
        "{said}"
    );
    assert!(said.contains("missing field `title`"), "{said}");
    kernel.execute("impl Doc { fn new(id: u32) -> Self { Self { id, title: String::new() } } }").await?.expect_ok();
    assert_eq!(kernel.execute("Doc::new(1).id").await?.expect_ok().value(), Some("1"));
    // What needs it fails, and says why.
    let failed = kernel.execute("#[derive(Debug)]\nstruct Doc { id: u32, text: String }\nDoc::new(1)").await?;
    assert!(failed.traceback().contains("`impl Doc` of cell [4] no longer compiles"), "{}", failed.traceback());
    assert_eq!(kernel.execute("Doc::new(2).title").await?.expect_ok().value(), Some("\"\""));
    kernel.shutdown().await
}
