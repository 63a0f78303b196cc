//! Tables of strings: all of them in one piece of memory, with where each ends.

use xxhash_rust::xxh3::xxh3_64;

use super::array::Array;

/// Strings, numbered from 0.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Strings {
    pub(super) bytes: Array<u8>,
    pub(super) ends: Array<u64>,
}

impl Strings {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn raw(&self, number: usize) -> &[u8] {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.bytes[start as usize..self.ends[number] as usize]
    }

    pub(super) fn get(&self, number: usize) -> &str {
        // Checked where the table is made or read.
        std::str::from_utf8(self.raw(number)).unwrap_or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|number| self.get(number))
    }

    /// What is wrong with a table that was read: no string of one without damage leads outside of it.
    pub(super) fn damage(&self) -> Option<&'static str> {
        let Ok(text) = std::str::from_utf8(&self.bytes) else { return Some("is not UTF-8") };
        let mut start = 0;
        for end in self.ends.iter() {
            if *end < start || !text.is_char_boundary(usize::try_from(*end).unwrap_or(usize::MAX)) {
                return Some("has a string that ends outside of it");
            }
            start = *end;
        }
        (start != text.len() as u64).then_some("is longer than its strings")
    }

    /// What is wrong with a table without damage that is to be sorted, without repetitions.
    pub(super) fn disorder(&self) -> Option<&'static str> {
        let sorted = (1..self.len()).all(|number| self.raw(number - 1) < self.raw(number));
        (!sorted).then_some("is not sorted")
    }
}

impl<'a> FromIterator<&'a str> for Strings {
    fn from_iter<I: IntoIterator<Item = &'a str>>(strings: I) -> Self {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for string in strings {
            bytes.extend_from_slice(string.as_bytes());
            ends.push(bytes.len() as u64);
        }
        Self { bytes: bytes.into(), ends: ends.into() }
    }
}

/// Finds the number of a string by its hash. The strings themselves are elsewhere.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers {
    /// The upper half of a hash, and the number. A power of two, at most half of which is taken.
    slots: Vec<(u32, u32)>,
}

const EMPTY: u32 = u32::MAX;

impl Numbers {
    /// Of the strings of a table, all different.
    pub(super) fn of(strings: &Strings) -> Self {
        let mut numbers = Self { slots: vec![(0, EMPTY); slots(strings.len())] };
        for number in 0..strings.len() {
            numbers.insert(xxh3_64(strings.raw(number)), number as u32);
        }
        numbers
    }

    pub(super) fn get(&self, text: &str, strings: &Strings) -> Option<u32> {
        self.find(xxh3_64(text.as_bytes()), |number| strings.raw(number as usize) == text.as_bytes())
    }

    fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let mut slot = self.first(hash);
        loop {
            match self.slots[slot] {
                (_, EMPTY) => return None,
                (tag, number) if tag == (hash >> 32) as u32 && is(number) => return Some(number),
                _ => slot = (slot + 1) & (self.slots.len() - 1),
            }
        }
    }

    /// Takes an empty slot; there is one.
    fn insert(&mut self, hash: u64, number: u32) {
        let mut slot = self.first(hash);
        while self.slots[slot].1 != EMPTY {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        self.slots[slot] = ((hash >> 32) as u32, number);
    }

    fn first(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }
}

/// The number of slots for that many strings.
fn slots(strings: usize) -> usize {
    (2 * strings).next_power_of_two().max(16)
}

/// Gives each string that it has not seen the next number.
#[derive(Default)]
pub(super) struct Interner {
    bytes: Vec<u8>,
    ends: Vec<u64>,
    numbers: Numbers,
}

impl Interner {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The number of a string, which is new if it is the number of strings so far.
    pub(super) fn number(&mut self, text: &str) -> u32 {
        let hash = xxh3_64(text.as_bytes());
        if let Some(number) = self.numbers.find(hash, |number| self.raw(number as usize) == text.as_bytes()) {
            return number;
        }
        if 2 * (self.len() + 1) > self.numbers.slots.len() {
            self.numbers.slots = vec![(0, EMPTY); slots(2 * (self.len() + 1))];
            for number in 0..self.len() {
                let hash = xxh3_64(self.raw(number));
                self.numbers.insert(hash, number as u32);
            }
        }
        let number = self.len() as u32;
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.push(self.bytes.len() as u64);
        self.numbers.insert(hash, number);
        number
    }

    fn raw(&self, number: usize) -> &[u8] {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.bytes[start as usize..self.ends[number] as usize]
    }

    /// The strings by number.
    pub(super) fn into_strings(self) -> Strings {
        Strings { bytes: self.bytes.into(), ends: self.ends.into() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_those_of_a_list(words in prop::collection::vec("[a-c]{0,3}", 0..200)) {
            let (mut interner, mut list) = (Interner::default(), Vec::<String>::new());
            for word in &words {
                let expected = list.iter().position(|known| known == word).unwrap_or_else(|| {
                    list.push(word.clone());
                    list.len() - 1
                });
                prop_assert_eq!(interner.number(word) as usize, expected);
            }
            list.sort();
            let strings: Strings = list.iter().map(String::as_str).collect();
            prop_assert_eq!((strings.damage(), strings.disorder()), (None, None));
            let numbers = Numbers::of(&strings);
            for (number, word) in list.iter().enumerate() {
                prop_assert_eq!(strings.get(number), word.as_str());
                prop_assert_eq!(numbers.get(word, &strings), Some(number as u32));
            }
            prop_assert_eq!(numbers.get("d", &strings), None);
            prop_assert_eq!(interner.into_strings().len(), list.len());
        }
    }

    #[test]
    fn damaged_tables() {
        let table = |bytes: &[u8], ends: &[u64]| Strings { bytes: bytes.to_vec().into(), ends: ends.to_vec().into() };
        assert_eq!(table("aé".as_bytes(), &[1, 3]).damage(), None);
        assert_eq!(table(&[0xff], &[1]).damage(), Some("is not UTF-8"));
        for ends in [&[2, 3][..], &[2, 1], &[1, u64::MAX], &[4]] {
            assert_eq!(table("aé".as_bytes(), ends).damage(), Some("has a string that ends outside of it"));
        }
        assert_eq!(table(b"ab", &[1]).damage(), Some("is longer than its strings"));
        assert_eq!(table(b"ba", &[1, 2]).disorder(), Some("is not sorted"));
        assert_eq!(table(b"aa", &[1, 2]).disorder(), Some("is not sorted"));
        assert_eq!((Strings::default().damage(), Strings::default().disorder()), (None, None));
    }
}
