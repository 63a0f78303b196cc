//! Shared by all charts: units, colours, fonts, title and legend.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{BoldPoints, Ranged};
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind};
use plotters::element::Rectangle;
use plotters::prelude::DrawingBackend;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, RGBColor, TextStyle, WHITE};

use super::fonts;

pub(super) type Area<DB> = DrawingArea<DB, Shift>;
pub(super) type Drawn<DB, T = ()> = Result<T, DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// Larger values have no point and no bar: they would press all others into a line, and the ticks of an axis up to
/// `f64::MAX` cannot be computed.
pub(super) const LARGEST: f64 = 1e30;

/// Drawing units in a CSS pixel.
pub(super) const UNIT: i32 = 4;

pub(super) const INK: RGBColor = RGBColor(40, 40, 40);
pub(super) const GREY: RGBColor = RGBColor(110, 110, 110);
pub(super) const FAINT: RGBColor = RGBColor(165, 165, 165);
pub(super) const GRID: RGBColor = RGBColor(228, 228, 228);

/// Font sizes in CSS pixels.
pub(super) const TITLE: f64 = 15.0;
pub(super) const LABEL: f64 = 12.0;

/// Space around everything, in drawing units.
pub(super) const MARGIN: i32 = 16 * UNIT;

/// The `index`th colour of Okabe and Ito's palette, which colour-blind people can tell apart, the
/// darker ones first.
pub(super) fn colour(index: usize) -> RGBColor {
    const PALETTE: [RGBColor; 7] = [
        RGBColor(0, 114, 178),
        RGBColor(213, 94, 0),
        RGBColor(0, 158, 115),
        RGBColor(204, 121, 167),
        RGBColor(230, 159, 0),
        RGBColor(86, 180, 233),
        RGBColor(90, 90, 90),
    ];
    PALETTE[index % PALETTE.len()]
}

/// A lighter, opaque shade of a colour.
pub(super) fn pale(RGBColor(red, green, blue): RGBColor) -> RGBColor {
    let [red, green, blue] = [red, green, blue].map(|channel| 255 - (255 - channel) / 3);
    RGBColor(red, green, blue)
}

/// Ink-coloured text of `size` CSS pixels whose anchor is at (`h_pos`, `v_pos`) of it.
pub(super) fn text(size: f64, h_pos: HPos, v_pos: VPos) -> TextStyle<'static> {
    TextStyle::from(font(size, FontStyle::Normal)).color(&INK).pos(Pos::new(h_pos, v_pos))
}

fn font(size: f64, style: FontStyle) -> FontDesc<'static> {
    // plotters' sizes are line heights: 1.24 em in its SVG, 1.16 em in its bitmaps of this font.
    FontDesc::new(FontFamily::SansSerif, size * 1.2 * f64::from(UNIT), style)
}

/// The width of `text` in drawing units. A character that DejaVu Sans lacks is taken for a square, as
/// Japanese ones are: what it is drawn in differs between systems, and the layout should not.
pub(super) fn text_width(text: &str, size: f64) -> i32 {
    let (covered, others): (String, String) = text.chars().partition(|character| fonts::has(*character));
    let covered = font(size, FontStyle::Normal).box_size(&covered).map_or(0, |(width, _)| width as i32);
    covered + (others.chars().count() as f64 * size * f64::from(UNIT)).ceil() as i32
}

/// `text`, cut with an ellipsis to at most `width` drawing units.
pub(super) fn fit(text: &str, size: f64, width: i32) -> String {
    // Measuring takes time in proportion to the text: no more of it is looked at than there is room for narrow letters.
    let most = (width / UNIT).max(0) as usize;
    let ends: Vec<usize> = text.char_indices().map(|(start, _)| start).take(most + 1).collect();
    if ends.len() <= most && text_width(text, size) <= width {
        return text.to_owned();
    }
    let cut = |end: &usize| format!("{}…", text[..*end].trim_end());
    let fitting = ends.partition_point(|end| text_width(&cut(end), size) <= width);
    fitting.checked_sub(1).map(|last| cut(&ends[last])).unwrap_or_default()
}

