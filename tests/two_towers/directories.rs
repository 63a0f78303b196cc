//! Directories with a router.

use std::path::Path;

use kensaku::Result;
use kensaku::model::{BiEncoder, Role, Splade, TwoTowers};
use serde_json::{Value, json};

use super::{TEXTS, model};
use crate::golden::{self, Tensors, distance, fixture, floats, within};
use crate::models::copy;

pub(super) fn equals_golden(name: &str) -> Result<()> {
    let dir = fixture("models").join(name);
    let model = TwoTowers::load(&dir)?;
    let saved = tempfile::tempdir().unwrap();
    model.save(saved.path())?;
    let again = TwoTowers::load(saved.path())?;
    assert_eq!((again.query_config(), again.doc_config()), (model.query_config(), model.doc_config()));
    let expected = golden::json(&dir.join("expected.json"));
    let sentences: Vec<&str> =
        expected["sentences"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let tensors = Tensors::read(&dir.join("expected.safetensors"));
    for model in [&model, &again] {
        for (role, tensor) in
            [(Role::Plain, "embeddings"), (Role::Query, "query_embeddings"), (Role::Doc, "document_embeddings")]
        {
            let ours = model.encode(&sentences, role)?;
            within(&format!("{name}: {tensor}"), distance(&floats(&ours), &tensors.floats(tensor)), 1e-5);
        }
        let [queries, docs] = [Role::Query, Role::Doc].map(|role| model.encode(&sentences, role));
        let similarity = model.similarity(&queries?, &docs?)?;
        within("similarity", distance(&floats(&similarity), &tensors.floats("similarity")), 1e-4);
    }
    assert_eq!((model.query_config().max_length, model.doc_config().max_length), (12, 20));
    assert_eq!(model.query_config().query_prompt, "where is ");
    Ok(())
}

pub(super) fn schema() -> Result<()> {
    let saved = tempfile::tempdir().unwrap();
    // A model of another kind is replaced.
    BiEncoder::load(fixture("models/st62_bi_mean_dense"))?.save(saved.path())?;
    let model = model(1)?;
    model.save(saved.path())?;
    let mut names: Vec<String> = std::fs::read_dir(saved.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = [
        "README.md",
        "config_sentence_transformers.json",
        "document_0_Transformer",
        "document_1_Pooling",
        "document_2_Normalize",
        "modules.json",
        "query_0_Transformer",
        "query_1_Pooling",
        "query_2_Dense",
        "query_3_Normalize",
        "router_config.json",
    ];
    assert_eq!(names, expected);
    // As version 5 has it: its golden directory has the same modules.
    let router = golden::json(&saved.path().join("router_config.json"));
    let mut theirs = golden::json(&fixture("models/st52_bi_router/router_config.json"));
    let home = "sentence_transformers.models";
    theirs["structure"]["query"].as_array_mut().unwrap().push("query_3_Normalize".into());
    theirs["types"]["query_3_Normalize"] = format!("{home}.Normalize.Normalize").into();
    assert_eq!(router, theirs);
    let modules = golden::json(&saved.path().join("modules.json"));
    assert_eq!(modules, json!([{ "idx": 0, "name": "0", "path": "", "type": format!("{home}.Router") }]));
    let dense = golden::json(&saved.path().join("query_2_Dense/config.json"));
    assert_eq!((&dense["in_features"], &dense["use_residual"]), (&json!(16), &json!(true)));
    let card = std::fs::read_to_string(saved.path().join("README.md")).unwrap();
    for part in ["20 tokens of a query, 32 of a document", "    (query): (", "TwoTowers::load(\"org/name\")"] {
        assert!(card.contains(part), "{part}\n{card}");
    }
    let again = TwoTowers::load(saved.path())?;
    for role in [Role::Query, Role::Doc, Role::Plain] {
        assert_eq!(floats(&again.encode(&TEXTS, role)?), floats(&model.encode(&TEXTS, role)?));
    }
    // And back: nothing of the router stays.
    model.into_towers().1.save(saved.path())?;
    assert!(!saved.path().join("router_config.json").exists() && !saved.path().join("query_2_Dense").exists());
    Ok(())
}

pub(super) fn refusals() -> Result<()> {
    let message = |dir: &Path| TwoTowers::load(dir).unwrap_err().to_string();
    let plain = message(&fixture("models/st62_bi_mean_normalize"));
    assert!(plain.contains("Transformer`; expected a Router") && plain.contains("`BiEncoder::load`"), "{plain}");
    let bare = tempfile::tempdir().unwrap();
    assert!(message(bare.path()).contains("modules.json: no module; expected a Router"), "{}", message(bare.path()));
    let sparse = message(&fixture("models/st62_splade_inference_free"));
    assert!(sparse.contains("SparseEncoder") || sparse.contains("`Splade::load`"), "{sparse}");

    let one = |name: &str| BiEncoder::load(fixture("models").join(name)).unwrap_err().to_string();
    for name in ["st52_bi_router", "st62_bi_router"] {
        let found = one(name);
        assert!(found.contains("a Router: queries and documents") && found.contains("`TwoTowers::load`"), "{found}");
    }
    assert!(one("st62_splade_inference_free").contains("`Splade::load`"));
    let found = Splade::load(fixture("models/st52_bi_router")).unwrap_err().to_string();
    assert!(found.contains("`query` with Transformer, Pooling") && found.contains("`TwoTowers::load`"), "{found}");
    let found = Splade::load(fixture("models/st62_bi_router")).unwrap_err().to_string();
    assert!(found.contains("Normalize`; expected MLMTransformer") && found.contains("`TwoTowers::load`"), "{found}");

    let changed = |change: &dyn Fn(&mut Value)| {
        let dir = tempfile::tempdir().unwrap();
        copy(&fixture("models/st52_bi_router"), dir.path());
        let path = dir.path().join("router_config.json");
        let mut stored = golden::json(&path);
        change(&mut stored);
        std::fs::write(path, stored.to_string()).unwrap();
        message(dir.path())
    };
    let table = changed(&|stored| stored["types"]["query_0_Transformer"] = "a.StaticEmbedding".into());
    assert!(
        table.contains("`query` with StaticEmbedding, Pooling") && table.contains("each with Transformer"),
        "{table}"
    );
    let half = changed(&|stored| _ = stored["structure"]["document"].as_array_mut().unwrap().remove(1));
    assert!(half.contains("`document` with Transformer, Normalize"), "{half}");
    let route = changed(&|stored| stored["parameters"]["default_route"] = "query".into());
    assert!(route.contains("`default_route` is \"query\"; expected `document`"), "{route}");
    let shared = changed(&|stored| stored["structure"]["document"][0] = "query_0_Transformer".into());
    assert!(shared.contains("`query_0_Transformer` is in both routes"), "{shared}");
    let outside = changed(&|stored| {
        stored["structure"]["query"][0] = "../x".into();
        stored["types"]["../x"] = "a.Transformer".into();
    });
    assert!(outside.contains("outside"), "{outside}");
    let narrow = changed(&|stored| _ = stored["structure"]["query"].as_array_mut().unwrap().pop());
    assert!(narrow.contains("16 numbers of a query, 24 of a document"), "{narrow}");
    Ok(())
}
