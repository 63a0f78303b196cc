//! What a notebook cell needs: `use kensaku::prelude::*;`.
//!
//! Of Polars it has the types, the traits whose methods are called, and the functions that most queries begin with. The
//! short names of its other functions (`first`, `last`, `len`, `all`, ..) are left to the user's variables; these
//! functions are in `pl`, as in `pl::len()`.
//!
//! ```
//! use kensaku::prelude::*;
//!
//! let frame = df!("crate" => ["candle", "polars", "polars"], "downloads" => [1, 2, 3])?;
//! let counted = frame.lazy().group_by([col("crate")]).agg([pl::len().alias("rows")]).collect()?;
//! let first = counted.sort(["rows"], SortMultipleOptions::default())?.column("crate")?.str()?.get(0).map(str::to_owned);
//! assert_eq!(first.as_deref(), Some("candle"));
//! # Ok::<(), Error>(())
//! ```

pub use crate::data::read::Csv;
pub use crate::data::{
    Corpus, Dataset, Qrels, Queries, Split, StreamConfig, TrainingSet, TrainingStream, read, rustdoc,
};
pub use crate::eval::{Fusion, FusionConfig, Hit, Measure, Normalization, Report, Run, evaluate, fuse};
pub use crate::hub::{self, Hub, PushConfig, Search};
pub use crate::index::{
    Bm25, Bm25Params, Bm25Variant, FlatConfig, FlatIndex, FlatPrecision, Found, HnswConfig, HnswIndex, Hybrid,
    HybridConfig, Index, LateConfig, LateIndex, LateSearch, QueryEncoder, SparseIndex, TextIndex,
};
pub use crate::loss::{
    self, CosineSimilarity, Distance, Flops, Interaction, Loss, MultipleNegativesRanking, Similarity, SpladeLoss,
    Triplet, cosine, dot, max_sim, pairwise_cosine,
};
pub use crate::mine::{self, MineConfig, RandomConfig, bm25_negatives, hard_negatives, random_negatives};
pub use crate::model::{
    BiEncoder, BiEncoderConfig, ColBert, ColBertConfig, CrossEncoder, CrossEncoderConfig, CustomConfig, CustomHead,
    CustomModel, DistilConfig, Embeddings, ModelCard, Pooling, Precision, Quantization, QuantizedEmbeddings,
    QueryWeights, Role, SparseAutoEncoder, SparseEmbeddings, SparseVectors, Splade, SpladeConfig, StaticEmbedding,
    StaticEmbeddingConfig, TokenEmbeddings, TokenPooling, TwoTowers,
};
pub use crate::nn::{
    BertConfig, DebertaConfig, DenseActivation, DistilBertConfig, EncoderConfig, Lora, ModernBertConfig, MpnetConfig,
    RobertaConfig, VectorModule, WordPooling,
};
pub use crate::show::{self, Chart, LossCurve, Message, bars, display};
pub use crate::text::{Analyzer, Language, Tokenizer, WordPieceConfig};
pub use crate::train::{
    AdamWConfig, CheckpointConfig, Every, MicroBatch, MultiSet, Sampling, Schedule, SgdConfig, Step, TrainConfig,
    Trainer, ValidationConfig, grad_check,
};
pub use crate::{Error, Result, interrupt};

pub use candle_core::{DType, Device, IndexOp, Tensor, Var};
pub use {candle_core, candle_nn, candle_transformers, plotters, polars};

