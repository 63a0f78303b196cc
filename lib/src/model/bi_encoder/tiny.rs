//! The model that the library brings along.

use super::{BiEncoder, BiEncoderConfig};
use crate::Result;
use crate::nn::{Encoder, VectorModules};
use crate::text::Tokenizer;

const CONFIG: &[u8] = include_bytes!("../../../assets/kensaku-tiny/config.json");
const TOKENIZER: &[u8] = include_bytes!("../../../assets/kensaku-tiny/tokenizer.json");
const WEIGHTS: &[u8] = include_bytes!("../../../assets/kensaku-tiny/model.safetensors");

impl BiEncoder {
    /// kensaku-tiny: a small English model to begin with, distilled from all-MiniLM-L6-v2. It is part of the library, so
    /// that nothing is downloaded or read from disk.
    ///
    /// Two layers of width 192, a vocabulary of 14,000 tokens, texts of up to 256 tokens, mean pooling, vectors of
    /// length 1. What it was made from, how, and how good it is, is in `lib/assets/kensaku-tiny/README.md`;
    /// `lib/examples/tiny.rs` makes it.
    ///
    /// ```
    /// use kensaku::model::BiEncoder;
    ///
    /// let model = BiEncoder::tiny()?;
    /// let queries = model.encode_texts(&["how is a frame filtered?"])?;
    /// let docs = model.encode_texts(&["keeps the rows for which a condition holds", "a dog in a red house"])?;
    /// let scores = model.similarity(&queries, &docs)?.to_vec2::<f32>()?;
    /// assert!(scores[0][0] > scores[0][1]);
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    pub fn tiny() -> Result<Self> {
        let config = BiEncoderConfig { max_length: 256, ..Default::default() };
        let mut encoder = Encoder::embedded(CONFIG, WEIGHTS)?;
        let width = encoder.config().hidden_size();
        let modules = VectorModules::new(&mut encoder, &config.modules, width, 0)?;
        Self::from_parts(encoder, modules, Tokenizer::from_bytes(TOKENIZER)?, config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Role;

    #[test]
    fn it_is_what_its_directory_holds() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/kensaku-tiny");
        let (tiny, loaded) = (BiEncoder::tiny().unwrap(), BiEncoder::load(dir).unwrap());
        assert_eq!(tiny.config(), loaded.config());
        assert_eq!(tiny.encoder().config(), loaded.encoder().config());
        assert_eq!(tiny.tokenizer().to_json().unwrap(), loaded.tokenizer().to_json().unwrap());
        let texts = ["How is a frame filtered?", "By a mask: `DataFrame::filter`.", ""];
        let vectors = |model: &BiEncoder| model.encode(&texts, Role::Doc).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(vectors(&tiny), vectors(&loaded));
    }

    #[test]
    fn its_weights_have_at_most_8_megabytes() {
        assert!(WEIGHTS.len() <= 8_000_000, "{}", WEIGHTS.len());
    }
}
