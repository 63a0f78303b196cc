//! A value in the richest form it has: what a cell, a script and an exported program end in.

use std::any::type_name;
use std::fmt::Debug;

use super::cut::{cut, quoted};
use super::sink::{self, Message, Show, send_value};

/// Shows a value: by [`Show`](crate::show::Show), else by `Debug`, whose text is cut at 64 KiB, else by the
/// name of its type. The unit value, which statements such as `println!(..)` end in, is not shown.
///
/// In a notebook a type's own `evcxr_display(&self)`, which prints its contents as crates do for evcxr, comes
/// first.
///
/// ```
/// let scores = vec![0.5, 0.25];
/// kensaku::show_value!(scores.len());
/// assert_eq!(scores.len(), 2); // it is only looked at
/// ```
///
/// The forms are found by method lookup, which takes fewer references off first.
#[macro_export]
macro_rules! show_value {
    ($value:expr) => {{
        #[allow(unused_imports)]
        use $crate::show::{ByDebug as _, ByName as _, BySelf as _, OfReference as _, OfValue as _, Undisplayed as _};
        match &$value {
            value => {
                let value = (&&$crate::show::Shown(value)).shown_value();
                if !$crate::show::displays() || $crate::show::is_undisplayed(&value.evcxr_display()) {
                    (&&&$crate::show::Shown(value)).show_it()
                }
            }
        }
    }};
}

/// A value about to be shown.
#[doc(hidden)]
pub struct Shown<'a, T: ?Sized>(pub &'a T);

/// References: what they point to is shown. Implemented twice, so that rustc does not take a value of a type yet
/// unknown for the only one there is.
#[doc(hidden)]
pub trait OfReference<'a> {
    type Value: ?Sized;

    fn shown_value(&self) -> &'a Self::Value;
}

impl<'a, T: ?Sized> OfReference<'a> for &Shown<'_, &'a T> {
    type Value = T;

    fn shown_value(&self) -> &'a T {
        self.0
    }
}

impl<'a, T: ?Sized> OfReference<'a> for &Shown<'a, &mut T> {
    type Value = T;

    fn shown_value(&self) -> &'a T {
        self.0
    }
}

/// All other values.
#[doc(hidden)]
pub trait OfValue<'a> {
    type Value: ?Sized;

    fn shown_value(&self) -> &'a Self::Value;
}

impl<'a, T: ?Sized> OfValue<'a> for Shown<'a, T> {
    type Value = T;

    fn shown_value(&self) -> &'a T {
        self.0
    }
}

/// Values without an `evcxr_display` of their own, which would be found first: this one needs another reference.
#[doc(hidden)]
pub trait Undisplayed {
    fn evcxr_display(&self) -> NothingDisplayed;
}

impl<T: ?Sized> Undisplayed for &T {
    fn evcxr_display(&self) -> NothingDisplayed {
        NothingDisplayed
    }
}

/// What is left to be shown in another form.
#[doc(hidden)]
pub struct NothingDisplayed;

/// Whether `evcxr_display` was the one of [`Undisplayed`].
#[doc(hidden)]
pub fn is_undisplayed<R>(_displayed: &R) -> bool {
    type_name::<R>() == type_name::<NothingDisplayed>()
}

/// Whether anyone reads what `evcxr_display` prints.
#[doc(hidden)]
pub fn displays() -> bool {
    sink::is_installed()
}

/// Values with a rich form.
#[doc(hidden)]
pub trait BySelf {
    fn show_it(&self);
}

impl<T: Show + ?Sized> BySelf for &&Shown<'_, T> {
    fn show_it(&self) {
        send_value(&self.0.bundle());
    }
}

/// Of a text no more is looked at than is shown: its `Debug` goes through all of it first.
impl BySelf for &&Shown<'_, str> {
    fn show_it(&self) {
        send_value(&Message::text(quoted(self.0)));
    }
}

impl BySelf for &&Shown<'_, String> {
    fn show_it(&self) {
        send_value(&Message::text(quoted(self.0)));
    }
}

/// Values that can at least be printed.
#[doc(hidden)]
pub trait ByDebug {
    fn show_it(&self);
}

impl<T: Debug + ?Sized> ByDebug for &Shown<'_, T> {
    fn show_it(&self) {
        let text = cut(format_args!("{:?}", self.0));
        if text != "()" {
            send_value(&Message::text(text));
        }
    }
}

/// All other values.
#[doc(hidden)]
pub trait ByName {
    fn show_it(&self);
}

