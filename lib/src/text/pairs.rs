//! Two texts as one sequence.

use rayon::prelude::*;
use tokenizers::{PostProcessor, TruncationParams, truncate_encodings};

use super::Tokenizer;
use super::tokenizer::problem;
use super::tokenizer_file::guarded;
use crate::{Error, Result, interrupt};

/// The token ids of a batch of pairs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PairEncodings {
    /// For each pair its ids with special tokens, unpadded.
    pub ids: Vec<Vec<u32>>,
    /// The segment of each token: 1 for the second text, if the tokenizer tells them apart.
    pub token_types: Vec<Vec<u32>>,
    /// How many pairs were longer than the maximum length.
    pub truncated: usize,
}

struct Pair {
    ids: Vec<u32>,
    token_types: Vec<u32>,
    truncated: bool,
}

impl Tokenizer {
    /// Encodes pairs in parallel, as one sequence each: `[CLS] first [SEP] second [SEP]` for BERT. Of a pair that is too
    /// long the longer text loses its end; `max_length` counts special tokens.
    ///
    /// ```
    /// # use kensaku::text::{Tokenizer, WordPieceConfig};
    /// let config = WordPieceConfig { min_frequency: 1, ..Default::default() };
    /// let tokenizer = Tokenizer::train_wordpiece(&["a red house", "a green tree"], &config)?;
    /// let pairs = tokenizer.encode_pairs(&[("house", "a red house")], 16)?;
    /// assert_eq!(pairs.token_types, [[0, 0, 0, 1, 1, 1, 1]]);
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn encode_pairs<A, B>(&self, pairs: &[(A, B)], max_length: usize) -> Result<PairEncodings>
    where
        A: AsRef<str> + Sync,
        B: AsRef<str> + Sync,
    {
        let special = self.special_tokens_of_a_pair();
        if max_length <= special {
            return Err(Error::Setting {
                field: "max_length",
                value: max_length.to_string(),
                expected: format!("more than the {special} special tokens around each pair"),
            });
        }
        let encode = |(first, second): &(A, B)| self.encode_pair(first.as_ref(), second.as_ref(), max_length - special);
        let encoded: Vec<Pair> = pairs.par_iter().map(encode).collect::<Result<_>>()?;
        let mut all = PairEncodings::default();
        for Pair { ids, token_types, truncated } in encoded {
            all.ids.push(ids);
            all.token_types.push(token_types);
            all.truncated += usize::from(truncated);
        }
        Ok(all)
    }

    /// How many special tokens are put around and between two texts.
    pub(crate) fn special_tokens_of_a_pair(&self) -> usize {
        self.inner.get_post_processor().map_or(0, |processor| processor.added_tokens(true))
    }

    fn encode_pair(&self, first: &str, second: &str, max_content: usize) -> Result<Pair> {
        interrupt::check("tokenizing")?;
        guarded(|| {
            let [first, second] = [first, second].map(|text| self.encode_start(text, max_content));
            let (first, second) = (first?, second?);
            let truncated = first.len() + second.len() > max_content;
            let longest_first = TruncationParams { max_length: max_content, ..Default::default() };
            let (mut first, second) = truncate_encodings(first, Some(second), &longest_first).map_err(problem)?;
            // What was cut off is kept as further encodings, which would be wrapped as well.
            first.take_overflowing();
            let second = second.map(|mut second| {
                second.take_overflowing();
                second
            });
            let whole = self.inner.post_process(first, second, true).map_err(problem)?;
            Ok(Pair { ids: whole.get_ids().to_vec(), token_types: whole.get_type_ids().to_vec(), truncated })
        })
    }
}
