//! `kensaku encode`: shards of a corpus, by processes that know nothing of each other.

use std::fmt::Write;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::scripts::Script;

const MODEL: &str = "use kensaku::prelude::*;\nBiEncoder::tiny()?.save(\"model\")?;";

/// Compares the shards with the vectors of the whole.
const COMPARE: &str = r#"
use kensaku::prelude::*;
let table = kensaku::data::read::jsonl("docs.jsonl")?.rename(&[("_id", "doc_id")])?;
let whole = BiEncoder::load("model")?.encode_docs(&table.corpus()?)?;
let docs = Embeddings::load("vectors")?;
assert_eq!(docs.ids, whole.ids);
let apart = (docs.vectors - whole.vectors)?.abs()?.max_all()?.to_scalar::<f32>()?;
println!("{} {}", docs.ids.len(), apart < 1e-6);
"#;

#[test]
fn shards_are_encoded_once_and_killed_ones_again() -> Result<()> {
    let script = Script::new(MODEL)?;
    ensure!(script.run(&["run", "script.rs"])?.status.success(), "no model");
    let mut lines = String::new();
    for doc in 0..3_000 {
        writeln!(
            lines,
            r#"{{"_id": "d{doc}", "title": "Title {doc}", "text": "Opens file {doc} and sorts its lines."}}"#
        )?;
    }
    std::fs::write(script.folder.path().join("docs.jsonl"), lines)?;
    let encode = |shard: &str| {
        let arguments = ["encode", "model", "docs.jsonl", "vectors", "--shard", shard];
        script.command(env!("CARGO_BIN_EXE_kensaku"), &arguments)
    };
    let finished = |shard: &str| -> Result<String> {
        let output = encode(shard).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    assert_eq!(finished("2/3")?, "shard 2/3: documents 1001 to 2000 of 3000 encoded\n");
    assert_eq!(finished("2/3")?, "shard 2/3: documents 1001 to 2000 of 3000 were there\n");
    for round in 0..12 {
        let mut child = encode("1/3").stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        std::thread::sleep(Duration::from_millis(20 + 37 * round));
        child.kill()?;
        child.wait()?;
    }
    finished("1/3")?;
    finished("3/3")?;
    let wrong = encode("4/3").output()?;
    ensure!(!wrong.status.success());
    let said = String::from_utf8(wrong.stderr)?;
    assert!(said.contains("shard = 4/3: expected i/n, where i is 1 to n"), "{said}");
    script.write(COMPARE)?;
    let compared = script.run(&["run", "script.rs"])?;
    let said = String::from_utf8(compared.stdout).context("text")?;
    assert_eq!(said, "3000 true\n", "{}", String::from_utf8_lossy(&compared.stderr));
    Ok(())
}
