//! Lines over training steps.

use std::ops::Range;

use plotters::chart::ChartBuilder;
use plotters::element::Circle;
use plotters::prelude::DrawingBackend;
use plotters::series::LineSeries;
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, RGBColor};

use super::points::{Point, thin};
use super::style::{Area, Drawn, GREY, GRID, LABEL, MARGIN, TICKS, UNIT, header, pale, text, text_width, tick_labels};
use super::text::count;

/// A figure of lines with the step on the x axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lines {
    pub(super) title: String,
    pub(super) lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// As the legend has it.
    pub(super) name: String,
    pub(super) colour: RGBColor,
    /// Finite values, by step.
    pub(super) points: Vec<Point>,
    /// The same without their noise; the points themselves are pale where it is given.
    pub(super) smooth: Vec<Point>,
    /// Whether the line has an axis of its own, on the right.
    pub(super) right: bool,
}

impl Lines {
    pub(super) fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Drawn<DB> {
        let legend: Vec<_> = self.lines.iter().map(|line| (line.colour, line.name.clone())).collect();
        let top = header(area, &self.title, &legend)?;
        if self.lines.iter().all(|line| line.points.is_empty()) {
            return area.draw_text("no points yet", &text(LABEL, HPos::Left, VPos::Top), (MARGIN, top));
        }

        let (steps, left, right) = (self.steps(), self.values(false), self.values(true));
        let (left_label, right_label) = (tick_labels(&left), tick_labels(&right));
        let room = |range: &Range<f64>, label: &dyn Fn(&f64) -> String| {
            [range.start, range.end].map(|end| text_width(&label(&end), LABEL)).into_iter().max().unwrap_or(0)
                + 12 * UNIT
        };
        let has_right = self.lines.iter().any(|line| line.right);
        let right_room = if has_right { room(&right, &right_label) } else { 0 };
        let step_room = text_width(&count(steps.end as u64), LABEL) + 32 * UNIT;
        let step_labels = (area.dim_in_pixel().0 as i32 / step_room).clamp(2, 10) as usize;
        let mut chart = ChartBuilder::on(area)
            .margin_top(top)
            .margin_right(if has_right { MARGIN / 2 } else { 2 * MARGIN })
            .margin_left(MARGIN / 2)
            .margin_bottom(MARGIN / 2)
            .x_label_area_size(40 * UNIT)
            .y_label_area_size(room(&left, &left_label))
            .right_y_label_area_size(right_room)
            .build_cartesian_2d(steps.clone(), left)?
            .set_secondary_coord(steps, right);
        let tick = |h_pos, v_pos| text(LABEL, h_pos, v_pos).color(&GREY);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_desc("step")
            .x_labels(step_labels)
            .x_label_formatter(&|step| count(*step as u64))
            .x_label_style(tick(HPos::Center, VPos::Top))
            .y_labels(TICKS)
            .y_max_light_lines(0)
            .y_label_formatter(&left_label)
            .y_label_style(tick(HPos::Right, VPos::Center))
            .axis_desc_style(tick(HPos::Center, VPos::Bottom))
            .bold_line_style(GRID.stroke_width(UNIT as u32))
            .axis_style(GRID.stroke_width(UNIT as u32))
            .set_all_tick_mark_size(4 * UNIT)
            .draw()?;
        if has_right {
            chart
                .configure_secondary_axes()
                .y_labels(TICKS)
                .y_label_formatter(&right_label)
                .label_style(tick(HPos::Left, VPos::Center))
                .axis_style(GRID.stroke_width(UNIT as u32))
                .set_all_tick_mark_size(4 * UNIT)
                .draw()?;
        }

        // Two points a pixel: no more can be seen.
        let most = chart.plotting_area().dim_in_pixel().0 as usize / UNIT as usize * 2;
        // The lines of the right axis are drawn first, below the others.
        let (right, left): (Vec<_>, Vec<_>) = self.lines.iter().partition(|line| line.right);
        for line in right.into_iter().chain(left) {
            let strong = if line.smooth.is_empty() { line.colour } else { pale(line.colour) };
            for (points, colour, width) in [(&line.points, strong, 6), (&line.smooth, line.colour, 8)] {
                let points = thin(points, most);
                let dots = if points.len() <= 30 { points.clone() } else { Vec::new() };
                let dots = dots.into_iter().map(|point| Circle::new(point, 3 * UNIT, colour.filled()));
                let path = LineSeries::new(points, colour.stroke_width(width));
                if line.right {
                    chart.draw_secondary_series(path)?;
                    chart.draw_secondary_series(dots)?;
                } else {
                    chart.draw_series(path)?;
                    chart.draw_series(dots)?;
                }
            }
        }
        Ok(())
    }

    /// The range of all steps; that of a single step is extended on both sides.
    fn steps(&self) -> Range<usize> {
        let steps = || self.lines.iter().flat_map(|line| &line.points).map(|point| point.0);
        let (first, last) = (steps().min().unwrap_or(0), steps().max().unwrap_or(0));
        if first == last { first.saturating_sub(1)..last.saturating_add(1) } else { first..last }
    }

    /// The range of all values of one axis, with some margin; never so narrow that all ticks would show the same number.
    fn values(&self, right: bool) -> Range<f64> {
        let lines = || self.lines.iter().filter(|line| line.right == right);
        let values = || lines().flat_map(|line| &line.points).map(|point| point.1);
        let Some((low, high)) = values().map(|value| (value, value)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) else {
            return 0.0..1.0;
        };
        let size = low.abs().max(high.abs());
        let least = if size == 0.0 { 0.5 } else { 0.02 * size };
        let room = (0.06 * (high - low)).max(least);
        (low - room)..(high + room)
    }
}

#[cfg(test)]
mod tests {
    use super::super::style::colour;
    use super::*;

    fn lines(points: &[Point]) -> Lines {
        let line = Line {
            name: "loss".to_owned(),
            colour: colour(0),
            points: points.to_vec(),
            smooth: Vec::new(),
            right: false,
        };
        Lines { title: "t".to_owned(), lines: vec![line] }
    }

    #[test]
    fn ranges_are_never_empty() {
        assert_eq!(lines(&[(0, 1.0)]).steps(), 0..1);
        assert_eq!(lines(&[(7, 1.0)]).steps(), 6..8);
        assert_eq!(lines(&[(usize::MAX, 1.0)]).steps(), usize::MAX - 1..usize::MAX);
        assert_eq!(lines(&[(3, 0.0), (4, 0.0)]).values(false), -0.5..0.5);
        assert_eq!(lines(&[(3, 2.0), (4, 2.0)]).values(false), 1.96..2.04);
        assert_eq!(lines(&[(3, 0.0), (4, 1.0)]).values(false), -0.06..1.06);
        assert_eq!(lines(&[]).values(true), 0.0..1.0);
    }
}
