//! Queries without an encoder: the weights of their words are looked up.

use std::borrow::Cow;

use super::{QueryWeights, SparseVectors, Splade, SpladeConfig};
use crate::model::Role;
use crate::model::sides::Side;
use crate::model::texts::WINDOW;
use crate::nn::{Parameters, WordTable, words_once};
use crate::text::Tokenizer;
use crate::{Error, Result};

/// The weights of query words, and the tokenizer that finds them.
#[derive(Clone)]
pub(super) struct QueryTable {
    table: WordTable,
    pub(super) tokenizer: Tokenizer,
}

impl Splade {
    /// The same model with queries that need no encoder: the weight of word `j` is `weights[j]` if the query has it, and 0
    /// if not. `tokenizer` finds the words of queries, without special tokens: it numbers them as the model does, so most
    /// often it is the model's own. The weights are trained, unless the settings say otherwise.
    ///
    /// ```
    /// use kensaku::model::{QueryWeights, Role, Splade, SpladeConfig};
    /// # use kensaku::nn::BertConfig;
    /// # use kensaku::text::{Tokenizer, WordPieceConfig};
    ///
    /// # let config = WordPieceConfig { min_frequency: 1, ..Default::default() };
    /// # let tokenizer = Tokenizer::train_wordpiece(&["a red house", "a green tree"], &config)?;
    /// # let model = Splade::new(BertConfig::default(), tokenizer, SpladeConfig::default(), 42)?;
    /// let weights = model.idf(&["a red house", "a green tree"])?;
    /// let tokenizer = model.tokenizer().clone();
    /// let model = model.with_query_weights(tokenizer, &weights)?;
    /// assert_eq!(model.config().query_weights, QueryWeights::Trained);
    /// // A word of one document in two weighs more than one of both.
    /// let words = model.decode(&model.encode(&["a tree"], Role::Query)?, 2).remove(0);
    /// assert_eq!((words[0].0.as_str(), words[1].0.as_str()), ("tree", "a"));
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn with_query_weights(mut self, tokenizer: Tokenizer, weights: &[f32]) -> Result<Self> {
        if tokenizer.vocab_size() > self.dim() {
            return Err(Error::Shape {
                what: "tokens of the tokenizer of queries".to_owned(),
                found: tokenizer.vocab_size().to_string(),
                expected: format!("at most {}, the words of the model", self.dim()),
            });
        }
        let table = WordTable::on(self.head.encoder_mut(), weights)?;
        self.queries = Some(QueryTable { table, tokenizer });
        let query_weights = match self.config.query_weights {
            QueryWeights::Encoded => QueryWeights::Trained,
            other => other,
        };
        let config = SpladeConfig { query_weights, ..self.config.clone() };
        self.with_config(config)
    }

    /// The inverse document frequency of every word in these documents, `ln(1 + (N - n_j + 0.5) / (n_j + 0.5))` where `n_j` of the
    /// `N` documents have word `j` (as BM25 has it): weights of query words to start from.
    pub fn idf<S: AsRef<str> + Sync>(&self, docs: &[S]) -> Result<Vec<f32>> {
        let mut counts = vec![0_usize; self.dim()];
        for docs in docs.chunks(WINDOW) {
            let text = |doc: usize| Cow::Borrowed(docs[doc].as_ref());
            for ids in self.tokenizer.encode_bare(docs.len(), text, usize::MAX)?.ids {
                words_once(&ids).into_iter().for_each(|word| counts[word as usize] += 1);
            }
        }
        let docs = docs.len() as f64;
        let idf = |count: usize| ((docs - count as f64 + 0.5) / (count as f64 + 0.5)).ln_1p() as f32;
        Ok(counts.into_iter().map(idf).collect())
    }

    /// The weights of query words `(V,)`, if they are looked up.
    pub fn query_weights(&self) -> Option<&[f32]> {
        let queries = self.queries.as_ref()?;
        Some(queries.table.weights(self.head.encoder().parameters()))
    }

    /// The tokenizer of queries: the model's, unless their weights are looked up.
    pub fn query_tokenizer(&self) -> &Tokenizer {
        self.queries.as_ref().map_or(&self.tokenizer, |queries| &queries.tokenizer)
    }

    /// The table that texts of a role are looked up in, if they are.
    pub(super) fn table_of(&self, role: Role) -> Option<&QueryTable> {
        self.queries.as_ref().filter(|_| role == Role::Query)
    }

    /// The vectors of queries that are looked up, from their token ids.
    pub(super) fn look_up(&self, queries: &QueryTable, tokens: &[Vec<u32>]) -> Result<SparseVectors> {
        let weights = queries.table.weights(self.head.encoder().parameters());
        let mut vectors = SparseVectors::empty(self.dim());
        for ids in tokens {
            vectors.push_words(words_once(ids), |word| weights[word as usize], self.config.max_active_dims)?;
        }
        Ok(vectors)
    }

    /// An error for settings of a table that is not there, or is.
    pub(super) fn check_query_weights(&self, asked: QueryWeights) -> Result<()> {
        let expected = match (asked, &self.queries) {
            (QueryWeights::Encoded, Some(_)) => "Trained or Fixed: the model has weights of query words",
            (QueryWeights::Trained | QueryWeights::Fixed, None) => {
                "Encoded: `with_query_weights` gives a model weights of query words"
            }
            _ => return Ok(()),
        };
        let (value, expected) = (format!("{asked:?}"), expected.to_owned());
        Err(Error::Setting { field: "query_weights", value, expected })
    }
}

impl QueryTable {
    /// The rows of queries, in `weights (B, V)` of a whole part, which is zero.
    pub(super) fn forward(&self, parameters: &Parameters, queries: &Side, weights: &mut [f32]) -> Result<()> {
        self.table.check(&queries.part.batch)?;
        let dim = self.table.weights(parameters).len();
        for (text, ids) in queries.sequences() {
            self.table.forward(parameters, ids, &mut weights[text * dim..(text + 1) * dim]);
        }
        Ok(())
    }

    /// From the gradient of all rows of a part: adds that of the weights.
    pub(super) fn backward(&self, parameters: &mut Parameters, queries: &Side, gradient: &[f32]) {
        let dim = self.table.weights(parameters).len();
        for (text, ids) in queries.sequences() {
            self.table.backward(parameters, ids, &gradient[text * dim..(text + 1) * dim]);
        }
    }
}
