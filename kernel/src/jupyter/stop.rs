//! Interrupts: stop the running cell and abort the cells queued at that moment.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::session::Interrupter;

/// Stops cells, from any task.
#[derive(Clone)]
pub(super) struct Stop {
    interrupter: Interrupter,
    asked: Arc<Mutex<Option<Instant>>>,
}

/// SIGINT: sent by Ctrl-C, and by front ends unless the kernelspec asks for messages.
pub(super) struct Interrupts(Signal);

impl Stop {
    pub(super) fn new(interrupter: Interrupter) -> Self {
        Self { interrupter, asked: Arc::default() }
    }

    /// Stops the running cell and aborts those that have arrived so far.
    pub(super) fn now(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.interrupter.interrupt();
    }

    /// The time of the last interrupt.
    pub(super) fn asked(&self) -> Option<Instant> {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Interrupts {
    /// From now on the signal does not end the process.
    pub(super) fn new() -> Result<Self> {
        Ok(Self(signal(SignalKind::interrupt()).context("listening for SIGINT")?))
    }

    /// Stops cells on each signal.
    pub(super) async fn stop(mut self, stop: Stop) {
        while self.0.recv().await.is_some() {
            stop.now();
        }
    }
}
