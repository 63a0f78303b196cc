//! Signals that end a run: SIGINT (Ctrl-C), SIGTERM, and SIGHUP (a closed terminal).

use std::os::raw::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::task::Poll;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::session::Interrupter;

/// How often a cell is interrupted after a signal that is only sent once. Its sender waits for some seconds.
const AGAIN: Duration = Duration::from_secs(1);

/// Whether a notebook's run has to end, and by which signal.
#[derive(Clone, Default)]
pub(super) struct Stop(Arc<AtomicI32>);

impl Stop {
    /// From now on a signal stops the running cell and ends the run, which still writes its outputs.
    pub(super) fn at_signals(interrupter: Interrupter) -> Result<Self> {
        let stop = Self::default();
        let noted = stop.clone();
        listen(async move |mut signals| {
            loop {
                let signal = signals.next().await;
                // The first signal sets the exit code of the run.
                let _ = noted.0.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed);
                interrupter.interrupt();
                // Like a user at a terminal: repeated interrupts end a cell that does not react.
                if signal != libc::SIGINT {
                    loop {
                        tokio::time::sleep(AGAIN).await;
                        interrupter.interrupt();
                    }
                }
            }
        })?;
        Ok(stop)
    }

    /// The signal that has ended the run.
    pub(super) fn signal(&self) -> Option<c_int> {
        Some(self.0.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
    }
}

/// Calls `then` at the first signal, with its number.
pub(super) fn at_first(then: impl FnOnce(c_int) + Send + 'static) -> Result<()> {
    listen(async move |mut signals| then(signals.next().await))
}

/// The shell's exit code for a process ended by a signal.
pub(super) fn exit_code(signal: c_int) -> u8 {
    128 + u8::try_from(signal).unwrap_or_default()
}

/// Installs the handlers before it returns, and serves the signals on a separate thread.
fn listen<F: Future<Output = ()>>(serve: impl FnOnce(Signals) -> F + Send + 'static) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = Signals::new(&runtime)?;
    let thread = std::thread::Builder::new().name("kensaku-signals".to_owned());
    thread.spawn(move || runtime.block_on(serve(signals)))?;
    Ok(())
}

struct Signals(Vec<(c_int, Signal)>);

impl Signals {
    fn new(runtime: &Runtime) -> Result<Self> {
        let _entered = runtime.enter();
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let kinds = kinds.into_iter().filter(|kind| !is_ignored(kind.as_raw_value()));
        let signals = kinds.map(|kind| Ok((kind.as_raw_value(), signal(kind)?)));
        Ok(Self(signals.collect::<Result<_>>().context("listening for signals")?))
    }

    async fn next(&mut self) -> c_int {
        std::future::poll_fn(|context| {
            let mut come = self.0.iter_mut().filter_map(|(number, signal)| match signal.poll_recv(context) {
                Poll::Ready(_) => Some(*number),
                Poll::Pending => None,
            });
            come.next().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// Whether this process was started with `signal` ignored, as by `nohup`.
fn is_ignored(signal: c_int) -> bool {
    // Safety: the struct is plain data, and the call only fills it.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}
