//! Unique ports for the kernels of these tests.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below Linux's ephemeral ports (`ip_local_port_range`, from 32768).
///
/// An ephemeral port that is released for the kernel may first be assigned to another test: of 960 kernels started by
/// 16 threads, 16 failed that way.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// Returns `N` free ports that this process has not returned before.
///
/// Processes start at different ports, and skip those in use.
pub(crate) fn free<const N: usize>() -> [u16; N] {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // Far apart even for consecutive process ids.
    let begin = std::process::id() % 1000 * 97;
    std::array::from_fn(|_| {
        loop {
            let given = GIVEN.fetch_add(1, Ordering::Relaxed);
            assert!(given < PORTS.end - PORTS.start, "all ports are used up");
            let place = (begin + u32::from(given)) % u32::from(PORTS.end - PORTS.start);
            let port = PORTS.start + u16::try_from(place).expect("a port has 16 bits");
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return port;
            }
        }
    })
}
