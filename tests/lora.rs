//! Low-rank adapters: PEFT's files, trainings against full ones, checkpoints.

use std::fs;
use std::path::Path;

use kensaku::Result;
use kensaku::data::TrainingSet;
use kensaku::loss::{BinaryCrossEntropy, Loss, MultipleNegativesRanking, SpladeLoss};
use kensaku::model::{
    BiEncoder, BiEncoderConfig, ColBert, ColBertConfig, CrossEncoder, CrossEncoderConfig, Model, Part, Splade,
    SpladeConfig,
};
use kensaku::nn::{Activations, BertConfig, Lora, PackedBatch};
use kensaku::text::{Tokenizer, WordPieceConfig};
use kensaku::train::{CheckpointConfig, TrainConfig, Trainer};
use polars::prelude::df;

use crate::backbones::unpadded_rows;
use crate::golden::{Tensors, distance, fixture, json, within};
use crate::shared::{Trials, test};
use crate::training::{config, losses, small, weights, words};
use crate::words::word_tokenizer;

pub fn trials() -> Trials {
    vec![
        test("lora::adapters_of_peft_compute_the_same", || encoder().unwrap()),
        test("lora::adapters_of_peft_beside_a_head_compute_the_same", || classifier().unwrap()),
        test("lora::files_that_do_not_fit_are_refused", || refused().unwrap()),
        test("lora::of_full_rank_it_learns_what_all_weights_learn", || full_rank().unwrap()),
        test("lora::resumes_bit_for_bit", || resumes().unwrap()),
        test("lora::every_architecture_has_adapters", || every().unwrap()),
    ]
}

const OUTPUT: f64 = 1e-5;

/// A directory with a fixture's weights and any tokenizer.
fn directory(backbone: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(fixture("backbones").join(backbone).join(file), dir.path().join(file)).unwrap();
    }
    word_tokenizer(&[], &["word"]).unwrap().save(dir.path().join("tokenizer.json")).unwrap();
    dir
}

fn batch(backbone: &str) -> (PackedBatch, Tensors) {
    let dir = fixture("backbones").join(backbone);
    let inputs = Tensors::read(&dir.join("inputs.safetensors"));
    let mut batch = PackedBatch::new(inputs.unpadded("input_ids", "attention_mask"));
    assert_eq!(json(&dir.join("case.json"))["token_type_ids_used_in_forward"], true);
    batch.token_types = inputs.unpadded("token_type_ids", "attention_mask").concat();
    (batch, inputs)
}

fn encoder() -> Result<()> {
    let adapters = fixture("lora/encoder");
    let model = BiEncoder::load(directory("bert").path())?.load_lora(&adapters)?;
    assert_eq!(model.lora().map(|lora| (lora.rank, lora.alpha, lora.dropout)), Some((4, 6.0, 0.1)));
    let (batch, inputs) = batch("bert");
    let hidden = |model: &BiEncoder| {
        let mut activations = Activations::inference();
        model.encoder().forward(&batch, &mut activations).unwrap();
        activations.hidden().to_vec()
    };
    let expected = Tensors::read(&adapters.join("expected.safetensors"));
    let expected = unpadded_rows(&inputs, expected.tensor("output"));
    within("hidden states", distance(&hidden(&model), &expected), OUTPUT);

    let dir = tempfile::tempdir().unwrap();
    model.save_lora(dir.path().join("own"))?;
    same_tensors(&dir.path().join("own"), &adapters);
    for_peft(|dir| model.save_lora(dir.join("encoder")))?;
    let again = BiEncoder::load(directory("bert").path())?.load_lora(dir.path().join("own"))?;
    assert_eq!(hidden(&again), hidden(&model));
    model.save(dir.path().join("merged"))?;
    let merged = BiEncoder::load(dir.path().join("merged"))?;
    assert!(merged.lora().is_none());
    within("merged", distance(&hidden(&merged), &hidden(&model)), OUTPUT);
    Ok(())
}

/// Saves into the folder that `KENSAKU_PEFT` names, for `tests/parity/lora.py`, if it is set.
fn for_peft(save: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    std::env::var_os("KENSAKU_PEFT").map_or(Ok(()), |dir| save(Path::new(&dir)))
}

/// Our file holds the tensors of PEFT's, name by name.
fn same_tensors(ours: &Path, theirs: &Path) {
    let read = |dir: &Path| Tensors::read(&dir.join("adapter_model.safetensors"));
    let (ours, theirs) = (read(ours), read(theirs));
    let names = |tensors: &Tensors| {
        let mut names: Vec<String> = tensors.names().map(str::to_owned).collect();
        names.sort();
        names
    };
    let expected = names(&theirs);
    // A head is trained as a whole: BERT's pooler, too.
    let own: Vec<String> = names(&ours).into_iter().filter(|name| !name.contains("pooler")).collect();
    assert_eq!(own, expected);
    for name in expected {
        assert_eq!(ours.floats(&name), theirs.floats(&name), "{name}");
    }
}