pub use polars::prelude as pl;
/// Frames, columns and expressions.
pub use polars::prelude::{
    AnyValue, Arc, Column, DataFrame, DataType, Expr, Field, IdxSize, LazyFrame, LazyGroupBy, LiteralValue, NULL,
    PlHashMap, PlHashSet, PlRefPath, PlSmallStr, PolarsError, PolarsResult, Scalar, Schema, SchemaRef, Selector,
    Series, TimeUnit, TimeZone, col, concat, df, lit, pearson_corr, spearman_rank_corr, when,
};
/// Traits, for their methods.
pub use polars::prelude::{
    ArgAgg, ArrayCollectIterExt, AsString, BinaryNameSpaceImpl, ChunkAgg, ChunkAggSeries, ChunkAnyValue, ChunkApply,
    ChunkApplyKernel, ChunkBytes, ChunkCast, ChunkCompareEq, ChunkCompareIneq, ChunkExpandAtIndex, ChunkExplode,
    ChunkFillNullValue, ChunkFilter, ChunkFull, ChunkFullNull, ChunkQuantile, ChunkReverse, ChunkSet, ChunkShift,
    ChunkShiftFill, ChunkSort, ChunkTake, ChunkTakeUnchecked, ChunkUnique, ChunkVar, ChunkZip, ChunkedBuilder,
    ChunkedCollectInferIterExt, ChunkedCollectIterExt, ChunkedSet, CrossJoin, DataFrameIsSorted, DataFrameJoinOps,
    DataFrameOps, DateMethods, DatetimeMethods, DurationMethods, InitHashMaps, IntoColumn, IntoLazy, IntoSeries,
    IntoVec, LazyFileListReader, ListBuilderTrait, ListNameSpaceImpl, Literal, LogicalType, MinMaxHorizontal,
    NamedFrom, NamedFromOwned, NewChunkedArray, NumOpsDispatch, PolarsContext, PolarsDataType, PolarsFloatType,
    PolarsIntegerType, PolarsNumericType, PolarsRound, PolarsTemporalGroupby, PolarsTruncate, PolarsUpsample,
    QuantileAggSeries, RoundSeries, SchemaExt, SchemaExtPl, SchemaNamesAndDtypes, SerReader, SerWriter, SeriesJoin,
    SeriesMethods, SeriesRank, SeriesTrait, StringMethods, StringNameSpaceImpl, SumMeanHorizontal, TemporalMethods,
    TimeMethods, VarAggSeries,
};
/// Columns of one type, and what builds them.
pub use polars::prelude::{
    ArrayChunked, BinaryChunked, BooleanChunked, BooleanChunkedBuilder, BooleanType, CategoricalChunked, ChunkedArray,
    DateChunked, DatetimeChunked, DecimalChunked, DurationChunked, Float32Chunked, Float32Type, Float64Chunked,
    Float64Type, Int8Chunked, Int8Type, Int16Chunked, Int16Type, Int32Chunked, Int32Type, Int64Chunked, Int64Type,
    ListBooleanChunkedBuilder, ListChunked, ListPrimitiveChunkedBuilder, ListStringChunkedBuilder,
    PrimitiveChunkedBuilder, StringChunked, StringChunkedBuilder, StringType, StructChunked, TimeChunked, UInt8Chunked,
    UInt8Type, UInt16Chunked, UInt16Type, UInt32Chunked, UInt32Type, UInt64Chunked, UInt64Type,
};
/// Settings of queries.
pub use polars::prelude::{
    ClosedInterval, ClosedWindow, DynamicGroupOptions, Engine, ExplodeOptions, FillNullStrategy, GroupBy, JoinArgs,
    JoinCoalesce, JoinType, JoinValidation, MaintainOrderJoin, QuantileMethod, RankMethod, RankOptions,
    RollingGroupOptions, RoundMode, SortMultipleOptions, SortOptions, StrptimeOptions, UnionArgs, UniqueKeepStrategy,
    UnpivotArgsDSL,
};
/// Files.
pub use polars::prelude::{
    CsvParseOptions, CsvReadOptions, CsvReader, CsvWriter, CsvWriterOptions, JsonFormat, JsonReader, JsonWriter,
    LazyCsvReader, LazyJsonLineReader, NullValues, ParallelStrategy, ParquetCompression, ParquetReader,
    ParquetWriteOptions, ParquetWriter, QuoteStyle, RowIndex, ScanArgsParquet, UnifiedScanArgs,
};

#[cfg(test)]
mod tests {
    #[allow(unused_imports)]
    use super::*;
    use names::*;

    /// Names that variables and functions of cells have. If the prelude had one of them, too, both globs would offer it,
    /// and the test would not compile.
    macro_rules! named {
        ($($name:ident)*) => {
            mod names {
                $(pub fn $name() -> &'static str {
                    stringify!($name)
                })*
            }

            #[test]
            fn short_names_are_the_users() {
                assert_eq!([$($name()),*], [$(stringify!($name)),*]);
            }
        };
    }

    named!(
        abs all apply avg batch cast clip cols count cov curve data date_range datetime diff docs duration element empty
        encode first fold index is_in is_null last len max mean median min model names not nth pairs quantile queries
        rank repeat run score search split std sum table test texts top train trainer var windows words
    );
}
