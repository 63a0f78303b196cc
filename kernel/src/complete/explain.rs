//! The compiler's explanations of error codes.

use super::Completer;
use super::describe::shown;

impl Completer {
    /// The explanation of "E0382", as markdown.
    pub(crate) fn explanation(&self, code: &str) -> Option<String> {
        let output = self.checker.rustc.explain(code).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success() && !text.trim().is_empty()).then(|| shown(&text))
    }
}
