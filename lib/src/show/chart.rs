//! A chart, drawn on demand as PNG or SVG.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::drawing::{DrawingAreaErrorKind, IntoDrawingArea};
use serde_json::json;

use super::bars::Bars;
use super::bitmap::Bitmap;
use super::lines::Lines;
use super::style::{Area, Drawn, UNIT};
use super::{Message, Show, fonts};
use crate::{Error, Result, files};

/// Front ends store what they are sent in the notebook: larger SVGs are left out.
const MAX_SVG: usize = 200_000;

/// A drawn figure. A cell that ends in one shows it; [`Chart::save`] keeps it as a file.
///
/// Texts are set in DejaVu Sans. Characters it lacks, such as Japanese ones, are drawn in a font of the system, or as �
/// where none has them: install one, such as Debian's `fonts-noto-cjk`.
///
/// ```
/// let chart = kensaku::show::bars("held-out queries", &["nDCG@10"], &[("BM25", vec![0.645])])?;
/// assert!(chart.svg()?.starts_with("<svg"));
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Width in CSS pixels; default 640. The PNG has twice as many.
    pub width: u32,
    /// Height in CSS pixels; default 400.
    pub height: u32,
    /// Shown in place of the picture where there are none.
    text: String,
    figure: Figure,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Figure {
    Bars(Bars),
    Lines(Lines),
}

impl Chart {
    pub(super) fn new(text: String, figure: Figure) -> Self {
        Self { width: 640, height: 400, text, figure }
    }

    /// The picture as a PNG file, twice as many pixels as CSS pixels each way.
    pub fn png(&self) -> Result<Vec<u8>> {
        let (width, height) = self.units()?;
        let mut pixels = vec![255; 3 * width as usize * height as usize];
        self.draw(Bitmap(BitMapBackend::with_buffer(&mut pixels, (width, height))))?;
        encode_png(&halve(&pixels, width as usize), width / 2, height / 2)
    }

    /// The picture as an SVG document. Its texts are in the reader's sans-serif font.
    pub fn svg(&self) -> Result<String> {
        let (width, height) = self.units()?;
        let mut svg = String::new();
        self.draw(SVGBackend::with_string(&mut svg, (width, height)))?;
        let drawn = format!("width=\"{width}\" height=\"{height}\" viewBox");
        Ok(svg.replacen(&drawn, &format!("width=\"{}\" height=\"{}\" viewBox", self.width, self.height), 1))
    }

    /// Writes the picture to a `.png` or `.svg` file, which is replaced as a whole or not at all.
    ///
    /// # Errors
    /// [`Error::Setting`] for another extension, [`Error::Io`] where the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
        let content = match extension.as_deref() {
            Some("png") => self.png()?,
            Some("svg") => self.svg()?.into_bytes(),
            _ => {
                let expected = "a file name that ends in .png or .svg".to_owned();
                return Err(Error::Setting { field: "path", value: path.display().to_string(), expected });
            }
        };
        files::write(path, &content)
    }

    /// The message while the picture still changes: no SVG, which few front ends replace smoothly.
    pub(super) fn live(&self) -> Message {
        match self.png() {
            Ok(png) => {
                let mut message = Message::text(&self.text).with("image/png", BASE64.encode(png));
                message.metadata.insert("image/png".to_owned(), json!({"width": self.width, "height": self.height}));
                message
            }
            Err(error) => Message::text(format!("{}\n({error})", self.text)),
        }
    }

    /// Drawing units each way. plotters has integer coordinates: a CSS pixel is [`UNIT`] of them.
    fn units(&self) -> Result<(u32, u32)> {
        for (field, value) in [("width", self.width), ("height", self.height)] {
            if !(200..=4000).contains(&value) {
                let expected = "200 to 4000 CSS pixels".to_owned();
                return Err(Error::Setting { field, value: value.to_string(), expected });
            }
        }
        Ok((self.width * UNIT as u32, self.height * UNIT as u32))
    }

    fn draw<DB: DrawingBackend>(&self, backend: DB) -> Result<()> {
        fonts::register();
        let area = backend.into_drawing_area();
        self.draw_on(&area).map_err(problem)
    }

    fn draw_on<DB: DrawingBackend>(&self, area: &Area<DB>) -> Drawn<DB> {
        match &self.figure {
            Figure::Bars(bars) => bars.draw(area)?,
            Figure::Lines(lines) => lines.draw(area)?,
        }
        area.present()
    }
}

impl Show for Chart {
    fn bundle(&self) -> Message {
        let message = self.live();
        match self.svg() {
            Ok(svg) if svg.len() < MAX_SVG => message.with("image/svg+xml", svg),
            _ => message,
        }
    }
}

fn problem<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> Error {
    Error::Chart { problem: error.to_string() }
}

