//! What each loss asks of a training set: one table.

use std::ops::RangeInclusive;

use super::Scoring;
use crate::data::LabelKind;

/// What a loss asks of the training set. The default asks for nothing, as a closure does, of which nothing
/// is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Needs {
    /// The name, for messages; empty for a closure.
    pub name: &'static str,
    /// How many columns of texts it can use: 1 is texts alone, 2 pairs, 3 triples.
    pub columns: RangeInclusive<usize>,
    pub labels: Labelled,
    /// The least and the largest score that it can reach.
    pub score_range: Option<(f32, f32)>,
    /// Other examples of the batch, as negatives.
    pub in_batch: bool,
    /// A guide model.
    pub guide: bool,
    pub reads: Reads,
    /// Whether it takes lists of documents of any length, which a cross-encoder has read.
    pub lists: bool,
}

/// The outputs of a model that a loss can be computed from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reads {
    /// Any that scores can be made of.
    #[default]
    Scores,
    /// A vector per text.
    Vectors,
    /// The scores of pairs that a cross-encoder has read.
    Pairs,
}

/// The labels that a loss needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Labelled {
    /// It may look at them or not, as a closure.
    #[default]
    Unknown,
    /// It ignores them.
    No,
    /// A number for each example.
    Score,
    /// Scores if there are any.
    Optional,
    /// 0 or 1.
    Binary,
    /// The number of a class.
    Class,
    /// A teacher's margin per negative, or its score per document.
    Margins,
    /// A teacher's score per document.
    Teacher,
    /// The vector of a teacher.
    Vector,
    /// The vector of a teacher, or its score of a pair that a cross-encoder reads.
    Target,
    /// A score per document, or none.
    Order,
}

/// Any number of columns, from this one.
const fn from(columns: usize) -> RangeInclusive<usize> {
    columns..=usize::MAX
}

impl Default for Needs {
    fn default() -> Self {
        Self::closure()
    }
}

impl Needs {
    const fn closure() -> Self {
        let columns = from(1);
        Self {
            name: "",
            columns,
            labels: Labelled::Unknown,
            score_range: None,
            in_batch: false,
            guide: false,
            reads: Reads::Scores,
            lists: true,
        }
    }

    const fn of(name: &'static str, columns: RangeInclusive<usize>, labels: Labelled) -> Self {
        Self { name, columns, labels, lists: false, ..Self::closure() }
    }

    const fn of_lists(self) -> Self {
        Self { lists: true, ..self }
    }

    const fn in_batch(self) -> Self {
        Self { in_batch: true, ..self }
    }

    const fn of_vectors(self) -> Self {
        Self { reads: Reads::Vectors, ..self }
    }

    const fn of_pairs(self) -> Self {
        Self { reads: Reads::Pairs, ..self }
    }

    const fn guided(self) -> Self {
        Self { guide: true, ..self }
    }

    const fn within(self, low: f32, high: f32) -> Self {
        Self { score_range: Some((low, high)), ..self }
    }

