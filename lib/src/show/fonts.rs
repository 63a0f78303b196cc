//! The fonts of charts: DejaVu Sans, which the library carries, and the system's for what that lacks.
//!
//! A chart whose texts DejaVu Sans covers is the same everywhere. The fonts of the system are looked at
//! when a text first has another character, such as a Japanese one.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, Once, PoisonError};

use ab_glyph::{Font, FontRef};
use fontdb::{Database, FaceInfo, ID, Style};
use plotters::style::{FontStyle, register_font};

/// What plotters calls DejaVu Sans here. An SVG names it, too: a family that every reader has.
pub(super) const OWN: &str = "sans-serif";
/// Stands for a character that no font has.
const UNKNOWN: char = '\u{fffd}';

/// A stretch of text in DejaVu Sans, or one character in a font of the system.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stretch {
    pub(super) text: String,
    /// The font as plotters knows it.
    pub(super) family: &'static str,
    /// What DejaVu Sans's size is to be multiplied by to have letters as large: plotters' sizes are line heights.
    pub(super) scale: f64,
    /// The space before the letter, in sizes. plotters leaves it out, which a wide bracket would show.
    pub(super) bearing: f64,
}

/// Makes DejaVu Sans known to plotters.
pub(super) fn register() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        for (style, font) in [(FontStyle::Normal, dejavu::sans::regular()), (FontStyle::Bold, dejavu::sans::bold())] {
            // A font that cannot be read makes the first text an error.
            let _ = register_font(OWN, style, font);
        }
    });
}

/// Whether DejaVu Sans has a character, bold as well as regular.
pub(super) fn has(character: char) -> bool {
    static DEJAVU: LazyLock<Vec<FontRef>> = LazyLock::new(|| {
        let files = [dejavu::sans::regular(), dejavu::sans::bold()];
        files.into_iter().filter_map(|file| FontRef::try_from_slice(file).ok()).collect()
    });
    character.is_ascii() || character.is_control() || DEJAVU.iter().all(|font| font.glyph_id(character).0 != 0)
}

/// `text` as stretches of the fonts that have its characters.
pub(super) fn stretches(text: &str) -> Vec<Stretch> {
    static SYSTEM: LazyLock<Mutex<System>> = LazyLock::new(|| {
        let mut database = Database::new();
        database.load_system_fonts();
        Mutex::new(System::over(database))
    });
    if text.chars().all(has) {
        return vec![own(text)];
    }
    SYSTEM.lock().unwrap_or_else(PoisonError::into_inner).stretches(text)
}

fn own(text: impl Into<String>) -> Stretch {
    Stretch { text: text.into(), family: OWN, scale: 1.0, bearing: 0.0 }
}

/// The fonts of the system.
struct System {
    database: Database,
    /// Those not loaded yet, the most suitable first.
    faces: Vec<ID>,
    loaded: Vec<Loaded>,
    known: HashMap<char, Option<usize>>,
}

/// A font that plotters knows. It stays in memory: plotters wants it for ever.
struct Loaded {
    font: FontRef<'static>,
    family: &'static str,
    scale: f64,
}

impl System {
    fn over(database: Database) -> Self {
        // plotters reads the first font of a collection.
        let mut faces: Vec<&FaceInfo> = database.faces().filter(|face| face.index == 0).collect();
        faces.sort_by_cached_key(|face| suitability(face));
        let faces = faces.into_iter().map(|face| face.id).collect();
        Self { database, faces, loaded: Vec::new(), known: HashMap::new() }
    }

    fn stretches(&mut self, text: &str) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        for character in text.chars() {
            let next = match self.font_of(character) {
                _ if has(character) => own(character),
                Some(loaded) => loaded.stretch(character),
                None => own(UNKNOWN),
            };
            match stretches.last_mut() {
                Some(last) if last.family == OWN && next.family == OWN => last.text.push_str(&next.text),
                _ => stretches.push(next),
            }
        }
        stretches
    }

    fn font_of(&mut self, character: char) -> Option<&Loaded> {
        let found = match self.known.get(&character) {
            Some(found) => *found,
            None => {
                let loaded = self.loaded.iter().position(|loaded| draws(&loaded.font, character));
                let found = loaded.or_else(|| self.load(character));
                self.known.insert(character, found);
                found
            }
        };
        found.and_then(|index| self.loaded.get(index))
    }

    /// Loads the most suitable font that has a character; gives its place.
    fn load(&mut self, character: char) -> Option<usize> {
        let has_it = |id: &ID| {
            let font = |data: &[u8], _| FontRef::try_from_slice(data).is_ok_and(|font| draws(&font, character));
            self.database.with_face_data(*id, font).unwrap_or(false)
        };
        let place = self.faces.iter().position(has_it)?;
        let id = self.faces.remove(place);
        let data: &'static [u8] = self.database.with_face_data(id, |data, _| data.to_vec())?.leak();
        let font = FontRef::try_from_slice(data).ok()?;
        let own = FontRef::try_from_slice(dejavu::sans::regular()).ok()?;
        let family = format!("kensaku-{}", self.loaded.len()).leak();
        register_font(family, FontStyle::Normal, data).ok()?;
        let scale = f64::from(line_height(&font)? / line_height(&own)?);
        self.loaded.push(Loaded { font, family, scale });
        Some(self.loaded.len() - 1)
    }
}

