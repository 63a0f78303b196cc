//! Training, one visible step after the other.

mod adamw;
mod schedule;
mod trainer;

pub use adamw::{AdamW, AdamWConfig};
pub use schedule::linear_schedule;
pub use trainer::{Step, Steps, TokenBatch, TrainConfig, Trainer};