/// Paints the ground, the title and a row of legend entries (wrapped where it is full). Returns the
/// height they take, in drawing units.
pub(super) fn header<DB: DrawingBackend>(
    area: &Area<DB>,
    title: &str,
    legend: &[(RGBColor, String)],
) -> Drawn<DB, i32> {
    area.fill(&WHITE)?;
    let (width, height) = area.dim_in_pixel();
    let (right, lowest) = (width as i32 - MARGIN, height as i32 / 3);
    let bold = TextStyle { font: font(TITLE, FontStyle::Bold), ..text(TITLE, HPos::Left, VPos::Center) };
    let mut y = MARGIN + 4 * UNIT;
    area.draw_text(&fit(title, 1.12 * TITLE, right - MARGIN), &bold, (MARGIN, y))?;

    let (swatch, row) = (10 * UNIT, 19 * UNIT);
    let mut x = MARGIN;
    y += 24 * UNIT;
    for (colour, name) in legend {
        let name = fit(name, LABEL, right - MARGIN - 2 * swatch);
        let needed = swatch + 6 * UNIT + text_width(&name, LABEL);
        if x > MARGIN && x + needed > right {
            if y + row > lowest {
                area.draw_text("…", &text(LABEL, HPos::Left, VPos::Center), (right - swatch, y))?;
                break;
            }
            (x, y) = (MARGIN, y + row);
        }
        area.draw(&Rectangle::new([(x, y - swatch / 2), (x + swatch, y + swatch / 2)], colour.filled()))?;
        area.draw_text(&name, &text(LABEL, HPos::Left, VPos::Center), (x + swatch + 6 * UNIT, y))?;
        x += needed + 18 * UNIT;
    }
    Ok(y + 12 * UNIT)
}

/// Most ticks of a vertical axis.
pub(super) const TICKS: usize = 6;

/// Writes the ticks of an axis over `range`: all with the decimals that the finest of them needs.
pub(super) fn tick_labels(range: &Range<f64>) -> impl Fn(&f64) -> String + use<> {
    let ticks = RangedCoordf64::from(range.clone()).key_points(BoldPoints(TICKS));
    let largest = ticks.iter().fold(0.0, |largest: f64, tick| largest.max(tick.abs()));
    let scientific = !(1e-3..1e6).contains(&largest);
    let decimals = move |value: f64| if scientific { value / 10f64.powf(largest.log10().floor()) } else { value };
    let is_exact = |digits: i32, value: f64| {
        let shifted = decimals(value) * 10f64.powi(digits);
        (shifted - shifted.round()).abs() < 1e-4
    };
    let digits = (0..9).find(|digits| ticks.iter().all(|tick| is_exact(*digits, *tick))).unwrap_or(9) as usize;
    let zero = largest * 1e-9;
    move |value| match value {
        _ if value.abs() <= zero => "0".to_owned(),
        _ if scientific => format!("{value:.digits$e}"),
        _ => format!("{value:.digits$}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn texts_are_cut_to_their_space() {
        fonts::register();
        let name = "all-MiniLM-L6-v2, fine-tuned on the rustdoc pairs";
        let cut = fit(name, LABEL, 100 * UNIT);
        assert!(cut.ends_with('…') && cut.starts_with("all-MiniLM"), "{cut}");
        assert!(text_width(&cut, LABEL) <= 100 * UNIT);
        assert_eq!(fit(name, LABEL, 1000 * UNIT), name);
        assert_eq!(fit(name, LABEL, 0), "");
        assert_eq!(fit("検索モデルの比較", LABEL, 11 * 6 * UNIT), "検索モデ…");
    }

    /// One that is measured letter by letter takes minutes.
    #[test]
    fn a_very_long_text_is_cut_at_once() {
        fonts::register();
        for letter in ["x", "検", "\u{301}", " "] {
            let start = Instant::now();
            let cut = fit(&letter.repeat(1_000_000), LABEL, 600 * UNIT);
            assert!(cut.ends_with('…') && text_width(&cut, LABEL) <= 600 * UNIT, "{cut}");
            assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        }
    }

    #[test]
    fn other_scripts_are_as_wide_on_every_system() {
        fonts::register();
        assert_eq!(text_width("検索", LABEL), 2 * 12 * UNIT);
        assert_eq!(text_width("BM25で検索", LABEL), text_width("BM25", LABEL) + 3 * 12 * UNIT);
    }

    #[test]
    fn ticks_have_the_decimals_that_tell_them_apart() {
        let labels = |range: Range<f64>, values: [f64; 2]| {
            let label = tick_labels(&range);
            values.map(|value| label(&value))
        };
        assert_eq!(labels(0.0..1.1, [0.2, 0.4]), ["0.2", "0.4"]);
        assert_eq!(labels(0.0..0.455, [0.1, 0.4]), ["0.1", "0.4"]);
        assert_eq!(labels(0.94..1.06, [0.98, 1.0]), ["0.98", "1.00"]);
        assert_eq!(labels(0.0..1200.0, [0.0, 200.0]), ["0", "200"]);
        assert_eq!(labels(0.0..3e-5, [1e-5, 2e-5]), ["1e-5", "2e-5"]);
    }
}
