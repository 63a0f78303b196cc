use std::path::Path;

use anyhow::{Context, Result};
use kensaku::prelude::*;
use kensaku::serde_json::json;

use crate::{recall, searched, timed};

const WIDTH: usize = 384;

/// A graph with the peer's settings, searched with more and more vectors kept; then from its file.
pub fn run(folder: &Path, k: usize) -> Result<()> {
    let (docs, queries) = (vectors(&folder.join("docs.f32"))?, vectors(&folder.join("queries.f32"))?);
    let one = Embeddings::new(queries.ids[..1].to_vec(), queries.vectors.narrow(0, 0, 1)?)?;
    let (exact, exact_s) = searched(&FlatIndex::new(docs.clone(), Similarity::Dot)?, &queries, k)?;
    let (mut index, build_s) = timed(|| HnswIndex::new(&docs, Similarity::Dot))?;
    println!("{}", json!({ "docs": docs.len(), "queries": queries.len(), "exact_s": exact_s, "build_s": build_s }));
    let point = |index: &HnswIndex| -> Result<_> {
        let (run, search_s) = searched(index, &queries, k)?;
        let (ef, rate) = (index.config().ef_search, queries.len() as f64 / search_s);
        let one_s = searched(index, &one, k)?.1;
        Ok(json!({ "ef": ef, "queries_per_s": rate, "one_query_s": one_s, "recall": recall(&exact, &run, k) }))
    };
    for ef_search in [50, 100, 150, 200, 400] {
        index = index.with_ef_search(ef_search)?;
        println!("{}", point(&index)?);
    }
    let path = folder.join("hnsw.safetensors");
    let (_, save_s) = timed(|| index.save(&path))?;
    let (loaded, load_s) = timed(|| HnswIndex::load(&path))?;
    let loaded = loaded.with_ef_search(100)?;
    println!("{}", json!({ "save_s": save_s, "load_s": load_s, "mapped": point(&loaded)? }));
    Ok(std::fs::remove_file(path)?)
}

/// Row-major numbers; ids are their rows, with zeros in front so that they are in order.
fn vectors(path: &Path) -> Result<Embeddings> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let numbers: Vec<f32> = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let rows = numbers.len() / WIDTH;
    let ids = (0..rows).map(|row| format!("{row:07}")).collect();
    Ok(Embeddings::new(ids, Tensor::from_vec(numbers, (rows, WIDTH), &Device::Cpu)?)?)
}
