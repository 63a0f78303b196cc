//! plotters' bitmap, with texts and lines as its SVG has them.

use plotters::backend::BitMapBackend;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontDesc, FontFamily, TextStyle};
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind};

use super::fonts::{self, Stretch};

/// The bitmap backend puts the baseline of a text half a line below the top of its box, which is above
/// the middle of what it should be beside; this lowers it.
const LOWER: f64 = 0.15;
/// plotters takes the height of a line of text for its size divided by this.
const LINE: f64 = 1.24;

pub(super) struct Bitmap<'a>(pub(super) BitMapBackend<'a>);

type Drawn<'a> = Result<(), DrawingErrorKind<<BitMapBackend<'a> as DrawingBackend>::ErrorType>>;

impl<'a> Bitmap<'a> {
    /// One stretch after the other, on the baseline that the first font alone would have.
    fn draw_stretches<S: BackendTextStyle>(
        &mut self,
        stretches: &[Stretch],
        style: &S,
        (x, y): BackendCoord,
    ) -> Drawn<'a> {
        let mut parts = Vec::with_capacity(stretches.len());
        for stretch in stretches {
            let part = part_style(stretch, style);
            let room = part.layout_box(&stretch.text);
            let ((left, _), (right, _)) = room.map_err(|error| DrawingErrorKind::FontError(Box::new(error)))?;
            parts.push((stretch, part, right - left));
        }
        let total: i32 = parts.iter().map(|(.., width)| width).sum();
        let mut start = match style.anchor().h_pos {
            HPos::Left => 0,
            HPos::Right => -total,
            HPos::Center => -total / 2,
        };
        let line = (style.size() / LINE) as i32;
        let top = match style.anchor().v_pos {
            VPos::Top => 0,
            VPos::Center => -line / 2,
            VPos::Bottom => -line,
        };
        for (stretch, part, width) in parts {
            let size = part.font.get_size();
            let bearing = (stretch.bearing * size) as i32;
            // plotters' baseline is half a size below the top.
            let drop = ((style.size() - size) / 2.0) as i32;
            let (right, down) = style.transform().transform(start + bearing, top + drop);
            self.0.draw_text(&stretch.text, &part, (x + right, y + down))?;
            start += width;
        }
        Ok(())
    }
}

fn part_style<S: BackendTextStyle>(stretch: &Stretch, style: &S) -> TextStyle<'static> {
    let font = FontDesc::new(FontFamily::Name(stretch.family), style.size() * stretch.scale, style.style());
    TextStyle { font: font.transform(style.transform()), color: style.color(), pos: Pos::new(HPos::Left, VPos::Top) }
}

impl<'a> DrawingBackend for Bitmap<'a> {
    type ErrorType = <BitMapBackend<'a> as DrawingBackend>::ErrorType;

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, (x, y): BackendCoord) -> Drawn<'a> {
        let (right, down) = style.transform().transform(0, (style.size() * LOWER) as i32);
        let at = (x + right, y + down);
        match fonts::stretches(text).as_slice() {
            [only] if only.family == fonts::OWN => self.0.draw_text(&only.text, style, at),
            stretches => self.draw_stretches(stretches, style, at),
        }
    }

    /// Stroke by stroke, with round joints: plotters makes one polygon of a path, which has holes and
    /// spikes where a wide line turns back, as a noisy loss does.
    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn<'a> {
        let mut last = None;
        for point in path {
            if let Some(last) = last {
                self.draw_line(last, point, style)?;
                self.draw_circle(point, style.stroke_width() / 2, style, true)?;
            }
            last = Some(point);
        }
        Ok(())
    }

    fn get_size(&self) -> (u32, u32) {
        self.0.get_size()
    }

    fn ensure_prepared(&mut self) -> Drawn<'a> {
        self.0.ensure_prepared()
    }

    fn present(&mut self) -> Drawn<'a> {
        self.0.present()
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Drawn<'a> {
        self.0.draw_pixel(point, color)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn<'a> {
        self.0.draw_line(from, to, style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn<'a> {
        self.0.draw_rect(upper_left, bottom_right, style, fill)
    }
}
