//! Two towers: an encoder for queries and another one for documents, trained together.

mod encode;
mod passes;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use candle_core::Tensor;

use super::bi_encoder::{DOC, QUERY, Tower};
use super::card::ModelCard;
use super::{BiEncoder, BiEncoderConfig, Role, directory};
use crate::hub::{PushConfig, push_saved};
use crate::nn::Parameters;
use crate::text::Tokenizer;
use crate::{Error, Result};

/// A bi-encoder of two towers (Karpukhin et al. 2020): queries pass through one encoder with its tokenizer, pooling and
/// modules, documents through another. They may be of any two families and sizes, as long as their vectors have one width; a
/// [`Dense`](crate::nn::VectorModule::Dense) brings them there. In sentence-transformers it is a model with a `Router`.
///
/// Both are trained as one model, whose parameters are called `query.` and `document.` and then as those of a
/// [`BiEncoder`]: `freeze: vec!["^document\\.".into()]` trains the queries' tower towards vectors of documents that stay.
///
/// ```
/// use kensaku::model::{BiEncoder, BiEncoderConfig, Role, TwoTowers};
/// use kensaku::nn::{BertConfig, DenseActivation, DistilBertConfig, VectorModule};
/// use kensaku::text::{Tokenizer, WordPieceConfig};
///
/// let tokenizer = Tokenizer::train_wordpiece(&["a red house", "a green tree"], &WordPieceConfig::default())?;
/// let config = BiEncoderConfig { max_length: 32, ..Default::default() };
/// let small = DistilBertConfig { dim: 24, n_heads: 2, n_layers: 1, ..Default::default() };
/// let query = BiEncoder::new(small, tokenizer.clone(), config, 1)?;
/// let dense = VectorModule::Dense { dim: 24, bias: true, activation: DenseActivation::Identity, residual: false };
/// let config = BiEncoderConfig { modules: vec![dense], ..Default::default() };
/// let doc = BiEncoder::new(BertConfig::default(), tokenizer, config, 2)?;
///
/// let model = TwoTowers::new(query, doc)?;
/// let (queries, docs) = (model.encode(&["red"], Role::Query)?, model.encode(&["a red house", "a tree"], Role::Doc)?);
/// assert_eq!(model.similarity(&queries, &docs)?.dims(), [1, 2]);
/// assert!(model.parameters().values("document.2_Dense.linear.weight").is_ok());
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "Router")]
#[doc(alias = "Asym")]
#[derive(Clone)]
pub struct TwoTowers {
    /// Without numbers of their own: those are in the table.
    query: BiEncoder,
    doc: BiEncoder,
    /// Those of queries, then those of documents.
    parameters: Parameters,
}

impl TwoTowers {
    /// Two bi-encoders as one model. Of the prompts of `query` that of queries counts, of those of `doc` all others. To change
    /// a tower, take them apart and put them together again:
    ///
    /// ```no_run
    /// use kensaku::model::TwoTowers;
    ///
    /// let (query, doc) = TwoTowers::load("my-towers")?.into_towers();
    /// let model = TwoTowers::new(query.with_max_length(32)?, doc)?;
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    ///
    /// # Errors
    /// If their vectors are not of one width, or not compared in one way.
    pub fn new(query: BiEncoder, doc: BiEncoder) -> Result<Self> {
        check(&query, &doc)?;
        let (mut query, mut doc) = with_one_set_of_prompts(query, doc)?;
        let mut parameters = Parameters::default();
        for (tower, prefix) in [(&mut query, QUERY), (&mut doc, DOC)] {
            parameters.take_over(tower.encoder_mut().parameters_mut(), &format!("{prefix}."))?;
        }
        Ok(Self { query, doc, parameters })
    }

