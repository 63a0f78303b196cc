//! Training, one visible step after the other.

mod adamw;
mod clip;
mod config;
mod groups;
mod optimizer;
mod schedule;
mod seam;
mod sgd;
mod trainer;

pub use adamw::AdamWConfig;
pub use clip::Norm;
pub use config::TrainConfig;
use config::expect;
pub use optimizer::{Optimizer, OptimizerConfig};
pub use schedule::{Schedule, Slope, WarmupStableDecay};
pub use sgd::SgdConfig;
pub use trainer::{Step, Steps, TokenBatch, Trainer};
