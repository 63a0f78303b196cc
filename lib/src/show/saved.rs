//! Displays written to files, for programs: a notebook stores its displays itself.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::Message;
use crate::{Error, Result, files};

/// The environment variable that names the folder; [`save_to`] sets it from within a program.
const VARIABLE: &str = "KENSAKU_DISPLAYS";

/// Every display from now on is also written into `folder`, numbered in its order: `01.svg` and `01.png`
/// for a chart, `02.html` and `02.txt` for a table, `03.txt` for a value.
///
/// The environment variable `KENSAKU_DISPLAYS` does the same for a whole run.
///
/// ```
/// # let folder = std::env::temp_dir().join("kensaku-doc-displays");
/// kensaku::show::save_to(&folder)?;
/// kensaku::show::display(&kensaku::show::bars("nDCG@10", &["test"], &[("BM25", vec![0.645])])?);
/// assert!(folder.join("01.svg").exists());
/// # std::fs::remove_dir_all(&folder).ok();
/// # Ok::<(), kensaku::Error>(())
/// ```
///
/// # Errors
/// [`Error::Io`] where the folder cannot be made.
pub fn save_to(folder: impl AsRef<Path>) -> Result<()> {
    let folder = folder.as_ref();
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    *lock() = Some(Saved::new(folder.to_owned()));
    Ok(())
}

/// Writes `message` where displays are kept.
pub(super) fn save(message: &Message) {
    let mut saved = lock();
    if let Some(folder) = saved.as_mut()
        && let Err(error) = folder.save(message)
    {
        eprintln!("kensaku: displays are no longer saved: {error}");
        *saved = None;
    }
}

static SAVED: LazyLock<Mutex<Option<Saved>>> = LazyLock::new(|| {
    let folder = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty());
    Mutex::new(folder.map(|folder| Saved::new(folder.into())))
});

fn lock() -> std::sync::MutexGuard<'static, Option<Saved>> {
    SAVED.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Saved {
    folder: PathBuf,
    count: usize,
    /// The number of each display that can be replaced.
    numbers: HashMap<String, usize>,
}

impl Saved {
    fn new(folder: PathBuf) -> Self {
        Self { folder, count: 0, numbers: HashMap::new() }
    }

    fn save(&mut self, message: &Message) -> Result<()> {
        std::fs::create_dir_all(&self.folder).map_err(Error::io(&self.folder))?;
        let number = self.number(message);
        for (extension, content) in contents(message) {
            files::write(&self.folder.join(format!("{number:02}.{extension}")), &content)?;
        }
        Ok(())
    }

    fn number(&mut self, message: &Message) -> usize {
        let known = message.id.as_ref().and_then(|id| self.numbers.get(id));
        if let Some(number) = known.filter(|_| message.update) {
            return *number;
        }
        self.count += 1;
        if let Some(id) = &message.id {
            self.numbers.insert(id.clone(), self.count);
        }
        self.count
    }
}

/// The files of a display by their extension. The text of a picture is only a placeholder.
fn contents(message: &Message) -> Vec<(&'static str, Vec<u8>)> {
    let text = |mime: &str| message.data.get(mime).and_then(Value::as_str);
    let mut files = Vec::new();
    if let Some(svg) = text("image/svg+xml") {
        files.push(("svg", svg.as_bytes().to_vec()));
    }
    if let Some(png) = text("image/png").and_then(|content| BASE64.decode(content).ok()) {
        files.push(("png", png));
    }
    if files.is_empty() {
        if let Some(html) = text("text/html") {
            files.push(("html", format!("<!doctype html>\n<meta charset=\"utf-8\">\n{html}\n").into_bytes()));
        }
        if let Some(markdown) = text("text/markdown") {
            files.push(("md", format!("{markdown}\n").into_bytes()));
        } else if let Some(plain) = text("text/plain") {
            files.push(("txt", format!("{}\n", plain.trim_end()).into_bytes()));
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::{Show, bars};

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn displays_are_numbered_and_replaced() {
        let folder = std::env::temp_dir().join(format!("kensaku-saved-{}", std::process::id()));
        let mut saved = Saved::new(folder.clone());
        let chart = bars("c", &["m"], &[("a", vec![0.5])]).unwrap().bundle();
        saved.save(&Message { id: Some("live".to_owned()), ..Message::text("0%") }).unwrap();
        saved.save(&chart).unwrap();
        saved.save(&Message::text("表").with("text/html", "<b>表</b>")).unwrap();
        saved.save(&Message { id: Some("live".to_owned()), update: true, ..Message::text("100%") }).unwrap();
        assert_eq!(names(&folder), ["01.txt", "02.png", "02.svg", "03.html", "03.txt"]);
        assert_eq!(std::fs::read_to_string(folder.join("01.txt")).unwrap(), "100%\n");
        assert!(std::fs::read(folder.join("02.png")).unwrap().starts_with(b"\x89PNG"));
        assert!(std::fs::read_to_string(folder.join("03.html")).unwrap().contains("utf-8"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
