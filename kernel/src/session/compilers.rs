//! Ending a compilation: cargo and everything below it.

use std::collections::HashMap;

/// Ends every process that this one has started, but for `spared` and what it started.
pub(super) fn end_all_but(spared: u32) {
    let parents = parents();
    let own = std::process::id();
    for process in descendants(&parents, own, spared) {
        // Safety: a signal to a process of our own; it may have ended already.
        unsafe { libc::kill(process as libc::pid_t, libc::SIGKILL) };
    }
}

fn descendants(parents: &HashMap<u32, u32>, root: u32, spared: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        let children = parents.iter().filter(|(child, of)| **of == parent && **child != spared);
        for (child, _) in children {
            found.push(*child);
            open.push(*child);
        }
    }
    found
}

/// The parent of each process.
#[cfg(target_os = "linux")]
fn parents() -> HashMap<u32, u32> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return HashMap::new() };
    processes
        .filter_map(|entry| {
            let process: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let status = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
            // The name in parentheses may hold anything; the state and the parent follow it.
            let parent = status.rsplit(") ").next()?.split(' ').nth(1)?.parse().ok()?;
            Some((process, parent))
        })
        .collect()
}

/// The parent of each process.
#[cfg(not(target_os = "linux"))]
fn parents() -> HashMap<u32, u32> {
    let Ok(output) = std::process::Command::new("ps").args(["-Ao", "pid=,ppid="]).output() else {
        return HashMap::new();
    };
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| {
            let mut numbers = line.split_whitespace().map(str::parse);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_without_the_spared_branch() {
        let parents = HashMap::from([(2, 1), (3, 2), (4, 1), (5, 4), (6, 9)]);
        let mut found = descendants(&parents, 1, 4);
        found.sort_unstable();
        assert_eq!(found, [2, 3]);
    }

    #[test]
    fn this_process_has_a_parent() {
        assert!(parents().contains_key(&std::process::id()));
    }
}
