//! Ends a compilation: cargo and its descendants.

use std::collections::HashMap;
use std::time::Duration;

/// Ends all descendants of this process except `spared` and its descendants.
pub(super) fn end_all_but(spared: u32) {
    let parents = parents();
    let own = std::process::id();
    for process in descendants(&parents, own, spared) {
        end(process);
    }
}

/// Waits for a child to end; whether it still runs.
pub(super) fn lingers(process: u32) -> bool {
    let own = std::process::id();
    (0..LOOKS).all(|_| {
        std::thread::sleep(LOOK);
        parents().get(&process) == Some(&own)
    })
}

/// Ends a process.
pub(super) fn end(process: u32) {
    // Safety: it is a descendant of ours, which may have ended already.
    unsafe { libc::kill(process as libc::pid_t, libc::SIGKILL) };
}

/// How long a process may take to end by itself.
const LOOKS: usize = 20;
const LOOK: Duration = Duration::from_millis(50);

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

/// The parent of each process that runs.
#[cfg(target_os = "linux")]
fn parents() -> HashMap<u32, u32> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return HashMap::new() };
    processes
        .filter_map(|entry| {
            let process: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let status = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
            // The name in parentheses may contain anything; the state and the parent follow it.
            let (state, rest) = status.rsplit(") ").next()?.split_once(' ')?;
            let parent = rest.split(' ').next()?.parse().ok()?;
            (state != "Z").then_some((process, parent))
        })
        .collect()
}

/// The parent of each process that runs.
#[cfg(not(target_os = "linux"))]
fn parents() -> HashMap<u32, u32> {
    let Ok(output) = std::process::Command::new("ps").args(["-Ao", "pid=,ppid=,stat="]).output() else {
        return HashMap::new();
    };
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let process = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            (!words.next()?.starts_with('Z')).then_some(process)
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
