//! Randomness as an argument: a counter-based generator.
//!
//! Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) turns a
//! counter and a key into four random words without any state. So a dropout mask needs no memory: the
//! backward pass computes it again, and no result depends on the number of threads.

/// Four random words for a counter under a key.
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    philox_lanes(counter.map(|word| [u64::from(word)]), key).map(|[word]| word as u32)
}

/// The same for `N` counters side by side: the low halves of `words[i]` hold the `i`th word of each.
///
/// One simple loop an operation, on words as wide as the products: so the compiler vectorises it.
#[inline(always)]
pub(crate) fn philox_lanes<const N: usize>(mut words: [[u64; N]; 4], mut key: [u32; 2]) -> [[u64; N]; 4] {
    const LOW: u64 = 0xFFFF_FFFF;
    for _ in 0..10 {
        let [mut low, mut high] = [[0; N]; 2];
        for lane in 0..N {
            low[lane] = (words[0][lane] & LOW) * 0xD251_1F53;
        }
        for lane in 0..N {
            high[lane] = (words[2][lane] & LOW) * 0xCD9E_8D57;
        }
        for lane in 0..N {
            words[0][lane] = (high[lane] >> 32) ^ words[1][lane] ^ u64::from(key[0]);
        }
        for lane in 0..N {
            words[2][lane] = (low[lane] >> 32) ^ words[3][lane] ^ u64::from(key[1]);
        }
        (words[1], words[3]) = (high, low);
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    words
}

/// A stream of random numbers from a seed: same seed, same numbers, on every machine.
///
/// ```
/// use kensaku::random::Philox;
/// let mut rng = Philox::new(42);
/// let mut rows: Vec<usize> = (0..5).collect();
/// rng.shuffle(&mut rows);
/// assert_eq!(rows.len(), 5);
/// assert!(rng.below(10) < 10);
/// ```
#[derive(Debug, Clone)]
pub struct Philox {
    key: [u32; 2],
    stream: u64,
    block: u64,
    words: [u32; 4],
    used: usize,
}

impl Philox {
    /// The first stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self::stream(seed, 0)
    }

    /// One of 2^64 independent streams of a seed, for instance one an epoch.
    pub fn stream(seed: u64, stream: u64) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32], stream, block: 0, words: [0; 4], used: 4 }
    }

    /// 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            let (block, stream) = (self.block, self.stream);
            self.words = philox([block as u32, (block >> 32) as u32, stream as u32, (stream >> 32) as u32], self.key);
            self.block += 1;
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        u64::from(self.next_u32()) << 32 | u64::from(self.next_u32())
    }

    /// A number in `[0, 1)`.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number from the normal distribution with mean 0 and variance 1 (Box-Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// An index below `n`, each equally likely; 0 if `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        // The high half of a 64 x 64 bit product: the bias is below 2^-32 for any n that fits memory.
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }

    /// Puts `items` in random order (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that the authors of Philox publish with Random123 (kat_vectors).
    #[test]
    fn known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(philox(pi, [0xa409_3822, 0x299f_31d0]), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn moments_of_the_normal_distribution() {
        let mut rng = Philox::new(1);
        let draws: Vec<f64> = (0..100_000).map(|_| rng.normal()).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }

    #[test]
    fn a_shuffle_is_a_permutation_and_depends_on_seed_and_stream() {
        // The generator is made inside: rustc 1.95 hands a closure that takes it by value the one that
        // the last call has used, if both were made from the same constants (rust-lang/rust#155241).
        let shuffled = |seed, stream| {
            let mut items: Vec<usize> = (0..100).collect();
            Philox::stream(seed, stream).shuffle(&mut items);
            items
        };
        let mut sorted = shuffled(7, 0);
        assert_eq!(sorted, shuffled(7, 0));
        assert_ne!(sorted, shuffled(8, 0));
        assert_ne!(sorted, shuffled(7, 1));
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }
}
