//! What a training needs of the machine's memory and disk, computed before it starts.

use std::path::Path;

use polars::prelude::*;

use crate::Result;
use crate::model::{Model, Part};
use crate::nn::{Activations, Memory, PackedBatch};

/// Bytes in a GiB.
pub(super) const GIB: f64 = (1 << 30) as f64;

/// The largest batches that fit, for each model, length and memory: a frame with the columns `model`,
/// `tokens` (per text), `gib`, and `texts`, the most texts that pass through the encoder at once.
///
/// A pair is two texts; with [`MicroBatch::Texts`](crate::train::MicroBatch::Texts) of that number a batch may have any
/// size. Counted are the parameters, their gradients and the two moments of AdamW, and the arena of activations, whose
/// size is measured with two small batches: all its buffers grow with the tokens. What a loss computes of the
/// embeddings comes on top. Lengths are cut to the model's `max_length`.
///
/// ```
/// use kensaku::prelude::*;
/// use kensaku::train::batch_sizes;
///
/// let tokenizer = Tokenizer::train_wordpiece(&["a few words", "a few more"], &WordPieceConfig::default())?;
/// let model = BiEncoder::new(BertConfig::default(), tokenizer, BiEncoderConfig::default(), 42)?;
/// let table = batch_sizes(&[("small", &model)], &[32, 256], &[1.0, 4.0])?;
/// assert_eq!(table.shape(), (4, 4));
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn batch_sizes(models: &[(&str, &dyn Model)], lengths: &[usize], gib: &[f64]) -> Result<DataFrame> {
    let (mut names, mut tokens, mut memories, mut texts) = (vec![], vec![], vec![], vec![]);
    for (name, model) in models {
        let arena = ArenaSize::measure(*model, Memory::default(), |_| false)?;
        for length in lengths {
            let length = (*length).clamp(1, model.max_length());
            let (frozen, trained) = (model.parameters().frozen(), model.parameters().len());
            let fixed = training_bytes(frozen + trained, trained, 2);
            for memory in gib {
                names.push(*name);
                tokens.push(length as u64);
                memories.push(*memory);
                let left = (memory * GIB) as usize;
                texts.push((arena.tokens_in(left.saturating_sub(fixed)) / length) as u64);
            }
        }
    }
    Ok(df!("model" => names, "tokens" => tokens, "gib" => memories, "texts" => texts)?)
}

/// Parameters, and for those that are trained gradients and the optimiser's moments.
pub(super) fn training_bytes(parameters: usize, trained: usize, moments: usize) -> usize {
    size_of::<f32>() * (parameters + (1 + moments) * trained)
}

/// How the arena of a training grows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ArenaSize {
    fixed: usize,
    per_token: usize,
}

impl ArenaSize {
    /// Encodes one document and two of the same length, and looks at what the arena holds then: queries may have a smaller
    /// encoder, or none.
    pub(super) fn measure(model: &dyn Model, memory: Memory, frozen: impl Fn(usize) -> bool) -> Result<Self> {
        let length = model.max_length().min(64);
        let bytes = |texts: usize| -> Result<usize> {
            let mut activations = Activations::with(memory);
            activations.set_frozen(model.parameters(), &frozen);
            let batch = PackedBatch::new(vec![vec![0_u32; length]; texts]);
            model.forward(&Part { batch, columns: vec![1; texts] }, &mut activations)?;
            Ok(activations.bytes())
        };
        let (one, two) = (bytes(1)?, bytes(2)?);
        let per_token = two.saturating_sub(one) / length;
        Ok(Self { fixed: one.saturating_sub(per_token * length), per_token })
    }

    /// The size for a batch of this many tokens.
    pub(super) fn bytes(&self, tokens: f64) -> f64 {
        self.fixed as f64 + self.per_token as f64 * tokens.ceil()
    }

    /// The largest batch within a size.
    fn tokens_in(&self, bytes: usize) -> usize {
        bytes.saturating_sub(self.fixed) / self.per_token.max(1)
    }
}

/// Bytes of memory that the system has left, within the limit of the control group; `None` where it does not
/// tell.
pub(super) fn available() -> Option<usize> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let free = mem_available(&read("/proc/meminfo")?)?;
    let number = |path: &str| read(path)?.trim().parse::<usize>().ok();
    let limit = number("/sys/fs/cgroup/memory.max");
    let left = limit.map(|limit| limit.saturating_sub(number("/sys/fs/cgroup/memory.current").unwrap_or(0)));
    Some(left.map_or(free, |left| left.min(free)))
}

fn mem_available(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()? * 1024)
}

/// Bytes left on the disk of a folder, or of the first of its parents that exists.
pub(super) fn disk_free(folder: &Path) -> Option<u64> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let absolute = std::path::absolute(folder).ok()?;
    absolute.ancestors().find(|folder| folder.exists()).and_then(|folder| fs4::available_space(folder).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_says() {
        assert_eq!(mem_available("MemTotal:       24 kB\nMemAvailable:    1000 kB\n"), Some(1_024_000));
        assert_eq!(mem_available("MemTotal:       24 kB\n"), None);
        assert!(disk_free(Path::new("a/folder/that/is/not/there")).is_some_and(|bytes| bytes > 0));
    }
}
