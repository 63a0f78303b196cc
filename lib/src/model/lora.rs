//! The methods by which any model has adapters.

/// On models with an encoder: whether a head is frozen with the encoder, and the class of transformers that the encoder
/// with its head is.
macro_rules! with_adapters {
    ($model:ident, $freezes_head:expr, $class:ident) => {
        impl $model {
            /// The same model with low-rank adapters, which are all that is trained from now on: see
            /// [`Lora`](crate::nn::Lora).
            ///
            /// # Errors
            /// If a setting is out of its range, `targets` matches no weight of a layer, or there are adapters already.
            #[doc(alias = "add_adapter")]
            #[doc(alias = "peft")]
            pub fn with_lora(mut self, lora: $crate::nn::Lora) -> $crate::Result<Self> {
                self.encoder_mut().add_lora(&lora, $freezes_head)?;
                Ok(self)
            }

            /// The same model with the adapters of a folder that PEFT or `save_lora` has written.
            ///
            /// # Errors
            /// If the folder holds another kind of adapter, or adapters that do not fit this model.
            #[doc(alias = "load_adapter")]
            pub fn load_lora(mut self, dir: impl AsRef<std::path::Path>) -> $crate::Result<Self> {
                self.encoder_mut().read_lora(dir.as_ref(), $freezes_head)?;
                Ok(self)
            }

            /// Writes the adapters alone, and a head that is trained with them: `adapter_config.json` and
            /// `adapter_model.safetensors`, as PEFT reads them. The folder is made.
            pub fn save_lora(&self, dir: impl AsRef<std::path::Path>) -> $crate::Result<()> {
                self.encoder().save_lora(dir.as_ref(), $crate::nn::Prefixed::$class)
            }

            /// The same model with its adapters in its weights, all of which are trained again.
            #[doc(alias = "merge_and_unload")]
            #[must_use]
            pub fn merge_lora(mut self) -> Self {
                self.encoder_mut().merge_lora();
                self
            }

            /// The settings of the adapters, if there are some.
            pub fn lora(&self) -> Option<&$crate::nn::Lora> {
                self.encoder().lora()
            }
        }
    };
}

use super::{BiEncoder, ColBert, CrossEncoder, Splade};

with_adapters!(BiEncoder, false, No);
with_adapters!(ColBert, false, No);
with_adapters!(CrossEncoder, false, Labels);
// Its decoder is the word embeddings.
with_adapters!(Splade, true, Words);