    /// What each loss of the library needs, in the order of names.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        TABLE.iter()
    }

    /// The line of the table.
    pub(super) fn named(name: &str) -> Self {
        TABLE.iter().find(|needs| needs.name == name).cloned().unwrap_or_default()
    }

    /// Whether a training set with this number of text columns, and these labels, has what the loss needs, with a model
    /// that scores so.
    pub fn fits(&self, columns: usize, labels: Option<LabelKind>, scoring: Scoring) -> bool {
        if labels == Some(LabelKind::Ragged) {
            return self.lists && scoring == Scoring::Pairs && self.reads.fits(scoring);
        }
        // A cross-encoder reads no query with the documents of another one.
        let negatives = self.in_batch && scoring == Scoring::Pairs;
        self.columns.contains(&columns)
            && (columns > 2 || !negatives)
            && self.labels.fits(columns, labels, scoring)
            && self.reads.fits(scoring)
    }

    /// The names of the library's losses that fit such a training set, and a model that scores so.
    pub fn fitting(columns: usize, labels: Option<LabelKind>, scoring: Scoring) -> Vec<&'static str> {
        TABLE.iter().filter(|needs| needs.fits(columns, labels, scoring)).map(|needs| needs.name).collect()
    }

    /// What it needs in words: `pairs, and a score for each`. That it takes no labels is only said of `labelled` data.
    pub(crate) fn spoken(&self, labelled: bool, scoring: Scoring) -> String {
        match self.reads {
            reads if reads.fits(scoring) => {}
            Reads::Pairs => return "a cross-encoder".to_owned(),
            // Not of itself: something around it does.
            _ if Self::named(self.name).reads != self.reads => {
                return "a model with a vector per text, in Matryoshka, AdaptiveLayer or SpladeLoss".to_owned();
            }
            _ => return "a model with a vector per text".to_owned(),
        }
        let columns = match (self.columns.start(), self.columns.end()) {
            (1, 1) => "one column of texts".to_owned(),
            (2, 2) => "pairs".to_owned(),
            (1, _) => "any columns".to_owned(),
            (2, _) if self.in_batch && scoring == Scoring::Pairs => {
                "pairs with negatives, such as `hard_negatives` finds".to_owned()
            }
            (2, _) => "pairs, with or without negatives".to_owned(),
            _ if self.lists && scoring == Scoring::Pairs => "pairs with negatives or lists of documents".to_owned(),
            _ => "pairs with negatives".to_owned(),
        };
        match self.labels {
            Labelled::No if labelled => format!("{columns}, without labels"),
            Labelled::Unknown | Labelled::No => columns,
            labels => format!("{columns}, and {}", labels.spoken()),
        }
    }
}

impl Reads {
    /// Whether it can be computed from what a model makes.
    pub fn fits(self, scoring: Scoring) -> bool {
        match self {
            Self::Scores => true,
            // Of a text, not of its tokens.
            Self::Vectors => matches!(scoring, Scoring::Vectors(_)),
            Self::Pairs => scoring == Scoring::Pairs,
        }
    }
}

impl Labelled {
    fn fits(self, columns: usize, labels: Option<LabelKind>, scoring: Scoring) -> bool {
        let negatives = columns.saturating_sub(2);
        match (self, labels) {
            (Self::Unknown, _) | (Self::No, None) => true,
            // Pairs labelled 0 would be trained as positives.
            (Self::No, Some(_)) => false,
            (Self::Order, None) => true,
            // Negatives tell as much as scores.
            (Self::Optional, None) => negatives > 0,
            (_, None) => false,
            (Self::Score | Self::Optional, Some(labels)) => !matches!(labels, LabelKind::List(_)),
            (Self::Binary, Some(labels)) => labels == LabelKind::Binary,
            (Self::Class, Some(labels)) => matches!(labels, LabelKind::Binary | LabelKind::Class),
            (Self::Margins, Some(LabelKind::List(width))) => width == negatives || width == negatives + 1,
            (Self::Margins, Some(_)) => negatives == 1,
            (Self::Teacher, Some(labels)) => labels == LabelKind::List(negatives + 1),
            (Self::Vector, Some(labels)) => matches!(labels, LabelKind::List(_)),
            (Self::Target, Some(labels)) => matches!(labels, LabelKind::List(_)) != (scoring == Scoring::Pairs),
            (Self::Order, Some(labels)) => labels == LabelKind::List(negatives + 1),
        }
    }

    fn spoken(self) -> &'static str {
        match self {
            Self::Unknown | Self::No => "no labels",
            Self::Optional => "scores or none",
            Self::Score => "a score for each",
            Self::Binary => "a label of 0 or 1 for each",
            Self::Class => "the number of a class for each",
            Self::Margins => "a teacher's margin per negative, or its score per document",
            Self::Teacher => "a teacher's score per document",
            Self::Vector => "a teacher's vector for each",
            Self::Target => "a teacher's vector for each, or its score of each pair for a cross-encoder",
            Self::Order => "a score per document, or documents in order",
        }
    }
}

use Labelled::{Binary, Class, Margins, No, Optional, Order, Score, Target, Teacher, Vector};

