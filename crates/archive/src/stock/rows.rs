//! Tables with as many rows as there are frames, and finding a row by its hash.
//!
//! Invariant: what is in a table never moves. A list that doubles lies in memory twice while it moves, and what it leaves behind is a hole that
//! the system gets back late or never: on a Pi with a quarter of a million frames that was half of all memory. So a table grows by pieces
//! of one size, and the index beside it holds numbers of rows, 5 bytes each.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    ops::Index,
};

use hashbrown::HashTable;

/// Rows of a piece: some ten KiB.
const PIECE: usize = 512;

/// A list that grows without moving.
#[derive(Debug, Clone)]
pub(crate) struct Rows<T>(Vec<Vec<T>>);

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Rows<T> {
    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.0.last().map_or(0, |last| (self.0.len() - 1) * PIECE + last.len())
    }

    /// Appends a row. Returns its number.
    pub(crate) fn push(&mut self, row: T) -> u32 {
        let number = self.len() as u32;
        match self.0.last_mut() {
            Some(last) if last.len() < PIECE => last.push(row),
            _ => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(row);
                self.0.push(piece);
            }
        }
        number
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }

    fn at(&mut self, number: u32) -> &mut T {
        &mut self.0[number as usize / PIECE][number as usize % PIECE]
    }
}

impl<T> Index<u32> for Rows<T> {
    type Output = T;

    fn index(&self, number: u32) -> &T {
        &self.0[number as usize / PIECE][number as usize % PIECE]
    }
}

/// What is found by a part of itself.
pub trait Keyed {
    /// That part, a hash.
    type Key: Hash + Eq;
    /// It.
    fn key(&self) -> &Self::Key;
}

/// Rows that are found by their keys, each key once. Which bits of a hash somebody chose does not matter: it is hashed again with a secret.
#[derive(Debug, Clone)]
pub struct Known<T> {
    rows: Rows<T>,
    index: HashTable<u32>,
    secret: RandomState,
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self { rows: Rows::default(), index: HashTable::new(), secret: RandomState::new() }
    }
}

impl<T> Index<u32> for Known<T> {
    type Output = T;

    fn index(&self, number: u32) -> &T {
        &self.rows[number]
    }
}

impl<T: Keyed> Known<T> {
    /// How many rows can be found.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether none can be found.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The number of the row with this key.
    pub fn find(&self, key: &T::Key) -> Option<u32> {
        self.index.find(self.secret.hash_one(key), |number| self.rows[*number].key() == key).copied()
    }

    /// The row with this number, to be changed, but for its key.
    pub(crate) fn at(&mut self, number: u32) -> &mut T {
        self.rows.at(number)
    }

    /// Adds a row, unless there is one with its key. Returns the number of the one that is there now.
    pub fn add(&mut self, row: T) -> u32 {
        if let Some(number) = self.find(row.key()) {
            return number;
        }
        let hash = self.secret.hash_one(row.key());
        let number = self.rows.push(row);
        let Self { rows, index, secret } = self;
        index.insert_unique(hash, number, |number| secret.hash_one(rows[*number].key()));
        number
    }

    /// The rows, which are found by their numbers only from now on.
    pub(crate) fn into_rows(self) -> Rows<T> {
        self.rows
    }

    /// Adds a row that is found by its number only.
    pub(crate) fn add_unnamed(&mut self, row: T) -> u32 {
        self.rows.push(row)
    }

    /// The row with this number is not found by its key any more.
    pub(crate) fn hide(&mut self, number: u32) {
        let hash = self.secret.hash_one(self.rows[number].key());
        if let Ok(found) = self.index.find_entry(hash, |known| *known == number) {
            found.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Row([u8; 8], u32);

    impl Keyed for Row {
        type Key = [u8; 8];

        fn key(&self) -> &[u8; 8] {
            &self.0
        }
    }

    #[test]
    fn rows_keep_their_numbers_whatever_comes_after() {
        let mut known = Known::default();
        let row = |number: u32| Row(u64::from(number).to_be_bytes(), number);
        let many = 3 * PIECE as u32 + 7;
        assert!((0..many).all(|number| known.add(row(number)) == number));
        assert_eq!((known.len(), known.rows.len()), (many as usize, many as usize));
        assert!((0..many).all(|number| known.find(&row(number).0) == Some(number) && known[number] == row(number)));
        assert!(known.rows.iter().cloned().eq((0..many).map(row)));
        assert_eq!((known.add(Row(row(5).0, 99)), &known[5]), (5, &row(5)), "the first one stays");
        assert_eq!(known.find(&row(many).0), None);
    }

    #[test]
    fn a_row_that_is_hidden_or_has_no_name_keeps_its_number_only() {
        let mut known = Known::default();
        let (one, two) = (Row([1; 8], 1), Row([2; 8], 2));
        assert_eq!((known.add(one.clone()), known.add_unnamed(two.clone())), (0, 1));
        assert_eq!((known.find(&one.0), known.find(&two.0)), (Some(0), None));
        known.hide(0);
        known.hide(1);
        assert_eq!((known.find(&one.0), known.len()), (None, 0));
        assert_eq!((&known[0], &known[1]), (&one, &two));
        assert_eq!((known.add(one.clone()), known.find(&one.0)), (2, Some(2)));
    }
}
