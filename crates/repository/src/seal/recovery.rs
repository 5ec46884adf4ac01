//! The recovery key: 32 random bytes that open a vault when all else is lost, made to be written on paper and typed from it.
//!
//! Thirteen groups of five characters; the fifth of each is a check over the other four and the group's number, in a field where any one wrong
//! character and any two exchanged ones show. So a slip is found in its group, before the vault is asked, instead of as "wrong key".

use std::{fmt, str::FromStr};

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::keys::{self, NoRandom};

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const GROUPS: usize = 13;
const GROUP: usize = 5;
const WORD: &str = "OFFSITE";
/// [`WORD`] as the parser sees it, with look-alikes replaced.
const WORD_READ: &[u8] = b"0FFS1TE";

/// A recovery key. [`fmt::Display`] prints the secret itself, in groups, since paper is where it belongs; [`fmt::Debug`] hides it.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct RecoveryKey([u8; 32]);

/// What is wrong with a typed recovery key. The typed text is not repeated: it may be nearly the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRecoveryKey {
    /// A group has a slip in it, or groups were exchanged.
    #[error("group {number} of the recovery key has a slip in it")]
    Group {
        /// Which, from 1.
        number: usize,
    },
    /// A character that no recovery key has.
    #[error("group {number} of the recovery key has {character:?} in it, which no recovery key has")]
    Character {
        /// Which group, from 1.
        number: usize,
        /// The character.
        character: char,
    },
    /// Characters are missing or too many; no group shows where.
    #[error("a recovery key has 13 groups of 5 characters; this has {found} characters instead of 65")]
    Length {
        /// Characters that were given, without spaces, dashes and the word in front.
        found: usize,
    },
}

impl RecoveryKey {
    /// A new key.
    ///
    /// # Errors
    /// [`NoRandom`] if the system gives no random bytes.
    pub fn random() -> Result<Self, NoRandom> {
        keys::random("a recovery key").map(Self)
    }

    /// The key with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret bytes.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// How many characters a recovery key has, without what separates them and the word in front.
    pub const LENGTH: usize = GROUPS * GROUP;

    /// How many of them `typed` has so far, right or wrong: it is printed in several lines, and whoever reads them has to know when all are there.
    pub fn typed(typed: &str) -> usize {
        bare(typed).len()
    }

    /// The 13 groups as printed, to ask some of them back.
    pub fn groups(&self) -> [Zeroizing<String>; GROUPS] {
        let symbols = self.symbols();
        std::array::from_fn(|group| {
            let data: [u8; GROUP - 1] = std::array::from_fn(|at| symbols[group * (GROUP - 1) + at]);
            let text = data.into_iter().chain([check(data, group)]).map(|value| char::from(ALPHABET[usize::from(value)]));
            Zeroizing::new(text.collect())
        })
    }

    /// The key's 256 bits and 4 zero bits, five at a time.
    fn symbols(&self) -> Zeroizing<[u8; GROUPS * (GROUP - 1)]> {
        let bit = |at: usize| self.0.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
        Zeroizing::new(std::array::from_fn(|symbol| (0..5).fold(0, |value, at| value << 1 | bit(symbol * 5 + at))))
    }
}

/// Multiplication by α = 2 in GF(2^5) modulo x^5 + x^2 + 1.
const fn times_alpha(value: u8) -> u8 {
    let shifted = value << 1;
    if shifted & 0b10_0000 == 0 { shifted } else { shifted ^ 0b10_0101 }
}

/// α·d0 + α²·d1 + α³·d2 + α⁴·d3 + group, by Horner's rule from the last on. No power is 1, so even a character exchanged with the check shows.
fn check(data: [u8; GROUP - 1], group: usize) -> u8 {
    data.into_iter().rev().fold(0, |sum, value| times_alpha(sum ^ value)) ^ group as u8
}

impl fmt::Display for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(WORD)?;
        self.groups().iter().try_for_each(|group| write!(f, "-{}", group.as_str()))
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryKey(hidden)")
    }
}

