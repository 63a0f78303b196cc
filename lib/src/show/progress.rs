//! Progress bars.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::live::{Live, register};
use super::places::{self, Place};
use super::sink;
use super::status::Status;

/// Shorter work gets no bar: one that only flashes is noise.
const QUIET: Duration = Duration::from_millis(300);
/// Time between two updates. Front ends limit the number of messages per second.
const INTERVAL: Duration = Duration::from_millis(100);

/// A progress bar: a display that is updated in place in a notebook, a line on stderr in a terminal, nothing elsewhere.
/// Made by [`progress`]; it ends when it is dropped. Threads may share it.
pub struct Progress {
    bar: Arc<Bar>,
}

/// Starts a progress bar for `total` units of work, or for an unknown number.
///
/// ```
/// use kensaku::rayon::prelude::*;
///
/// let bar = kensaku::show::progress("square", Some(1000));
/// let sum: u64 = (0..1000u64).into_par_iter().map(|n| n * n).inspect(|_| bar.inc(1)).sum();
/// bar.finish();
/// # assert_eq!(sum, 332_833_500);
/// ```
pub fn progress(label: impl Into<String>, total: Option<usize>) -> Progress {
    let bar = Arc::new(Bar {
        label: label.into(),
        total,
        start: Instant::now(),
        done: AtomicUsize::new(0),
        due: AtomicU64::new(nanoseconds(QUIET)),
        face: Mutex::new(Face::Unseen),
        place: places::next(),
    });
    let live: Arc<dyn Live> = bar.clone();
    register(Arc::downgrade(&live));
    Progress { bar }
}

/// The items of `iter` with a progress bar, whose length is the iterator's if that is known.
///
/// ```
/// let squares: Vec<u64> = kensaku::show::progress_iter("square", 1..=3).map(|n| n * n).collect();
/// assert_eq!(squares, [1, 4, 9]);
/// ```
pub fn progress_iter<I: IntoIterator>(label: impl Into<String>, iter: I) -> ProgressIter<I::IntoIter> {
    let iter = iter.into_iter();
    let (least, most) = iter.size_hint();
    let progress = progress(label, most.filter(|most| *most == least));
    ProgressIter { iter, progress, started: false }
}

/// What [`progress_iter`] returns.
pub struct ProgressIter<I> {
    iter: I,
    progress: Progress,
    started: bool,
}

impl Progress {
    /// `n` more units are done.
    pub fn inc(&self, n: usize) {
        self.bar.done.fetch_add(n, Ordering::Relaxed);
        self.bar.tick(self.bar.start.elapsed());
    }

    /// Ends the bar, whether or not the work is complete. Dropping it does the same.
    pub fn finish(&self) {
        self.bar.finish(self.bar.start.elapsed());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

impl<I: Iterator> Iterator for ProgressIter<I> {
    type Item = I::Item;

    /// Asking for the next item means that the previous one is done.
    fn next(&mut self) -> Option<I::Item> {
        if std::mem::replace(&mut self.started, true) {
            self.progress.inc(1);
        }
        let item = self.iter.next();
        if item.is_none() {
            self.started = false;
            self.progress.finish();
        }
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.iter.size_hint()
    }
}

struct Bar {
    label: String,
    total: Option<usize>,
    start: Instant,
    done: AtomicUsize,
    /// When the next update may be shown, in nanoseconds from the start.
    due: AtomicU64,
    face: Mutex<Face>,
    /// The place of an earlier bar.
    place: Option<Place>,
}

/// How the bar is shown; decided when it first is.
enum Face {
    Unseen,
    Notebook(Place),
    Terminal(ProgressBar),
    Silent,
    Finished,
}

impl Bar {
    /// Shows the state at `now` if its time has come. The others need not wait for the worker that shows it.
    fn tick(&self, now: Duration) {
        if nanoseconds(now) < self.due.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(mut face) = self.face.try_lock() {
            self.due.store(nanoseconds(now + INTERVAL), Ordering::Relaxed);
            self.show(&mut face, self.status(now, false));
        }
    }

    fn finish(&self, now: Duration) {
        let mut face = self.lock();
        if !matches!(*face, Face::Unseen) || now >= QUIET {
            self.show(&mut face, self.status(now, true));
        }
        if let Face::Terminal(line) = &*face {
            match self.place {
                // Another one follows in its place.
                Some(_) => line.finish_and_clear(),
                None => line.abandon(),
            }
        }
        *face = Face::Finished;
    }

    fn show(&self, face: &mut Face, status: Status) {
        if matches!(face, Face::Unseen) {
            *face = self.first_face();
        }
        match face {
            Face::Notebook(place) => place.lock().unwrap_or_else(PoisonError::into_inner).show(&status),
            Face::Terminal(line) => {
                line.set_position(status.done as u64);
                line.set_message(status.text());
            }
            Face::Unseen | Face::Silent | Face::Finished => {}
        }
    }

    fn first_face(&self) -> Face {
        if sink::is_installed() {
            return Face::Notebook(self.place.clone().unwrap_or_default());
        }
        if !std::io::stderr().is_terminal() {
            return Face::Silent;
        }
        let total = self.total;
        let line = ProgressBar::with_draw_target(total.map(|total| total as u64), ProgressDrawTarget::stderr());
        let template = if total.is_some() { "{msg}  {bar:30}" } else { "{msg}  {spinner}" };
        Face::Terminal(line.with_style(ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar())))
    }

    fn status(&self, elapsed: Duration, finished: bool) -> Status<'_> {
        Status { label: &self.label, done: self.done.load(Ordering::Relaxed), total: self.total, elapsed, finished }
    }

