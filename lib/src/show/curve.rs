//! The loss while a model trains.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::chart::Figure;
use super::lines::{Line, Lines};
use super::live::{Live, register};
use super::points::{Point, smoothed};
use super::style::{FAINT, LARGEST, colour};
use super::text::number;
use super::{Chart, Handle, Message, Show, sink};

/// Time between two updates: a picture takes about 20 ms of one core.
const INTERVAL: Duration = Duration::from_secs(1);

const LOSS: &str = "loss";
const RATE: &str = "learning rate";

/// A live chart of the loss while a model trains: one display, updated at most once per second.
///
/// The loss is drawn twice: as it is, in a pale colour, and as its exponential moving average. Other lines share its axis
/// ([`LossCurve::push_to`]); the learning rate has its own ([`LossCurve::push_rate`]). Values that are
/// not finite, or beyond 1e30, have no point; the caption shows the last value, whatever it is.
///
/// ```
/// let mut chart = kensaku::show::LossCurve::new("training loss");
/// for step in 0..100 {
///     chart.push(step, 1.0 / (1.0 + step as f64));
/// }
/// chart.finish();
/// ```
///
/// Dropping the chart finishes it. Where displays cannot be updated, only the final state is shown.
pub struct LossCurve {
    curve: Arc<Curve>,
}

impl LossCurve {
    pub fn new(title: impl Into<String>) -> Self {
        let curve = Arc::new(Curve { title: title.into(), start: Instant::now(), state: Mutex::default() });
        let live: Arc<dyn Live> = curve.clone();
        register(Arc::downgrade(&live));
        Self { curve }
    }

    /// The loss after `step`.
    pub fn push(&mut self, step: usize, loss: impl Into<f64>) {
        self.curve.push(LOSS, step, loss.into(), self.curve.start.elapsed());
    }

    /// A value of the line `name`, such as the loss on held-out pairs.
    pub fn push_to(&mut self, name: &str, step: usize, value: impl Into<f64>) {
        self.curve.push(name, step, value.into(), self.curve.start.elapsed());
    }

    /// The learning rate of `step`, on an axis of its own.
    pub fn push_rate(&mut self, step: usize, rate: impl Into<f64>) {
        self.curve.push(RATE, step, rate.into(), self.curve.start.elapsed());
    }

    /// The weight of the past in the moving average, 0 (no smoothing) to 0.999; default 0.9. NaN is no smoothing.
    pub fn smooth(&mut self, weight: f64) {
        self.curve.lock().smoothing = if weight.is_nan() { 0.0 } else { weight.clamp(0.0, 0.999) };
    }

    /// Shows the final state, with an SVG. Values pushed later continue in the same display.
    pub fn finish(&mut self) {
        self.curve.finish();
    }

    /// The chart as it is now, for example to save it.
    pub fn chart(&self) -> Chart {
        self.curve.lock().chart(&self.curve.title)
    }
}

impl Drop for LossCurve {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Show for LossCurve {
    fn bundle(&self) -> Message {
        self.chart().bundle()
    }
}

struct Curve {
    title: String,
    start: Instant,
    state: Mutex<State>,
}

struct State {
    series: Vec<Series>,
    smoothing: f64,
    handle: Handle,
    /// When the next update may be shown, from the start.
    due: Duration,
    /// Whether there are values that [`Curve::finish`] has not shown.
    open: bool,
    /// Whether there are values that have not been shown at all.
    stale: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            series: Vec::new(),
            smoothing: 0.9,
            handle: Handle::new(),
            due: Duration::ZERO,
            open: false,
            stale: false,
        }
    }
}

struct Series {
    name: String,
    points: Vec<Point>,
    last: Point,
}

impl Curve {
    fn push(&self, name: &str, step: usize, value: f64, now: Duration) {
        let mut state = self.lock();
        state.push(name, (step, value));
        if now >= state.due && sink::is_installed() {
            state.due = now + INTERVAL;
            state.stale = false;
            let message = state.chart(&self.title).live();
            state.handle.show(&message);
        }
    }