impl FromStr for RecoveryKey {
    type Err = InvalidRecoveryKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let typed = bare(text);
        // Groups are checked before the length: a missing character then shows in the group where it is missing.
        let mut symbols = Zeroizing::new([0; GROUPS * (GROUP - 1)]);
        for (group, characters) in typed.chunks(GROUP).take(GROUPS).enumerate() {
            let number = group + 1;
            let mut values = [0; GROUP];
            for (value, character) in values.iter_mut().zip(characters) {
                let place = ALPHABET.iter().position(|symbol| char::from(*symbol) == *character);
                *value = place.ok_or(InvalidRecoveryKey::Character { number, character: *character })? as u8;
            }
            let [data @ .., found] = values;
            if characters.len() < GROUP {
                return Err(InvalidRecoveryKey::Length { found: typed.len() });
            }
            if check(data, group) != found {
                return Err(InvalidRecoveryKey::Group { number });
            }
            symbols[group * (GROUP - 1)..][..GROUP - 1].copy_from_slice(&data);
        }
        if typed.len() != Self::LENGTH {
            return Err(InvalidRecoveryKey::Length { found: typed.len() });
        }
        // Two spellings of one key would be a check that can fail silently: the 4 spare bits are zero.
        if symbols[GROUPS * (GROUP - 1) - 1] & 0b1111 != 0 {
            return Err(InvalidRecoveryKey::Group { number: GROUPS });
        }
        let bit = |at: usize| symbols[at / 5] >> (4 - at % 5) & 1;
        Ok(Self(std::array::from_fn(|byte| (0..8).fold(0, |value, at| value << 1 | bit(byte * 8 + at)))))
    }
}

/// What was typed, without what separates it and without the word in front.
fn bare(text: &str) -> Zeroizing<Vec<char>> {
    let separator = |character: char| character.is_whitespace() || matches!(character, '-' | '–' | '—' | '.' | ',' | '_' | '·');
    let mut typed: Zeroizing<Vec<char>> = Zeroizing::new(text.chars().filter(|character| !separator(*character)).map(read).collect());
    let word = WORD_READ.iter().map(|byte| char::from(*byte));
    if typed.len() != RecoveryKey::LENGTH && typed.iter().copied().take(WORD_READ.len()).eq(word) {
        typed.drain(..WORD_READ.len());
    }
    typed
}

