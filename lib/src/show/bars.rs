//! Grouped bars: systems compared by several measures.

use std::ops::Range;

use plotters::chart::ChartBuilder;
use plotters::element::{PathElement, Rectangle};
use plotters::prelude::DrawingBackend;
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, FontTransform};

use super::Chart;
use super::chart::Figure;
use super::style::{
    Area, Drawn, GREY, GRID, LABEL, LARGEST, MARGIN, TICKS, UNIT, colour, fit, header, text, text_width, tick_labels,
};
use super::text::number;
use crate::{Error, Result};

/// The size of the values over the bars, in CSS pixels.
const VALUE: f64 = 11.0;
/// The width of a bar that has all the room it wants, in drawing units.
const WIDEST: i32 = 90 * UNIT;
/// The height of the row of group names, in drawing units.
const NAMES: i32 = 26 * UNIT;

/// A chart of one group of bars per measure and one bar per system: `series` holds a system's name
/// and its value for each of `groups`. A value that is not finite, or beyond 1e30, has no bar.
///
/// ```
/// use kensaku::show::bars;
///
/// let chart = bars(
///     "held-out queries",
///     &["nDCG@10", "RR@10"],
///     &[("BM25", vec![0.645, 0.612]), ("fine-tuned", vec![0.701, 0.668])],
/// )?;
/// # assert!(!chart.png()?.is_empty());
/// # Ok::<(), kensaku::Error>(())
/// ```
///
/// # Errors
/// [`Error::Chart`] for a series whose values are not one per group.
pub fn bars<N: AsRef<str>>(title: &str, groups: &[&str], series: &[(N, Vec<f64>)]) -> Result<Chart> {
    let series: Vec<(String, Vec<f64>)> =
        series.iter().map(|(name, values)| (name.as_ref().to_owned(), values.clone())).collect();
    for (name, values) in &series {
        if values.len() != groups.len() {
            let problem = format!("`{name}` has {} values; expected one per group: {}", values.len(), groups.len());
            return Err(Error::Chart { problem });
        }
    }
    let groups = groups.iter().map(|&group| group.to_owned()).collect();
    let bars = Bars { title: title.to_owned(), groups, series };
    Ok(Chart::new(bars.text(), Figure::Bars(bars)))
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bars {
    title: String,
    groups: Vec<String>,
    series: Vec<(String, Vec<f64>)>,
}

impl Bars {
    pub(super) fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Drawn<DB> {
        let legend: Vec<_> =
            self.series.iter().enumerate().map(|(index, (name, _))| (colour(index), name.clone())).collect();
        let top = header(area, &self.title, &legend)?;
        let (width, height) = area.dim_in_pixel();
        let (width, height) = (width as i32 - 2 * MARGIN, height as i32 - top - MARGIN / 2 - NAMES);
        if self.groups.is_empty() || self.series.is_empty() {
            return area.draw_text("no values", &text(LABEL, HPos::Left, VPos::Top), (MARGIN, top));
        }

        // Widths are in groups; the axis labels take about a tenth of the width.
        let group_width = 0.9 * f64::from(width) / self.groups.len() as f64;
        let bar = (0.8 / self.series.len() as f64).min(f64::from(WIDEST) / group_width);
        let longest = self.labels().map(|label| text_width(&label, VALUE)).max().unwrap_or_default();
        let upright = f64::from(longest + 2 * UNIT) > group_width * bar;
        let range = self.range(f64::from(if upright { longest + 8 * UNIT } else { 18 * UNIT }) / f64::from(height));

        let label = tick_labels(&range);
        let ticks = [range.start, range.end].map(|end| text_width(&label(&end), LABEL));
        let mut chart = ChartBuilder::on(area)
            .margin_top(top)
            .margin_right(MARGIN)
            .margin_left(MARGIN / 2)
            .margin_bottom(MARGIN / 2)
            .x_label_area_size(NAMES)
            .y_label_area_size(ticks[0].max(ticks[1]) + 12 * UNIT)
            .build_cartesian_2d(0.0..self.groups.len() as f64, range)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .disable_x_axis()
            .y_labels(TICKS)
            .y_max_light_lines(0)
            .y_label_formatter(&label)
            .label_style(text(LABEL, HPos::Left, VPos::Center).color(&GREY))
            .bold_line_style(GRID.stroke_width(UNIT as u32))
            .axis_style(GRID.stroke_width(UNIT as u32))
            .set_all_tick_mark_size(4 * UNIT)
            .draw()?;

        for (group, name) in self.groups.iter().enumerate() {
            let room = width / self.groups.len() as i32 - 8 * UNIT;
            let (x, _) = chart.backend_coord(&(group as f64 + 0.5, 0.0));
            let y = top + height + NAMES * 2 / 3;
            area.draw_text(&fit(name, LABEL, room), &text(LABEL, HPos::Center, VPos::Center), (x, y))?;
        }
        for (index, (_, values)) in self.series.iter().enumerate() {
            for (group, &value) in values.iter().enumerate() {
                let left = group as f64 + 0.5 + bar * (index as f64 - self.series.len() as f64 / 2.0);
                let shown = if value.abs() <= LARGEST { value } else { 0.0 };
                let corners = [(left + 0.04 * bar, 0.0), (left + 0.96 * bar, shown)];
                chart.draw_series([Rectangle::new(corners, colour(index).filled())])?;
                let (x, y) = chart.backend_coord(&(left + bar / 2.0, shown));
                let below = shown < 0.0;
                let y = if below { y + 3 * UNIT } else { y - 3 * UNIT };
                let style = match (upright, below) {
                    (true, true) => text(VALUE, HPos::Right, VPos::Center).transform(FontTransform::Rotate270),
                    (true, false) => text(VALUE, HPos::Left, VPos::Center).transform(FontTransform::Rotate270),
                    (false, true) => text(VALUE, HPos::Center, VPos::Top),
                    (false, false) => text(VALUE, HPos::Center, VPos::Bottom),
                };
                area.draw_text(&self.label(value), &style, (x, y))?;
            }
        }
        let zero = vec![(0.0, 0.0), (self.groups.len() as f64, 0.0)];
        chart.draw_series([PathElement::new(zero, GREY.stroke_width(UNIT as u32))])?;
        Ok(())
    }

    /// The values as a table of plain text.
    fn text(&self) -> String {
        let mut rows = vec![[vec![String::new()], self.groups.clone()].concat()];
        for (name, values) in &self.series {
            rows.push([vec![name.clone()], values.iter().map(|&value| self.label(value)).collect()].concat());
        }
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..=self.groups.len()).map(width).collect();
        let mut text = self.title.clone();
        for row in &rows {
            text.push('\n');
            text.push_str(&format!("{:<width$}", row[0], width = widths[0]));
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                text.push_str(&format!("  {cell:>width$}"));
            }
        }
        text
    }

    /// The range of the bars with 0, and `headroom` (a share of the height) for the labels beyond them.
    fn range(&self, headroom: f64) -> Range<f64> {
        let bars = || self.finite().filter(|value| value.abs() <= LARGEST);
        let low = bars().fold(0.0, f64::min);
        let high = bars().fold(0.0, f64::max);
        let high = if high - low < 1e-9 { low + 1.0 } else { high };
        let ends = f64::from(u8::from(low < 0.0) + u8::from(high > 0.0));
        let room = (high - low) * headroom / (1.0 - ends * headroom).max(0.1);
        (if low < 0.0 { low - room } else { low })..(if high > 0.0 { high + room } else { high })
    }

    fn finite(&self) -> impl Iterator<Item = f64> {
        self.series.iter().flat_map(|(_, values)| values).copied().filter(|value| value.is_finite())
    }

    fn labels(&self) -> impl Iterator<Item = String> {
        self.series.iter().flat_map(|(_, values)| values).map(|&value| self.label(value))
    }

    /// All values with the decimals that suit the largest: three for measures between 0 and 1.
    fn label(&self, value: f64) -> String {
        match self.finite().map(f64::abs).fold(0.0, f64::max) {
            _ if !value.is_finite() => "n/a".to_owned(),
            largest if !(0.01..1e7).contains(&largest) => number(value),
            largest if largest >= 1000.0 => format!("{value:.0}"),
            largest if largest >= 10.0 => format!("{value:.1}"),
            _ => format!("{value:.3}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_a_table() {
        let bars = Bars {
            title: "t".to_owned(),
            groups: vec!["nDCG@10".to_owned(), "R@1".to_owned()],
            series: vec![("BM25".to_owned(), vec![0.645, 0.5]), ("a".to_owned(), vec![f64::NAN, 1.0])],
        };
        assert_eq!(bars.text(), "t\n      nDCG@10    R@1\nBM25    0.645  0.500\na         n/a  1.000");
    }

    #[test]
    fn a_series_has_a_value_for_each_group() {
        let error = bars("t", &["nDCG@10", "R@1"], &[("BM25", vec![0.6])]).unwrap_err();
        assert_eq!(error.to_string(), "chart: `BM25` has 1 values; expected one per group: 2");
    }

    #[test]
    fn nothing_and_odd_values_are_drawn_without_a_panic() {
        let none: [(&str, Vec<f64>); 0] = [];
        assert!(bars("t", &[], &none).unwrap().png().is_ok());
        let odd = [
            [0.0, 0.0],
            [-1.0, -2.0],
            [-1.0, 2.0],
            [f64::NAN, f64::INFINITY],
            [1e-12, 1e300],
            [5e-324, 0.0],
            [f64::MAX, f64::MIN],
            [1e30, -1e30],
        ];
        for values in odd {
            let chart = bars("t", &["a", "b"], &[("x", values.to_vec())]).unwrap();
            assert!(chart.png().is_ok() && chart.svg().is_ok(), "{values:?}");
        }
    }

    #[test]
    fn the_range_leaves_room_for_labels_where_bars_end() {
        let of =
            |values: Vec<f64>| Bars { title: String::new(), groups: vec![], series: vec![(String::new(), values)] };
        assert_eq!(of(vec![0.5, 0.8]).range(0.2), 0.0..1.0);
        assert_eq!(of(vec![-1.0, 0.0]).range(0.5), -2.0..0.0);
        assert_eq!(of(vec![-1.0, 1.0]).range(0.25), -2.0..2.0);
        assert_eq!(of(vec![0.0]).range(0.0), 0.0..1.0);
    }
}