    fn lock(&self) -> MutexGuard<'_, Face> {
        self.face.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live for Bar {
    fn flush(&self) {
        let mut face = self.lock();
        if !matches!(*face, Face::Unseen) {
            self.show(&mut face, self.status(self.start.elapsed(), false));
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rayon::prelude::*;

    use super::super::recorder::{record, texts};
    use super::*;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn step(progress: &Progress, now: Duration) {
        progress.bar.done.fetch_add(1, Ordering::Relaxed);
        progress.bar.tick(now);
    }

    #[test]
    fn short_work_shows_nothing() {
        let ((), messages) = record("short work", || {
            let bar = progress("short work", Some(3));
            (0..3).for_each(|n| step(&bar, at(n * 99)));
            bar.bar.finish(at(299));
        });
        assert!(messages.is_empty());
    }

    #[test]
    fn a_long_loop_updates_one_display_ten_times_a_second_and_ends_with_the_last_state() {
        let ((), messages) = record("long <work>", || {
            let bar = progress("long <work>", Some(2000));
            (1..=1995).for_each(|n| step(&bar, at(n)));
            bar.bar.finish(at(2000));
            step(&bar, at(2200));
        });
        let ids: HashSet<_> = messages.iter().map(|message| message.id.clone()).collect();
        assert_eq!((messages.len(), ids.len()), (18, 1), "17 from 0.3 s to 1.9 s and the last");
        assert!(messages.iter().enumerate().all(|(n, message)| message.update == (n > 0)));
        let texts = texts(&messages);
        assert_eq!(texts[0], "long <work>  15% 300/2,000  1,000/s  ETA 1.7s");
        assert_eq!(texts[17], "long <work>  99% 1,995/2,000  998/s  stopped after 2.0s");
        let html = messages[17].data["text/html"].as_str().unwrap_or_default();
        assert!(html.contains("long &lt;work&gt;") && html.contains("value=\"1995\" max=\"2000\""), "{html}");
    }

    #[test]
    fn a_single_long_unit_is_shown_at_the_end() {
        let ((), messages) = record("one unit", || {
            let bar = progress("one unit", Some(1));
            bar.bar.done.fetch_add(1, Ordering::Relaxed);
            bar.bar.finish(at(5000));
        });
        assert_eq!(texts(&messages), ["one unit  100% 1/1  0.2/s  in 5.0s"]);
    }

    #[test]
    fn bars_of_repeated_work_take_the_place_of_the_last_ones() {
        let mut places = super::super::Places::default();
        let ((), messages) = record("repeated", || {
            for _ in 0..3 {
                places.reuse(|| {
                    for label in ["repeated queries", "repeated docs"] {
                        progress(label, Some(1)).bar.finish(at(5000));
                    }
                });
            }
            progress("repeated elsewhere", Some(1)).bar.finish(at(5000));
        });
        let ids: Vec<_> = messages.iter().map(|message| message.id.clone().unwrap()).collect();
        assert_eq!(ids.len(), 7);
        assert!(ids[0] != ids[1] && ids[..2] == ids[2..4] && ids[..2] == ids[4..6] && !ids[..6].contains(&ids[6]));
        let updates: Vec<bool> = messages.iter().map(|message| message.update).collect();
        assert_eq!(updates, [false, false, true, true, true, true, false]);
    }

    #[test]
    fn flush_shows_what_the_rate_held_back() {
        let ((), messages) = record("held back", || {
            let bar = progress("held back", None);
            step(&bar, at(300));
            step(&bar, at(301));
            super::super::flush();
            std::mem::forget(bar);
        });
        let shown: Vec<_> = texts(&messages).iter().map(|text| text.split("  ").nth(1).map(str::to_owned)).collect();
        assert_eq!(shown, [Some("1".to_owned()), Some("2".to_owned())]);
    }

    #[test]
    fn threads_lose_no_unit() {
        let bar = progress("threads", Some(100_000));
        (0..100_000).into_par_iter().for_each(|_| bar.inc(1));
        assert_eq!(bar.bar.done.load(Ordering::Relaxed), 100_000);
    }

    #[test]
    fn an_iterator_counts_the_items_that_were_used() {
        let mut items = progress_iter("items", 0..10);
        assert_eq!(items.by_ref().take(4).count(), 4);
        assert_eq!(items.progress.bar.done.load(Ordering::Relaxed), 3, "the fourth may still be in use");
        assert_eq!(items.by_ref().count(), 6);
        assert_eq!(items.next(), None);
        assert_eq!(items.progress.bar.done.load(Ordering::Relaxed), 10);
        assert_eq!(items.progress.bar.total, Some(10));
    }
}