/// A typed character as the alphabet has it: upper case, and what looks alike is alike.
fn read(character: char) -> char {
    match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        upper => upper,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> RecoveryKey {
        RecoveryKey::from_bytes(std::array::from_fn(|at| (at * 37 + 11) as u8))
    }

    /// Made by another implementation. Changing it would orphan every printed key.
    #[test]
    fn printed_form() {
        assert_eq!(key().to_string(), "OFFSITE-1CR5K-AYMZN-RKMGD-WCTRW-FPHCA-FV0H5-6SDRZ-19EAA-XWA37-JQM3T-N36ZT-45SWJ-C630M");
        assert_eq!(
            RecoveryKey::from_bytes([0; 32]).to_string(),
            "OFFSITE-00000-00001-00002-00003-00004-00005-00006-00007-00008-00009-0000A-0000B-0000C"
        );
        assert_eq!(format!("{:?}", key()), "RecoveryKey(hidden)");
    }

    #[test]
    fn forgives_how_it_is_typed() {
        let text = key().to_string();
        let bare = text.strip_prefix("OFFSITE-").unwrap();
        for typed in [
            text.clone(),
            text.to_lowercase(),
            bare.to_owned(),
            bare.replace('-', ""),
            bare.replace('-', "\n "),
            format!("  {} ", bare.replace('-', " – ")),
            text.replace('0', "o").replace('1', "l"),
            text.replace('1', "I"),
        ] {
            assert_eq!(typed.parse::<RecoveryKey>().as_ref(), Ok(&key()), "{typed}");
        }
    }

    /// However its lines end, all of it is there exactly at its last character.
    #[test]
    fn knows_when_all_of_it_is_typed() {
        let text = key().to_string();
        for whole in [text.clone(), text.replace("OFFSITE-", ""), text.replace('-', "\n"), text.to_lowercase().replace('-', " – ")] {
            let done = |at: usize| RecoveryKey::typed(&whole[..at]) >= RecoveryKey::LENGTH;
            let lines = whole.match_indices(['-', '\n', '–']).map(|(at, _)| at).filter(|at| *at > 0);
            assert!(lines.into_iter().all(|at| !done(at)) && done(whole.len()), "{whole}");
        }
    }

    #[test]
    fn tells_which_group_is_wrong() {
        let text = key().to_string();
        let groups: Vec<String> = text.split('-').skip(1).map(str::to_owned).collect();
        for group in 0..GROUPS {
            for at in 0..GROUP {
                for symbol in ALPHABET {
                    let mut edited = groups.clone();
                    let mut bytes = edited[group].clone().into_bytes();
                    if bytes[at] == *symbol {
                        continue;
                    }
                    bytes[at] = *symbol;
                    edited[group] = String::from_utf8(bytes).unwrap();
                    assert_eq!(edited.join("-").parse::<RecoveryKey>(), Err(InvalidRecoveryKey::Group { number: group + 1 }));
                }
            }
            for (one, two) in (0..GROUP).flat_map(|one| (one + 1..GROUP).map(move |two| (one, two))) {
                let mut edited = groups.clone();
                let mut bytes = edited[group].clone().into_bytes();
                if bytes[one] == bytes[two] {
                    continue;
                }
                bytes.swap(one, two);
                edited[group] = String::from_utf8(bytes).unwrap();
                assert_eq!(
                    edited.join("-").parse::<RecoveryKey>(),
                    Err(InvalidRecoveryKey::Group { number: group + 1 }),
                    "{one} and {two}"
                );
            }
        }
        for (one, two) in [(0, 1), (3, 12), (7, 8)] {
            let mut edited = groups.clone();
            edited.swap(one, two);
            assert_eq!(edited.join("-").parse::<RecoveryKey>(), Err(InvalidRecoveryKey::Group { number: one + 1 }));
        }
        let mut odd = groups.clone();
        odd[4].replace_range(1..2, "U");
        assert_eq!(odd.concat().parse::<RecoveryKey>(), Err(InvalidRecoveryKey::Character { number: 5, character: 'U' }));
        assert_eq!(groups[..12].concat().parse::<RecoveryKey>(), Err(InvalidRecoveryKey::Length { found: 60 }));
        assert_eq!((groups.concat() + "A").parse::<RecoveryKey>(), Err(InvalidRecoveryKey::Length { found: 66 }));
        assert_eq!("".parse::<RecoveryKey>(), Err(InvalidRecoveryKey::Length { found: 0 }));
        assert_eq!("offsite".parse::<RecoveryKey>(), Err(InvalidRecoveryKey::Length { found: 0 }));
    }

    #[test]
    fn spare_bits_are_zero() {
        let mut data = [0, 0, 0, 1];
        let last: String = data.iter().chain([&check(data, 12)]).map(|value| char::from(ALPHABET[usize::from(*value)])).collect();
        let zeros = RecoveryKey::from_bytes([0; 32]).to_string();
        assert_eq!(zeros.replace("0000C", &last).parse::<RecoveryKey>(), Err(InvalidRecoveryKey::Group { number: 13 }));
        data[3] = 0b1_0000;
        let last: String = data.iter().chain([&check(data, 12)]).map(|value| char::from(ALPHABET[usize::from(*value)])).collect();
        assert_eq!(zeros.replace("0000C", &last).parse::<RecoveryKey>().unwrap().expose()[31], 1);
    }

    proptest! {
        #[test]
        fn text_and_back(bytes: [u8; 32]) {
            let key = RecoveryKey::from_bytes(bytes);
            prop_assert_eq!(key.to_string().parse::<RecoveryKey>(), Ok(key));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<RecoveryKey>();
        }
    }
}