/// All losses of the library, in the order of their names.
const TABLE: &[Needs] = &[
    Needs::of("ADRMSE", from(3), Teacher).of_lists(),
    Needs::of("AnglE", from(2), Optional).of_vectors(),
    Needs::of("BatchAllTriplet", 1..=1, Class).in_batch().of_vectors(),
    Needs::of("BatchHardSoftMarginTriplet", 1..=1, Class).in_batch().of_vectors(),
    Needs::of("BatchHardTriplet", 1..=1, Class).in_batch().of_vectors(),
    Needs::of("BatchSemiHardTriplet", 1..=1, Class).in_batch().of_vectors(),
    Needs::of("BinaryCrossEntropy", 2..=2, Score).within(0.0, 1.0).of_pairs(),
    Needs::of("Contrastive", 2..=2, Binary).of_vectors(),
    Needs::of("ContrastiveTension", 2..=2, Binary).of_vectors(),
    Needs::of("ContrastiveTensionInBatchNegatives", 2..=2, No).in_batch().of_vectors(),
    Needs::of("CoSENT", 2..=2, Score).in_batch().of_vectors(),
    Needs::of("CosineSimilarity", 2..=2, Score).within(-1.0, 1.0).of_vectors(),
    Needs::of("CrossEntropy", 2..=2, Class).of_pairs(),
    Needs::of("CSR", from(2), No).in_batch().of_vectors(),
    Needs::of("DistillKLDiv", from(3), Teacher),
    Needs::of("EmbedDistill", from(1), Vector).of_vectors(),
    Needs::of("Flops", from(1), No).of_vectors(),
    Needs::of("GISTEmbed", from(2), No).in_batch().guided().of_vectors(),
    Needs::of("GlobalOrthogonalRegularization", from(1), No).in_batch().of_vectors(),
    Needs::of("InfoNCE", from(2), No).in_batch().of_vectors(),
    Needs::of("LambdaLoss", from(3), Teacher).of_lists(),
    Needs::of("ListMLE", from(3), Order).of_lists(),
    Needs::of("ListNet", from(3), Teacher).of_lists(),
    Needs::of("MarginMSE", from(3), Margins),
    Needs::of("MegaBatchMargin", 2..=2, No).in_batch().of_vectors(),
    Needs::of("MSE", from(1), Target),
    Needs::of("MultipleNegativesRanking", from(2), No).in_batch(),
    Needs::of("NTXent", 2..=2, No).in_batch().of_vectors(),
    Needs::of("OnlineContrastive", 2..=2, Binary).of_vectors(),
    Needs::of("PListMLE", from(3), Order).of_lists(),
    Needs::of("RankNet", from(3), Teacher).of_lists(),
    Needs::of("Softmax", 2..=2, Class).of_vectors(),
    Needs::of("Triplet", from(3), No).of_vectors(),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_found_by_columns_and_labels() {
        assert_eq!(
            Needs::fitting(2, None, Scoring::default()),
            [
                "ContrastiveTensionInBatchNegatives",
                "CSR",
                "Flops",
                "GISTEmbed",
                "GlobalOrthogonalRegularization",
                "InfoNCE",
                "MegaBatchMargin",
                "MultipleNegativesRanking",
                "NTXent",
            ]
        );
        assert_eq!(Needs::fitting(1, Some(LabelKind::Class), Scoring::default()).len(), 4);
        assert_eq!(
            Needs::fitting(2, Some(LabelKind::Score), Scoring::default()),
            ["AnglE", "CoSENT", "CosineSimilarity"]
        );
        assert_eq!(
            Needs::fitting(4, Some(LabelKind::List(2)), Scoring::default()),
            ["EmbedDistill", "MarginMSE", "MSE"]
        );
        assert_eq!(
            Needs::fitting(2, Some(LabelKind::Ragged), Scoring::Pairs),
            ["ADRMSE", "LambdaLoss", "ListMLE", "ListNet", "PListMLE", "RankNet"]
        );
        assert_eq!(Needs::fitting(2, Some(LabelKind::Ragged), Scoring::default()), [""; 0]);
        assert!(!Needs::named("MarginMSE").fits(4, Some(LabelKind::List(4)), Scoring::default()));
        assert!(Needs::default().fits(7, None, Scoring::default()), "nothing is known of a closure");
    }

    #[test]
    fn the_table_is_sorted_and_names_are_unique() {
        let names: Vec<String> = TABLE.iter().map(|needs| needs.name.to_lowercase()).collect();
        assert!(names.is_sorted() && names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