/// Half as many RGB pixels each way, each the mean of four: plotters fills polygons without anti-aliasing.
fn halve(pixels: &[u8], width: usize) -> Vec<u8> {
    let mut half = Vec::with_capacity(pixels.len() / 4);
    for rows in pixels.chunks_exact(2 * 3 * width) {
        let (upper, lower) = rows.split_at(3 * width);
        for (upper, lower) in upper.chunks_exact(6).zip(lower.chunks_exact(6)) {
            for channel in 0..3 {
                let sum = [upper[channel], upper[channel + 3], lower[channel], lower[channel + 3]].map(u16::from);
                half.push(((sum.iter().sum::<u16>() + 2) / 4) as u8);
            }
        }
    }
    half
}

fn encode_png(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Balanced);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(pixels)?;
        writer.finish()
    });
    written.map_err(|error| Error::Chart { problem: error.to_string() })?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::Cursor;

    use super::super::bars;
    use super::*;

    fn chart() -> Chart {
        let series = [("BM25", vec![0.645, 0.7]), ("tuned <b> & \"co\"", vec![0.701, 0.72])];
        bars("held-out queries", &["nDCG@10", "R@100"], &series).unwrap()
    }

    #[test]
    fn a_png_has_twice_the_pixels_and_is_not_blank() {
        let mut chart = chart();
        (chart.width, chart.height) = (500, 300);
        let mut reader = png::Decoder::new(Cursor::new(chart.png().unwrap())).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (1000, 600));
        let colours: HashSet<&[u8]> = pixels.chunks(3).collect();
        assert!(colours.len() > 20, "{} colours", colours.len());
        let white = pixels.chunks(3).filter(|pixel| *pixel == [255; 3]).count();
        assert!(white > 1000 * 600 / 3, "{white} white pixels");
    }

    #[test]
    fn an_svg_is_well_formed_and_has_a_white_ground() {
        let svg = chart().svg().unwrap();
        let elements = element_names(&svg);
        assert_eq!(elements.iter().filter(|name| *name == "svg").count(), 1);
        assert!(svg.starts_with("<svg width=\"640\" height=\"400\" viewBox=\"0 0 2560 1600\""), "{svg:.120}");
        assert!(svg.contains("<rect x=\"0\" y=\"0\" width=\"2560\" height=\"1600\" opacity=\"1\" fill=\"#FFFFFF\""));
        assert!(svg.contains("tuned &lt;b&gt; &amp; &quot;co&quot;"));
        assert!(!svg.contains(" id="), "ids would clash between the charts of a page");
    }

    /// Names of the elements, after checking that each tag is closed in order and each attribute quoted.
    fn element_names(svg: &str) -> Vec<String> {
        let (mut open, mut names, mut rest) = (Vec::new(), Vec::new(), svg);
        while let Some(start) = rest.find('<') {
            let end = start + rest[start..].find('>').unwrap();
            let tag = &rest[start + 1..end];
            let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap().to_owned();
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name));
            } else {
                assert!(tag.matches('"').count().is_multiple_of(2) && !tag.contains('<'), "{tag}");
                if !tag.ends_with('/') {
                    open.push(name.clone());
                }
                names.push(name);
            }
            rest = &rest[end + 1..];
        }
        assert!(open.is_empty(), "{open:?}");
        names
    }

    #[test]
    fn a_chart_is_shown_as_png_svg_and_text() {
        let message = chart().bundle();
        assert_eq!(message.data.keys().collect::<Vec<_>>(), ["image/png", "image/svg+xml", "text/plain"]);
        assert_eq!(message.metadata["image/png"], json!({"width": 640, "height": 400}));
        let png = BASE64.decode(message.data["image/png"].as_str().unwrap()).unwrap();
        assert!(png.starts_with(b"\x89PNG"));
    }

    #[test]
    fn a_chart_is_saved_under_its_name_only() {
        let folder = std::env::temp_dir().join(format!("kensaku-chart-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["a.png", "a.svg", "B.PNG"] {
            chart().save(folder.join(name)).unwrap();
        }
        let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["B.PNG", "a.png", "a.svg"]);
        assert!(std::fs::read(folder.join("a.png")).unwrap().starts_with(b"\x89PNG"));
        assert!(matches!(chart().save(folder.join("a.pdf")), Err(Error::Setting { field: "path", .. })));
        assert!(matches!(chart().save(folder.join("none/a.png")), Err(Error::Io { .. })));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_size_nobody_can_read_is_an_error() {
        for (width, height) in [(0, 400), (640, 5000)] {
            let chart = Chart { width, height, ..chart() };
            assert!(matches!(chart.png(), Err(Error::Setting { .. })));
            assert!(chart.bundle().data["text/plain"].as_str().unwrap().contains("expected 200 to 4000"));
        }
    }

    #[test]
    fn halving_is_the_mean_of_four() {
        let pixels = [[10, 0, 0], [20, 0, 0], [30, 0, 255], [41, 3, 255]].concat();
        assert_eq!(halve(&pixels, 2), [25, 1, 128]);
    }
}
