//! The directory of a model whose head is a closure.

use std::fs;
use std::path::Path;

use super::colbert::read_encoder;
use super::read::unusable;
use super::replace::replace_model;
use super::write::write_texts;
use crate::model::custom::{CustomConfig, CustomHead, CustomModel};
use crate::nn::checkpoint::{self, Tensors};
use crate::{Error, Result, files};

/// The file of the settings.
const SETTINGS: &str = "config_kensaku.json";

/// The folder of the head's parameters.
const HEAD: &str = "head";

pub(in crate::model) fn write(dir: &Path, model: &CustomModel) -> Result<()> {
    replace_model(dir, model.encoder().parameters(), |dir| {
        model.encoder().save(dir)?;
        write_texts(dir, model.encoder(), model.tokenizer(), model.config().max_length)?;
        files::write_json(&dir.join(SETTINGS), model.config())?;
        let parameters = model.encoder().parameters();
        let own: Vec<_> =
            parameters.entries().iter().filter(|entry| entry.name.starts_with("head.")).cloned().collect();
        if own.is_empty() {
            return Ok(());
        }
        let folder = dir.join(HEAD);
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        checkpoint::write(&folder, parameters, &own, str::to_owned)
    })
}

pub(in crate::model) fn read(dir: &Path, head: CustomHead) -> Result<CustomModel> {
    if !dir.join(SETTINGS).exists() {
        let expected =
            "a folder that `CustomModel::save` wrote; `CustomModel::from_encoder` takes the encoder of others";
        return Err(unusable(dir, format!("there is no {SETTINGS} here"), expected));
    }
    let config: CustomConfig = files::read_json(&dir.join(SETTINGS))?;
    let (encoder, tokenizer) = read_encoder(dir)?;
    let mut model = CustomModel::on(encoder, tokenizer, head, config)?;
    let entries = model.encoder().parameters().entries().to_vec();
    let own: Vec<_> = entries.into_iter().filter(|entry| entry.name.starts_with("head.")).collect();
    let folder = dir.join(HEAD);
    if own.is_empty() && !folder.exists() {
        return Ok(model);
    }
    let tensors = Tensors::open(&folder)?;
    if let Some((_, other)) = tensors.names().find(|(name, _)| own.iter().all(|entry| entry.name != *name)) {
        let problem = format!("there is a tensor `{other}`");
        let expected = "the parameters of the head that it is loaded for".to_owned();
        return Err(Error::Model { path: folder, problem, expected });
    }
    for entry in own {
        if !tensors.holds(&entry.name, &entry.shape)? {
            return Err(tensors.missing(&entry.name, &entry.shape));
        }
        tensors.read(&entry.name, model.encoder_mut().parameters_mut().values_mut(&entry.name)?)?;
    }
    Ok(model)
}
