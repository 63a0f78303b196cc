//! Ports that no other kernel of these tests gets.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that Linux gives to whoever asks for any (`ip_local_port_range`, from 32768).
///
/// A port of that range, looked up and let go for the kernel to take, may go to another test's
/// look-up or connection first: of 960 kernels started by 16 threads, 16 failed so.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// `N` ports of this machine that are free and were not given before by this process.
///
/// Processes begin at places of their own, and pass over what is in use.
pub(crate) fn free<const N: usize>() -> [u16; N] {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // Apart from each other also when process numbers follow each other.
    let begin = std::process::id() % 1000 * 97;
    std::array::from_fn(|_| {
        loop {
            let given = GIVEN.fetch_add(1, Ordering::Relaxed);
            assert!(given < PORTS.end - PORTS.start, "all ports have been given");
            let place = (begin + u32::from(given)) % u32::from(PORTS.end - PORTS.start);
            let port = PORTS.start + u16::try_from(place).expect("a port has 16 bits");
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return port;
            }
        }
    })
}
