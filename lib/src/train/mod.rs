//! Training, one visible step after the other.

mod adamw;
mod checkpoint;
mod checkpoints;
mod clip;
mod config;
mod groups;
mod manifest;
mod moments;
mod optimizer;
mod resume;
mod schedule;
mod seam;
mod sgd;
mod trainer;

pub use adamw::AdamWConfig;
pub use checkpoints::CheckpointConfig;
pub use clip::Norm;
pub use config::TrainConfig;
use config::expect;
pub use optimizer::{Optimizer, OptimizerConfig};
pub use resume::Resumed;
pub use schedule::{Schedule, Slope, WarmupStableDecay};
pub use sgd::SgdConfig;
pub use trainer::{Step, Steps, TokenBatch, Trainer};
