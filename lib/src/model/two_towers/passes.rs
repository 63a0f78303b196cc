//! Two towers in training: a part of a batch is split in two, and their rows are put together again.

use std::path::Path;

use serde_json::{Value, json};

use super::TwoTowers;
use crate::loss::Scoring;
use crate::model::bi_encoder::{DOC, QUERY};
use crate::model::interface::{LORA, check_length};
use crate::model::sides::sides;
use crate::model::{BiEncoder, Front, Model, Outputs, Part, Role, Tokens};
use crate::nn::{Activations, Parameters, Prefixed};
use crate::text::Tokenizer;
use crate::{Error, Result, folder};

impl Model for TwoTowers {
    fn tokenize(&self, columns: &[Vec<&str>]) -> Result<Tokens> {
        Tokens::of_texts(columns, |texts, role| self.encodings(texts, role))
    }

    fn front(&self) -> Option<Front> {
        let own = |role| (self.model(role).config().clone(), self.model(role).tokenizer().apart());
        let (query, doc) = (own(Role::Query), own(Role::Doc));
        let encode = move |texts: &[&str], role: Role| {
            let (config, tokenizer) = if role == Role::Query { &query } else { &doc };
            config.encodings(tokenizer, texts, role)
        };
        Some(Box::new(move |columns| Tokens::of_texts(columns, &encode)))
    }

    fn forward(&self, part: &Part, activations: &mut Activations) -> Result<Outputs> {
        let mut vectors = vec![0.0; part.batch.sequences() * self.width()];
        let mut kept = Vec::new();
        for (number, (side, table)) in sides(part)?.iter().zip(self.tables()).enumerate() {
            let own = activations.of_tower(number, table.clone(), side.before);
            let outputs = self.towers()[number].on(&self.parameters.values[table]).forward(&side.part, own)?;
            side.put(&outputs.values, self.width(), &mut vectors);
            kept.push(outputs);
        }
        Ok(Outputs::rows(vectors, kept))
    }

    fn backward(
        &mut self,
        part: &Part,
        activations: &mut Activations,
        outputs: &Outputs,
        gradient: &[f32],
    ) -> Result<()> {
        let (width, tables, kept) = (self.width(), self.tables(), outputs.kept::<Vec<Outputs>>()?);
        check_length("numbers of their gradient", gradient.len(), part.batch.sequences() * width)?;
        let (values, grads) = self.parameters.values_and_grads();
        for (number, (side, table)) in sides(part)?.iter().zip(tables).enumerate() {
            let own = activations.of_tower(number, table.clone(), side.before);
            let tower = [&self.query, &self.doc][number].on(&values[table.clone()]);
            tower.backward(&mut grads[table], &side.part, own, &kept[number], &side.take(gradient, width))?;
        }
        Ok(())
    }

    fn width(&self) -> usize {
        self.doc.width()
    }

    fn scoring(&self) -> Scoring {
        self.doc.scoring()
    }

    fn unit(&self) -> bool {
        self.query.unit() && self.doc.unit()
    }

    fn max_length(&self) -> usize {
        self.doc.max_length()
    }

    fn limits(&self) -> String {
        let [queries, docs] = self.towers().map(Model::max_length);
        format!("max_length = {queries} tokens for queries and {docs} for documents")
    }

    fn pass_tokens(&self) -> usize {
        self.doc.pass_tokens()
    }

    fn parameters(&self) -> &Parameters {
        self.parameters()
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        self.parameters_mut()
    }

    fn cancels(&self, parameter: &str) -> bool {
        let own = self.own(parameter);
        own.is_some_and(|(role, name)| self.model(role).encoder().cancels_in(self.tower(role).table(), name))
    }

    fn unreached(&self, parameter: &str) -> Error {
        let own = self.own(parameter).map(|(role, name)| self.model(role).unreached(name));
        match own {
            None | Some(Error::MissingGradient { .. }) => Error::MissingGradient { parameter: parameter.to_owned() },
            Some(other) => other,
        }
    }

    fn tokenizer(&self) -> &Tokenizer {
        self.doc_tokenizer()
    }

    fn query_tokenizer(&self) -> &Tokenizer {
        self.query_tokenizer()
    }

    fn settings(&self) -> serde_json::Result<Value> {
        let [query, doc] = self.towers().map(Model::settings);
        Ok(json!({ QUERY: query?, DOC: doc? }))
    }

    fn complete(&self, settings: &Value) -> serde_json::Result<Value> {
        Ok(json!({ QUERY: self.query.complete(&settings[QUERY])?, DOC: self.doc.complete(&settings[DOC])? }))
    }

    fn save_to(&self, dir: &Path) -> Result<()> {
        self.save(dir)?;
        if self.towers().iter().all(|tower| tower.lora().is_none()) {
            return Ok(());
        }
        // Adapters are merged there, and on their own here.
        let (query, doc) = self.clone().into_towers();
        for (name, tower) in [(QUERY, query), (DOC, doc)] {
            if tower.lora().is_some() {
                tower.encoder().save_lora(&dir.join(LORA).join(name), Prefixed::No)?;
            }
        }
        Ok(())
    }

    fn load_from(&self, dir: &Path) -> Result<Box<dyn Model>> {
        let stored = Self::load(dir)?;
        if self.towers().iter().all(|tower| tower.lora().is_none()) {
            return Ok(Box::new(stored));
        }
        // The weights that adapters stand beside are those of this model.
        let adapted = |mut own: BiEncoder, stored: BiEncoder, name: &str| match own.lora() {
            None => Ok::<_, Error>(stored),
            Some(_) => {
                own.encoder_mut().fill_lora(&folder::file(dir, &format!("{LORA}/{name}"))?)?;
                Ok(own)
            }
        };
        let ((query, doc), (stored_query, stored_doc)) = (self.clone().into_towers(), stored.into_towers());
        Ok(Box::new(Self::new(adapted(query, stored_query, QUERY)?, adapted(doc, stored_doc, DOC)?)?))
    }

    fn boxed(&self) -> Box<dyn Model> {
        Box::new(self.clone())
    }
}

impl TwoTowers {
    fn towers(&self) -> [&BiEncoder; 2] {
        [&self.query, &self.doc]
    }

    /// The tower of a parameter, and what it is called there.
    fn own<'a>(&self, parameter: &'a str) -> Option<(Role, &'a str)> {
        match parameter.split_once('.')? {
            (QUERY, name) => Some((Role::Query, name)),
            (DOC, name) => Some((Role::Doc, name)),
            _ => None,
        }
    }
}
