//! Checks the machine: processors, memory, disks.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Finding, output_of};
use crate::dylib::Dylib;

const GB: f64 = 1e9;
/// Enough for a kernel with Polars that trains a small model.
const MEMORY_FOR_A_NOTEBOOK: f64 = 1.5 * GB;
/// Enough for the compiled cells and files of a session.
const DISK_FOR_A_SESSION: f64 = 0.5 * GB;

pub(super) fn graphics() -> Finding {
    let arguments = ["--query-gpu=name,memory.total", "--format=csv,noheader"];
    match output_of("nvidia-smi", &arguments) {
        Some(found) => Finding::good("GPU", format!("{found}; not used, models run on the CPU")),
        None => Finding::good("GPU", "none found by nvidia-smi; models run on the CPU"),
    }
}

pub(super) fn threads() -> Finding {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let limit = std::env::var("RAYON_NUM_THREADS").map(|limit| format!(", RAYON_NUM_THREADS={limit}"));
    Finding::good("threads", format!("{count}{}", limit.unwrap_or_default()))
}

pub(super) fn memory() -> Finding {
    let facts = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let (Some(free), Some(total)) = (meminfo(&facts, "MemAvailable"), meminfo(&facts, "MemTotal")) else {
        return Finding::advice("memory", "unknown: /proc/meminfo cannot be read");
    };
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|limit| limit.trim().parse().ok());
    let free = limit.map_or(free, |limit: f64| limit.min(free));
    let text = format!("{:.1} of {:.1} GB free", free / GB, limit.unwrap_or(total).min(total) / GB);
    match free >= MEMORY_FOR_A_NOTEBOOK {
        true => Finding::good("memory", text),
        false => Finding::advice("memory", format!("{text}; even a small model may need more")),
    }
}

/// The folders that sessions and builds write to.
pub(super) fn disks(dylib: Option<&Dylib>) -> Vec<Finding> {
    let temporary = std::env::temp_dir();
    let mut found = vec![match tempfile::tempfile_in(&temporary) {
        Ok(_) => disk(&temporary),
        Err(error) => Finding::bad("disk", format!("{} is not writable: {error}", temporary.display())),
    }];
    let target = dylib.and_then(|dylib| dylib.library.parent().map(PathBuf::from));
    found.extend(target.map(|folder| disk(&folder)));
    found
}

fn disk(folder: &Path) -> Finding {
    let Some(free) = free_bytes(folder) else {
        return Finding::advice("disk", format!("free space at {} unknown", folder.display()));
    };
    let text = format!("{:.1} GB free at {}", free / GB, folder.display());
    match free >= DISK_FOR_A_SESSION {
        true => Finding::good("disk", text),
        false => Finding::bad("disk", format!("only {text}")),
    }
}

/// The bytes in a line such as `MemTotal:  123 kB`.
fn meminfo(facts: &str, name: &str) -> Option<f64> {
    let line = facts.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? * 1024.0)
}

fn free_bytes(folder: &Path) -> Option<f64> {
    let path = CString::new(folder.as_os_str().as_bytes()).ok()?;
    // Safety: the path is null-terminated, and the structure consists of plain numbers.
    let facts = unsafe {
        let mut facts: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(path.as_ptr(), &mut facts) == 0).then_some(facts)
    }?;
    Some(facts.f_bavail as f64 * facts.f_frsize as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_in_bytes() {
        let facts = "MemTotal:       24000000 kB\nMemAvailable:    1000 kB\n";
        assert_eq!(meminfo(facts, "MemAvailable"), Some(1_024_000.0));
        assert_eq!(meminfo(facts, "Mem"), None);
    }

    #[test]
    fn this_folder_has_a_size() {
        assert!(free_bytes(Path::new(".")).is_some());
        assert_eq!(free_bytes(Path::new("/no/such/folder")), None);
    }
}
