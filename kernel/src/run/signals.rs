//! Signals that end a run: Ctrl-C, the wish that it ends, and a terminal that is closed.

use std::os::raw::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::task::Poll;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::session::Interrupter;

/// How often a cell is interrupted after a signal that comes once. What sends them waits for some seconds.
const AGAIN: Duration = Duration::from_secs(1);

/// Whether a notebook's run is to end, and by which signal.
#[derive(Clone, Default)]
pub(super) struct Stop(Arc<AtomicI32>);

impl Stop {
    /// From now on a signal stops the cell that runs, and with it the run, which still writes what it has.
    pub(super) fn at_signals(interrupter: Interrupter) -> Result<Self> {
        let stop = Self::default();
        let noted = stop.clone();
        listen(async move |mut signals| {
            loop {
                let signal = signals.next().await;
                // The first one gives the run its exit code.
                let _ = noted.0.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed);
                interrupter.interrupt();
                // As somebody at a terminal would: asked again, a cell that does not react is ended.
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

    /// The signal that ends the run.
    pub(super) fn signal(&self) -> Option<c_int> {
        Some(self.0.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
    }
}

/// Calls `then` at the first signal, with its number.
pub(super) fn at_first(then: impl FnOnce(c_int) + Send + 'static) -> Result<()> {
    listen(async move |mut signals| then(signals.next().await))
}

/// The exit code by which a shell tells that a signal ended something.
pub(super) fn exit_code(signal: c_int) -> u8 {
    128 + u8::try_from(signal).unwrap_or_default()
}

/// Takes the signals over before this returns, and serves them on a thread of its own.
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

/// Whether this process was started so that `signal` does nothing, as `nohup` starts programs.
fn is_ignored(signal: c_int) -> bool {
    // Safety: the structure is plain data, and the call only fills it.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}