fn classifier() -> Result<()> {
    const BACKBONE: &str = "bert_for_sequence_classification";
    let adapters = fixture("lora/classifier");
    let model = CrossEncoder::load(directory(BACKBONE).path())?.load_lora(&adapters)?;
    let (batch, _) = batch(BACKBONE);
    let part = Part { columns: vec![0; batch.sequences()], batch };
    let logits = |model: &CrossEncoder| model.forward(&part, &mut Activations::inference()).unwrap().values;
    let expected = Tensors::read(&adapters.join("expected.safetensors")).floats("output");
    within("scores", distance(&logits(&model), &expected), OUTPUT);

    let dir = tempfile::tempdir().unwrap();
    model.save_lora(dir.path())?;
    same_tensors(dir.path(), &adapters);
    for_peft(|dir| model.save_lora(dir.join("classifier")))?;
    let saved = json(&dir.path().join("adapter_config.json"));
    assert_eq!(saved["modules_to_save"], kensaku::serde_json::json!(["pooler", "classifier"]));
    let again = CrossEncoder::load(directory(BACKBONE).path())?.load_lora(dir.path())?;
    assert_eq!(logits(&again), logits(&model));
    within("merged", distance(&logits(&model.clone().merge_lora()), &logits(&model)), OUTPUT);
    Ok(())
}

fn refused() -> Result<()> {
    let plain = || BiEncoder::load(directory("bert").path());
    let message = |change: &dyn Fn(&mut kensaku::serde_json::Value)| {
        let dir = tempfile::tempdir().unwrap();
        let adapters = fixture("lora/encoder");
        fs::copy(adapters.join("adapter_model.safetensors"), dir.path().join("adapter_model.safetensors")).unwrap();
        let mut settings = json(&adapters.join("adapter_config.json"));
        change(&mut settings);
        fs::write(dir.path().join("adapter_config.json"), settings.to_string()).unwrap();
        plain().unwrap().load_lora(dir.path()).unwrap_err().to_string()
    };
    let cases: [(&str, kensaku::serde_json::Value); 5] = [
        ("peft_type", "IA3".into()),
        ("use_dora", true.into()),
        ("use_rslora", true.into()),
        ("bias", "all".into()),
        ("r", 5.into()),
    ];
    for (key, value) in cases {
        let found = message(&|settings| settings[key] = value.clone());
        assert!(found.contains(key) || found.contains("lora_A"), "{key}: {found}");
    }
    // Those of another model: it has a head.
    let found = plain()?.load_lora(fixture("lora/classifier")).unwrap_err().to_string();
    assert!(found.contains("classifier.bias"), "{found}");
    let found = plain()?.save_lora("nowhere").unwrap_err().to_string();
    assert!(found.contains("with_lora"), "{found}");
    Ok(())
}

fn settings() -> Lora {
    Lora { rank: 4, dropout: 0.1, targets: "query|value|dense".into(), ..Default::default() }
}

/// The loss after the same steps: of all weights, and of adapters of full rank on the maps of all layers, with the
/// embeddings frozen.
fn full_rank() -> Result<()> {
    let data = words()?;
    let config = TrainConfig { dropout: false, epochs: 20, learning_rate: 2e-3, ..config() };
    let run = |model: BiEncoder, config: TrainConfig| -> Result<f64> {
        let mut trainer = Trainer::new(model, MultipleNegativesRanking::default(), config)?;
        let all = losses(&mut trainer, &data, usize::MAX)?;
        Ok(all[all.len() - 5..].iter().sum::<f64>() / 5.0)
    };
    let frozen = TrainConfig { freeze: vec!["^embeddings".into()], ..config.clone() };
    let (first, full) =
        (run(small(&data, 1)?, TrainConfig { epochs: 1, ..frozen.clone() })?, run(small(&data, 1)?, frozen)?);
    let lora = Lora { rank: 32, alpha: 32.0, ..Default::default() };
    let adapted = run(small(&data, 1)?.with_lora(lora)?, config)?;
    println!("loss: {first:.3} after an epoch, {full:.4} of all weights, {adapted:.4} of adapters");
    assert!(full < first / 4.0 && adapted < full + 0.05, "{first} {full} {adapted}");
    Ok(())
}

