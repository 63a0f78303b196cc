use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use kensaku::candle_core::safetensors;
use kensaku::prelude::*;
use kensaku::serde_json::json;

use crate::{recall, searched, timed};

/// Vectors as they are, then codes of 4, 2 and 1 bits.
pub fn run(folder: &Path) -> Result<()> {
    let path = folder.join("tokens.safetensors");
    if !path.exists() {
        write(&path)?;
    }
    let tensors = safetensors::load(&path, &Device::Cpu)?;
    let (docs, queries) = (read(&tensors, "docs")?, read(&tensors, "queries")?);
    let (index, build_s) = timed(|| LateIndex::new(&docs, LateConfig::EXACT))?;
    let (exact, search_s) = searched(&index, &queries, 100)?;
    let rate = queries.len() as f64 / search_s;
    println!("{}", json!({ "index": format!("{index:?}"), "build_s": build_s, "queries_per_s": rate }));
    for nbits in [4, 2, 1] {
        let config = LateConfig { nbits: Some(nbits), ..LateConfig::PLAID };
        let (mut index, build_s) = timed(|| LateIndex::new(&docs, config))?;
        println!("{}", json!({ "index": format!("{index:?}"), "build_s": build_s }));
        for ndocs in [8_192, 4_096, 1_024] {
            index = index.with_search(LateSearch { ndocs, ..LateConfig::PLAID.search })?;
            let (run, search_s) = searched(&index, &queries, 100)?;
            let (rate, found) = (queries.len() as f64 / search_s, [10, 100].map(|k| recall(&exact, &run, k)));
            println!("{}", json!({ "ndocs": ndocs, "queries_per_s": rate, "recall_10_100": found }));
        }
        let path = folder.join("late.safetensors");
        index.save(&path)?;
        let bytes = std::fs::metadata(&path)?.len();
        let (_, load_s) = timed(|| LateIndex::load(&path))?;
        println!("{}", json!({ "bytes": bytes, "load_s": load_s }));
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// SciFact's documents and test queries by all-MiniLM-L6-v2, projected to 128 numbers at random.
fn write(path: &Path) -> Result<()> {
    let variable = |name, default: &str| PathBuf::from(std::env::var(name).unwrap_or_else(|_| default.to_owned()));
    let data = read::beir(variable("KENSAKU_SHARED", "../shared").join("data/scifact"))?;
    let minilm = BiEncoder::load(variable("KENSAKU_MINILM", "all-MiniLM-L6-v2"))?;
    let model = ColBert::on(minilm.encoder().clone(), minilm.tokenizer().clone(), ColBertConfig::default(), 42)?;
    let mut tensors = HashMap::new();
    let (docs, queries) = (model.encode_docs(&data.corpus)?, model.encode_queries(&data.split("test")?.queries)?);
    for (name, texts) in [("docs", docs), ("queries", queries)] {
        let bounds: Vec<i64> = texts.bounds.iter().map(|bound| *bound as i64).collect();
        tensors.insert(format!("{name}.bounds"), Tensor::new(bounds, &Device::Cpu)?);
        tensors.insert(format!("{name}.vectors"), texts.vectors);
    }
    Ok(safetensors::save(&tensors, path)?)
}

fn read(tensors: &HashMap<String, Tensor>, name: &str) -> Result<TokenEmbeddings> {
    let bounds = tensors[&format!("{name}.bounds")].to_vec1::<i64>()?;
    let ids = (1..bounds.len()).map(|text| format!("{text:07}")).collect();
    let bounds = bounds.into_iter().map(|bound| bound as usize).collect();
    Ok(TokenEmbeddings::new(ids, tensors[&format!("{name}.vectors")].clone(), bounds)?)
}