    /// Reads a directory of sentence-transformers' `SentenceTransformer` with a `Router` of the routes `query` and `document`,
    /// each with a Transformer, a Pooling, and any of Dense, LayerNorm and Normalize; of any version. It may be a model of
    /// the [hub](crate::hub) by its name, too.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        directory::read_two_towers(dir.as_ref())
    }

    /// The towers of queries and of documents, each a model of its own.
    pub fn into_towers(mut self) -> (BiEncoder, BiEncoder) {
        let docs = self.tables()[1].start;
        let values = self.parameters.values.split_off(docs);
        self.parameters.values.shrink_to_fit();
        self.doc.encoder_mut().parameters_mut().values = values;
        self.query.encoder_mut().parameters_mut().values = self.parameters.values;
        (self.query, self.doc)
    }

    /// The similarity of every query and every document: `(n, dim)`, `(m, dim)` -> `(n, m)`.
    #[doc(alias = "score")]
    pub fn similarity(&self, queries: &Tensor, docs: &Tensor) -> Result<Tensor> {
        self.doc.similarity(queries, docs)
    }

    /// Writes a sentence-transformers directory with a `Router`, which Python loads unchanged, of versions 5 and 6. A model
    /// that is there is replaced as a whole, at once; a README, and what else is not of the model, is kept.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        self.save_with(dir, &ModelCard::default())
    }

    /// The same, with a model card that says more than the model knows of itself, see [`ModelCard`].
    pub fn save_with(&self, dir: impl AsRef<Path>, card: &ModelCard) -> Result<()> {
        directory::write_two_towers(dir.as_ref(), self, card)
    }

    /// Saves the model to the hub as one commit, and gives the commit's address. See [`BiEncoder::push_to_hub`].
    pub fn push_to_hub(&self, name: &str, config: &PushConfig) -> Result<String> {
        push_saved(name, config, |dir| self.save_with(dir, &config.card))
    }

    /// The settings of the queries' tower.
    pub fn query_config(&self) -> &BiEncoderConfig {
        self.query.config()
    }

    /// The settings of the documents' tower.
    pub fn doc_config(&self) -> &BiEncoderConfig {
        self.doc.config()
    }

    pub fn query_tokenizer(&self) -> &Tokenizer {
        self.query.tokenizer()
    }

    pub fn doc_tokenizer(&self) -> &Tokenizer {
        self.doc.tokenizer()
    }

    /// The table of all parameters: those of queries, then those of documents.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The same, to change weights.
    pub fn parameters_mut(&mut self) -> &mut Parameters {
        self.query.forget_int8();
        self.doc.forget_int8();
        &mut self.parameters
    }

    /// The width of a vector that `encode` makes.
    pub fn dim(&self) -> usize {
        self.doc.dim()
    }

    /// The tower that texts of a role pass through: plain texts through that of documents, as the directory says.
    fn model(&self, role: Role) -> &BiEncoder {
        match role {
            Role::Query => &self.query,
            Role::Doc | Role::Plain => &self.doc,
        }
    }

    /// The same with its numbers.
    fn tower(&self, role: Role) -> Tower<'_> {
        let [query, doc] = self.tables();
        let table = if role == Role::Query { query } else { doc };
        self.model(role).on(&self.parameters.values[table])
    }

    /// Where the parameters of each tower lie in the table.
    fn tables(&self) -> [Range<usize>; 2] {
        let queries = self.query.encoder().parameters().len();
        [0..queries, queries..self.parameters.len()]
    }
}

/// An error for towers whose vectors cannot be compared.
fn check(query: &BiEncoder, doc: &BiEncoder) -> Result<()> {
    let ([queries, docs], [ours, theirs]) = ([query.whole_dim(), doc.whole_dim()], [query.config(), doc.config()]);
    if queries != docs {
        return Err(Error::Shape {
            what: "vectors of two towers".to_owned(),
            found: format!("{queries} numbers of a query, {docs} of a document"),
            expected: "as many of both: `with_modules` puts a Dense behind one".to_owned(),
        });
    }
    let other = |field, value: String, other: String| {
        let expected = format!("{other}, as in the tower of queries");
        Err(Error::Setting { field, value, expected })
    };
    if ours.similarity != theirs.similarity {
        return other("similarity", format!("{:?}", theirs.similarity), format!("{:?}", ours.similarity));
    }
    if ours.truncate_dim != theirs.truncate_dim {
        return other("truncate_dim", format!("{:?}", theirs.truncate_dim), format!("{:?}", ours.truncate_dim));
    }
    Ok(())
}

/// A directory has one set of prompts: the documents' tower has them all, for plain texts, that of queries its own.
fn with_one_set_of_prompts(query: BiEncoder, doc: BiEncoder) -> Result<(BiEncoder, BiEncoder)> {
    let all = BiEncoderConfig { query_prompt: query.config().query_prompt.clone(), ..doc.config().clone() };
    let own = BiEncoderConfig {
        doc_prompt: String::new(),
        prompts: BTreeMap::new(),
        default_prompt: None,
        ..query.config().clone()
    };
    Ok((query.with_config(own)?, doc.with_config(all)?))
}

impl fmt::Debug for TwoTowers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { query, doc, .. } = self;
        let [queries, docs] = [query, doc].map(|tower| tower.encoder().shape());
        write!(f, "TwoTowers (of queries: {queries}; of documents: {docs})\n{:?}\n{:?}", query.config(), doc.config())
    }
}