/// 30 steps in one go, and 13, a new trainer from other adapters, and 17; both dropouts are on.
fn resumes() -> Result<()> {
    let data = words()?;
    let trainer = |seed: u64, config: TrainConfig| {
        let lora = Lora { seed, ..settings() };
        Trainer::new(small(&data, 1)?.with_lora(lora)?, MultipleNegativesRanking::default(), config)
    };
    let mut whole = trainer(1, config())?;
    let expected = losses(&mut whole, &data, usize::MAX)?;
    let dir = tempfile::tempdir().unwrap();
    let saving = |every| {
        let checkpoint = CheckpointConfig { dir: dir.path().to_owned(), every, keep: 2 };
        TrainConfig { checkpoint: Some(checkpoint), ..config() }
    };
    let mut parts = losses(&mut trainer(1, saving(13))?, &data, 13)?;
    // Python and `load` read a checkpoint as a plain model.
    let path = dir.path().join("step-00000013");
    assert!(BiEncoder::load(&path)?.lora().is_none());
    let mut again = trainer(1, saving(100))?;
    assert_eq!(again.resume(dir.path())?.step, 13);
    parts.extend(losses(&mut again, &data, usize::MAX)?);
    assert_eq!(parts, expected);
    assert!(weights(again.model()) == weights(whole.model()));

    let other = small(&data, 2)?.with_lora(Lora { seed: 1, ..settings() })?;
    let mut other = Trainer::new(other, MultipleNegativesRanking::default(), saving(100))?;
    let found = other.resume(&path).unwrap_err().to_string();
    assert!(found.contains("lora") && found.contains("weights"), "{found}");
    let mut plain = Trainer::new(small(&data, 1)?, MultipleNegativesRanking::default(), saving(100))?;
    assert!(plain.resume(&path).is_err());
    Ok(())
}

/// Training lowers the loss and moves nothing but adapters and the head that is trained with them; merged, the model
/// computes the same.
fn every() -> Result<()> {
    let texts: Vec<String> =
        ["red", "blue", "old", "new", "tall", "small"].map(|word| format!("{word} {word} car")).into();
    let queries: Vec<String> = texts.iter().map(|text| format!("where is {text}")).collect();
    let pairs = TrainingSet::new(df!("query" => &queries, "positive" => &texts)?)?;
    let labelled = TrainingSet::new(df!("query" => &queries, "positive" => &texts, "label" => [1, 0, 1, 0, 1, 0])?)?;
    let vocabulary = WordPieceConfig { vocab_size: 80, min_frequency: 1, ..Default::default() };
    let tokenizer = || Tokenizer::train_wordpiece(&[&texts[..], &queries[..]].concat(), &vocabulary);
    let encoder = || BertConfig { hidden_size: 32, intermediate_size: 64, ..Default::default() };
    let ranking = MultipleNegativesRanking::default;
    run(
        BiEncoder::new(encoder(), tokenizer()?, BiEncoderConfig { max_length: 32, ..Default::default() }, 1)?
            .with_lora(settings())?,
        ranking(),
        &pairs,
        BiEncoder::merge_lora,
        0,
    )?;
    let config = ColBertConfig { dim: 16, query_length: 16, doc_length: 16, ..Default::default() };
    run(
        ColBert::new(encoder(), tokenizer()?, config, 1)?.with_lora(settings())?,
        ranking(),
        &pairs,
        ColBert::merge_lora,
        1,
    )?;
    let config = CrossEncoderConfig { max_length: 32, ..Default::default() };
    run(
        CrossEncoder::new(encoder(), tokenizer()?, 1, config, 1)?.with_lora(settings())?,
        BinaryCrossEntropy::default(),
        &labelled,
        CrossEncoder::merge_lora,
        4,
    )?;
    let config = SpladeConfig { max_length: 32, ..Default::default() };
    run(
        Splade::new(encoder(), tokenizer()?, config, 1)?.with_lora(settings())?,
        SpladeLoss::default(),
        &pairs,
        Splade::merge_lora,
        0,
    )
}

fn run<M: Model + Clone>(
    model: M,
    loss: impl Loss + 'static,
    data: &TrainingSet,
    merge: fn(M) -> M,
    head: usize,
) -> Result<()> {
    let parameters = model.parameters();
    let names: Vec<&str> = parameters.entries().iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names.iter().filter(|name| !name.contains(".lora_")).count(), head, "{names:?}");
    // Query, value, the attention's output, and both maps of the feed-forward block, in two layers.
    assert_eq!(names.len(), head + 2 * 5 * 2);
    assert!(parameters.len() < parameters.frozen() / 2);
    let config = TrainConfig { batch_size: 6, epochs: 60, learning_rate: 5e-3, dropout: false, ..Default::default() };
    let mut trainer = Trainer::new(model, loss, config)?;
    let losses: Vec<f64> = trainer.steps(data)?.map(|step| Ok(step?.loss)).collect::<Result<_>>()?;
    assert!(losses[losses.len() - 1] < 0.9 * losses[0], "{losses:?}");

    let trained = trainer.into_model();
    let texts = data.columns();
    let columns: Vec<Vec<&str>> = texts.iter().map(|texts| texts.iter().collect()).collect();
    let tokens = trained.tokenize(&columns)?;
    let batch = tokens.columns[0].clone();
    let part = Part { columns: vec![0; batch.sequences()], batch };
    let outputs = |model: &M| model.forward(&part, &mut Activations::inference()).unwrap().values;
    within("merged", distance(&outputs(&merge(trained.clone())), &outputs(&trained)), OUTPUT);
    let dir = tempfile::tempdir().unwrap();
    trained.save_to(dir.path())?;
    let again = trained.load_from(dir.path())?;
    let values = again.forward(&part, &mut Activations::inference())?.values;
    assert_eq!(values, outputs(&trained));
    Ok(())
}