impl Loaded {
    fn stretch(&self, character: char) -> Stretch {
        let outline = self.font.outline(self.font.glyph_id(character));
        let bearing = outline.map_or(0.0, |outline| outline.bounds.min.x / self.font.height_unscaled());
        Stretch { text: character.into(), family: self.family, scale: self.scale, bearing: bearing.into() }
    }
}

/// Sorts fonts: upright, of ordinary weight, without serifs, proportional ones first. Each font has some
/// place of its own in this order, so that the choice is the same every time.
fn suitability(face: &FaceInfo) -> (bool, u16, bool, bool, String) {
    let name = face.families.first().map_or(face.post_script_name.clone(), |(name, _)| name.clone());
    let is_plain = ["Sans", "Gothic"].iter().any(|word| name.contains(word));
    (face.style != Style::Normal, face.weight.0.abs_diff(400), !is_plain, face.monospaced, name)
}

/// Whether a font can draw a character; fonts of coloured pictures have no outlines.
fn draws(font: &FontRef, character: char) -> bool {
    let glyph = font.glyph_id(character);
    glyph.0 != 0 && (character.is_whitespace() || font.outline(glyph).is_some())
}

/// The height of a line in em.
fn line_height(font: &FontRef) -> Option<f32> {
    Some(font.height_unscaled() / font.units_per_em()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dejavu_has_european_scripts_and_symbols_but_not_japanese() {
        assert!("nDCG@10 é ß Ж λ ∑ → … ✓ \u{fffd}\n".chars().all(has));
        assert!(!"検索モデルあ（）".chars().any(has));
    }

    #[test]
    fn texts_that_dejavu_covers_never_look_at_the_system() {
        assert_eq!(stretches("nDCG@10 é λ"), [own("nDCG@10 é λ")]);
        assert_eq!(stretches(""), [own("")]);
    }

    #[test]
    fn without_any_font_a_sign_stands_for_each_character() {
        let stretches = System::over(Database::new()).stretches("BM25で検索 a");
        assert_eq!(stretches, [own("BM25\u{fffd}\u{fffd}\u{fffd} a")]);
    }

    /// DejaVu Sans Mono stands for a font of the system, and Oriya letters for those that none has.
    #[test]
    fn a_font_is_loaded_once_and_only_for_what_it_draws() {
        let mut database = Database::new();
        for file in [dejavu::sans_mono::regular(), dejavu::sans_mono::bold_oblique(), dejavu::serif::regular()] {
            database.load_font_data(file.to_vec());
        }
        let mut system = System::over(database);
        assert_eq!(system.faces.len(), 3);
        for character in ['a', 'b', 'a'] {
            assert_eq!(system.font_of(character).map(|loaded| loaded.family), Some("kensaku-0"));
        }
        assert!(system.font_of('\u{b05}').is_none());
        let bearing = system.font_of('I').map(|loaded| loaded.stretch('I').bearing);
        assert!(bearing.is_some_and(|bearing| (0.05..0.2).contains(&bearing)), "{bearing:?}");
        assert_eq!((system.loaded.len(), system.faces.len()), (1, 2));
        assert!((system.loaded[0].scale - 1.0).abs() < 0.01, "all of DejaVu has the same line height");
    }

    #[test]
    fn plain_upright_fonts_come_first() {
        let mut database = Database::new();
        for file in [dejavu::sans::bold(), dejavu::serif::regular(), dejavu::sans_mono::regular()] {
            database.load_font_data(file.to_vec());
        }
        let system = System::over(database);
        let names = system.faces.iter().filter_map(|id| Some(system.database.face(*id)?.post_script_name.clone()));
        assert_eq!(names.collect::<Vec<_>>(), ["DejaVuSansMono", "DejaVuSerif", "DejaVuSans-Bold"]);
    }
}
