//! Processes that are killed while they encode and save: what they had finished is there, and what they had not never loads.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use candle_core::Tensor;
use kensaku::data::Corpus;
use kensaku::index::{Bm25, Bm25Params, FlatConfig, FlatIndex, FlatPrecision, Shard, encode_shard};
use kensaku::model::{BiEncoder, Embeddings};
use kensaku::random::Philox;
use polars::prelude::df;

use crate::shared::{Trials, test};

pub fn trials() -> Trials {
    vec![test("shards::killed_at_any_moment", killed)]
}

/// The folder that a process of this test works in.
const FOLDER: &str = "KENSAKU_TEST_SHARDS";

const SHARDS: usize = 40;

fn corpus() -> Corpus {
    let ids: Vec<String> = (0..400).map(|doc| format!("d{doc}")).collect();
    let texts: Vec<String> = (0..400).map(|doc| format!("Opens file {doc} and sorts its {} lines.", doc * 7)).collect();
    Corpus::new(df!("doc_id" => ids, "text" => texts).unwrap()).unwrap()
}

/// The work of a process that is killed, if this is one: all shards, an index of each kind after each.
pub fn child() -> Option<ExitCode> {
    let folder = PathBuf::from(std::env::var_os(FOLDER)?);
    let (corpus, model) = (corpus(), BiEncoder::tiny().unwrap());
    let flat = |precision| {
        let vectors = Tensor::rand(-1.0_f32, 1.0, (20_000, 64), &candle_core::Device::Cpu).unwrap();
        let docs = Embeddings::new((0..20_000).map(|row| row.to_string()).collect(), vectors).unwrap();
        FlatIndex::new(docs, FlatConfig { precision, ..Default::default() }).unwrap()
    };
    let (f32, binary) = (flat(FlatPrecision::F32), flat(FlatPrecision::Binary));
    let bm25 = Bm25::new(&corpus, Bm25Params::default()).unwrap();
    for number in 1..=SHARDS {
        encode_shard(&corpus, folder.join("shards"), Shard { number, of: SHARDS }, |docs| model.encode_docs(docs))
            .unwrap();
        f32.save(folder.join("f32")).unwrap();
        binary.save(folder.join("binary")).unwrap();
        bm25.save(folder.join("bm25")).unwrap();
    }
    Some(ExitCode::SUCCESS)
}

fn killed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut rng, mut finished, mut kills) = (Philox::new(5), 0, 0);
    while kills < 30 {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let mut child = child.env(FOLDER, dir.path()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(50 + rng.below(400) as u64));
        // The signal that no process can put off.
        child.kill().unwrap();
        kills += usize::from(!child.wait().unwrap().success());
        let now = whole(dir.path());
        assert!(now >= finished, "{finished} shards, then {now}");
        finished = now;
        if finished == SHARDS {
            std::fs::remove_dir_all(dir.path().join("shards")).unwrap();
            finished = 0;
        }
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    assert!(child.env(FOLDER, dir.path()).status().unwrap().success());
    let loaded = Embeddings::load(dir.path().join("shards")).unwrap();
    let whole = BiEncoder::tiny().unwrap().encode_docs(&corpus()).unwrap();
    assert_eq!(loaded.ids, whole.ids);
    assert_eq!(loaded.vectors.to_vec2::<f32>().unwrap(), whole.vectors.to_vec2::<f32>().unwrap());
}

/// How many shards there are, all of which load, as do the indexes.
fn whole(folder: &Path) -> usize {
    for (name, load) in [
        ("f32", (|path| FlatIndex::load(path).unwrap().len()) as fn(&Path) -> usize),
        ("binary", |path| FlatIndex::load(path).unwrap().len()),
        ("bm25", |path| Bm25::load(path).unwrap().len()),
    ] {
        let path = folder.join(name);
        assert!(!path.exists() || load(&path) > 0);
    }
    let Ok(shards) = std::fs::read_dir(folder.join("shards")) else { return 0 };
    let shards = shards.map(|entry| entry.unwrap().path());
    let shards = shards.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("shard-"));
    shards.map(|path| assert_eq!(Embeddings::load(path).unwrap().len(), 10)).count()
}