    fn finish(&self) {
        let mut state = self.lock();
        if std::mem::take(&mut state.open) {
            state.stale = false;
            let chart = state.chart(&self.title);
            state.handle.show(&chart);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live for Curve {
    fn flush(&self) {
        let mut state = self.lock();
        if sink::is_installed() && std::mem::take(&mut state.stale) {
            let message = state.chart(&self.title).live();
            state.handle.show(&message);
        }
    }
}

impl State {
    fn push(&mut self, name: &str, point: Point) {
        (self.open, self.stale) = (true, true);
        let index = self.series.iter().position(|series| series.name == name).unwrap_or_else(|| {
            self.series.push(Series { name: name.to_owned(), points: Vec::new(), last: point });
            self.series.len() - 1
        });
        let series = &mut self.series[index];
        series.last = point;
        if point.1.abs() <= LARGEST {
            series.points.push(point);
        }
    }

    fn chart(&self, title: &str) -> Chart {
        let mut next_colour = (0..).map(colour);
        let (mut lines, mut captions) = (Vec::new(), Vec::new());
        for series in &self.series {
            let right = series.name == RATE;
            let colour = if right { FAINT } else { next_colour.next().unwrap_or(FAINT) };
            let smooth = if series.name == LOSS { smoothed(&series.points, self.smoothing) } else { Vec::new() };
            let mut name = format!("{} {}", series.name, number(series.last.1));
            if let Some((_, value)) = smooth.last() {
                name.push_str(&format!(" (smoothed {})", number(*value)));
            }
            captions.push(name.clone());
            if right {
                name.push_str(" (right)");
            }
            lines.push(Line { name, colour, points: series.points.clone(), smooth, right });
        }
        let step = self.series.iter().map(|series| series.last.0).max().unwrap_or_default();
        let text = format!("{title}: step {step}  {}", captions.join("  "));
        Chart::new(text, Figure::Lines(Lines { title: title.to_owned(), lines }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::recorder::{record, texts};
    use super::*;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn one_display_is_updated_once_a_second_and_finished_with_an_svg() {
        let ((), messages) = record("live loss", || {
            let mut chart = LossCurve::new("live loss");
            for step in 0..=30 {
                chart.curve.push(LOSS, step, 1.0 / (step as f64 + 1.0), at(100 * step as u64));
            }
            chart.finish();
        });
        assert_eq!(messages.iter().map(|message| message.update).collect::<Vec<_>>(), [false, true, true, true, true]);
        assert!(messages.iter().all(|message| message.id.is_some() && message.id == messages[0].id));
        let svg: Vec<bool> = messages.iter().map(|message| message.data.contains_key("image/svg+xml")).collect();
        assert_eq!(svg, [false, false, false, false, true]);
        assert!(messages.iter().all(|message| message.data.contains_key("image/png")));
        assert_eq!(texts(&messages)[0], "live loss: step 0  loss 1.000");
        assert_eq!(texts(&messages)[4], "live loss: step 30  loss 0.0323 (smoothed 0.0576)");
    }

    #[test]
    fn a_chart_without_points_shows_nothing_and_finishes_once() {
        let (chart, messages) = record("bare", || {
            drop(LossCurve::new("bare"));
            let mut chart = LossCurve::new("bare once");
            chart.push(1, 0.5);
            chart.finish();
            chart.finish();
            super::super::flush();
            chart
        });
        assert_eq!(messages.len(), 2);
        assert!(chart.chart().png().is_ok());
        assert!(LossCurve::new("bare").chart().png().is_ok());
    }

    #[test]
    fn flush_shows_what_the_rate_held_back() {
        let (_chart, messages) = record("held back loss", || {
            let chart = LossCurve::new("held back loss");
            chart.curve.push(LOSS, 1, 0.5, at(0));
            chart.curve.push(LOSS, 2, 0.4, at(10));
            super::super::flush();
            super::super::flush();
            chart
        });
        assert_eq!(texts(&messages), ["held back loss: step 1  loss 0.500", "held back loss: step 2  loss 0.400"]);
    }

    #[test]
    fn values_that_are_not_finite_are_told_but_not_drawn() {
        let mut chart = LossCurve::new("diverged");
        for (step, loss) in [0.5, f64::NAN, f64::INFINITY, 1e300, 0.4, f64::NAN].into_iter().enumerate() {
            chart.push(step, loss);
        }
        assert_eq!(chart.curve.lock().series[0].points, [(0, 0.5), (4, 0.4)]);
        assert_eq!(chart.chart().bundle().data["text/plain"], "diverged: step 5  loss NaN");
        assert!(chart.chart().png().is_ok());
    }

    #[test]
    fn equal_negative_and_huge_values_are_drawn() {
        for values in [[2.0, 2.0], [0.0, 0.0], [-3.0, -1.0], [1e30, -1e30], [5e-324, 0.0], [1e8, 1e8 + 1e-7]] {
            let mut chart = LossCurve::new("values");
            for (step, value) in values.into_iter().enumerate() {
                chart.push(step, value);
                chart.push_rate(step, value);
            }
            assert!(chart.chart().png().is_ok() && chart.chart().svg().is_ok(), "{values:?}");
        }
    }

    #[test]
    fn odd_weights_of_smoothing() {
        let mut chart = LossCurve::new("weights");
        (0..50).for_each(|step| chart.push(step, 1.0));
        for (weight, shown) in [
            (f64::NAN, "weights: step 49  loss 1.000"),
            (-1.0, "weights: step 49  loss 1.000"),
            (f64::INFINITY, "weights: step 49  loss 1.000 (smoothed 1.000)"),
        ] {
            chart.smooth(weight);
            assert_eq!(chart.chart().bundle().data["text/plain"], shown);
        }
    }

    /// A title is cut for every picture, once a second while training runs.
    #[test]
    fn long_names_are_drawn_at_once() {
        let long = "a very long name ".repeat(10_000);
        let mut chart = LossCurve::new(&long);
        (0..50).for_each(|step| chart.push_to(&long, step, 1.0));
        let start = Instant::now();
        assert!(chart.chart().png().is_ok() && chart.chart().svg().is_ok());
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }

    #[test]
    fn a_long_curve_stays_small() {
        let chart = LossCurve::new("long");
        (0..50_000).for_each(|step| chart.curve.lock().push(LOSS, (step, (step as f64).sin())));
        let svg = chart.chart().svg().unwrap();
        assert!(svg.len() < 60_000, "{} bytes", svg.len());
        chart.curve.lock().open = false;
    }
}