impl<T: ?Sized> ByName for Shown<'_, T> {
    fn show_it(&self) {
        send_value(&Message::text(format!("<{}>", type_name::<T>())));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fmt::Debug;

    use candle_core::{Device, Tensor};
    use polars::prelude::df;

    use super::super::recorder::{record, texts};
    use crate::data::Corpus;
    use crate::eval::Run;
    use crate::index::FlatIndex;
    use crate::loss::{Similarity, Triplet};
    use crate::model::{BiEncoder, BiEncoderConfig};
    use crate::nn::{Activations, BertConfig, Classifier, MaskedLm};
    use crate::text::{Tokenizer, WordPieceConfig};
    use crate::train::{Optimizer, TrainConfig, Trainer};

    #[test]
    fn the_richest_form_is_shown() {
        struct Plain;
        let tensor = Tensor::new(&[1u32, 2], &Device::Cpu).unwrap();
        let ((), shown) = record("", || {
            show_value!(&&tensor.clone());
            show_value!(&tensor);
            show_value!(Some(tensor.clone()));
            show_value!("a".repeat(2).as_str());
            show_value!([1.5, 2.0][..]);
            show_value!(&mut tensor.clone());
            show_value!(1 + 1);
            show_value!(());
            show_value!(Plain);
        });
        let numbers = "[1, 2]\nTensor[[2], u32]";
        let expected = ["Tensor[1, 2; u32]", numbers, "Some(Tensor[1, 2; u32])", "\"aa\"", "[1.5, 2.0]", numbers, "2"];
        let texts: Vec<&str> = texts(&shown).into_iter().filter(|text| expected.contains(text)).collect();
        assert_eq!(texts, expected);
        assert!(shown.iter().any(|message| message.data["text/plain"].as_str().unwrap().ends_with("::Plain>")));
    }

    #[test]
    fn a_long_value_is_cut() {
        let ((), shown) = record("[0.25, ", || show_value!(vec![0.25; 2_000_000]));
        let ending = "… cut at 64 KiB: `println!` shows all of it";
        assert!(texts(&shown)[0].ends_with(ending));
        let ((), shown) = record("\"検検", || show_value!("検".repeat(1 << 20)));
        assert!(texts(&shown)[0].ends_with(ending) && texts(&shown)[0].len() < 70_000);
    }

    #[test]
    fn what_holds_much_is_told_in_a_line_or_two() {
        let tokenizer =
            Tokenizer::train_wordpiece(&["a b"], &WordPieceConfig { vocab_size: 60, ..Default::default() }).unwrap();
        let bert = BertConfig { hidden_size: 12, num_hidden_layers: 2, ..Default::default() };
        let model = BiEncoder::new(bert, tokenizer, BiEncoderConfig::default(), 1).unwrap();
        let encoder = model.encoder().clone();
        let corpus = Corpus::new(df!("doc_id" => ["d"], "text" => ["t"]).unwrap()).unwrap();
        let docs = model.encode_docs(&corpus).unwrap();
        let parameters = encoder.parameters().len();
        let config = TrainConfig::default();
        let forms: [(&dyn Debug, &str); 12] = [
            (&model, &format!("BiEncoder (bert, 2 layers of width 12, {parameters} parameters; Tokenizer (")),
            (&encoder, "Encoder (bert, 2 layers of width 12, "),
            (encoder.parameters(), &format!("Parameters ({parameters} numbers in ")),
            (&MaskedLm::new(encoder.clone(), 1).unwrap(), "MaskedLm (bert, "),
            (&Classifier::new(encoder.clone(), 3, 1).unwrap(), "Classifier (bert, "),
            (&Activations::inference(), "Activations (0 bytes)"),
            (&Optimizer::new(&config, encoder.parameters()).unwrap(), "Optimizer (AdamW of "),
            (&docs, "Embeddings [1, 12] F32"),
            (
                &FlatIndex::new(docs.clone(), Similarity::Cosine).unwrap(),
                "FlatIndex { documents: 1, width: 12, similarity: Cosine }",
            ),
            (&Some(&corpus), "Some(Corpus { documents: 1, columns: doc_id, text })"),
            (&Run::new(), "Run { queries: 0, hits: 0 }"),
            (
                &Trainer::new(model.clone(), Triplet::default(), config.clone()).unwrap(),
                "Trainer after 0 steps of BiEncoder (",
            ),
        ];
        for (value, start) in forms {
            let text = format!("{value:?}");
            assert!(text.starts_with(start) && text.lines().count() <= 3 && text.len() < 1500, "{text}");
        }
    }

    #[test]
    fn a_display_for_evcxr_comes_first() {
        #[derive(Debug)]
        struct Inherent(Cell<u8>);
        impl Inherent {
            fn evcxr_display(&self) {
                self.0.update(|calls| calls + 1);
            }
        }
        trait Figure {
            fn evcxr_display(&self) -> Result<(), String>;
        }
        #[derive(Debug)]
        struct ByTrait(Cell<u8>);
        impl Figure for ByTrait {
            fn evcxr_display(&self) -> Result<(), String> {
                self.0.update(|calls| calls + 1);
                Ok(())
            }
        }
        let (inherent, by_trait) = (Inherent(Cell::new(0)), ByTrait(Cell::new(0)));
        let ((), shown) = record("Inherent", || {
            show_value!(inherent);
            show_value!(&inherent);
            show_value!(by_trait);
            show_value!(&by_trait);
        });
        assert_eq!((inherent.0.get(), by_trait.0.get(), shown.len()), (2, 2, 0));
    }
}
