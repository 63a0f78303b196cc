//! Training, one visible step after the other.

mod adamw;
mod config;
mod schedule;
mod seam;
mod trainer;

pub use adamw::{AdamW, AdamWConfig};
pub use config::TrainConfig;
pub use schedule::linear_schedule;
pub use trainer::{Step, Steps, TokenBatch, Trainer};
