//! What a terminal shows, told from what drives it.
//!
//! Invariant: what comes in pieces is judged as if it came at once. A character that is not whole at the end of a piece is held back until
//! the next one tells what it is: its first byte alone says nothing, and without it the second may be a control character.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoText;

#[derive(Debug, Default)]
pub(crate) struct Text {
    /// The beginning of a character, at most three bytes.
    held: Vec<u8>,
}

impl Text {
    /// What may be written now that `bytes` came.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Result<Vec<u8>, NoText> {
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let mut fine = 0;
        for chunk in all.utf8_chunks() {
            if chunk.valid().chars().any(drives) {
                return Err(NoText);
            }
            fine += chunk.valid().len();
            if fine + chunk.invalid().len() < all.len() {
                stray(chunk.invalid())?;
                fine += chunk.invalid().len();
            }
        }
        self.held = all.split_off(fine);
        Ok(all)
    }

    /// What may be written now that nothing more comes.
    pub(crate) fn end(&mut self) -> Result<Vec<u8>, NoText> {
        stray(&self.held)?;
        Ok(std::mem::take(&mut self.held))
    }
}

/// Whether a terminal does something else with it than to show it or to begin a line.
fn drives(letter: char) -> bool {
    letter.is_control() && !matches!(letter, '\t'..='\r')
}

/// Bytes that are no UTF-8 are letters of another encoding, but for the second set of control characters, which stand alone there.
fn stray(bytes: &[u8]) -> Result<(), NoText> {
    if bytes.iter().any(|byte| matches!(byte, 0x80..=0x9f)) { Err(NoText) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out when `bytes` come in two pieces, the first of `first` bytes.
    fn shown(bytes: &[u8], first: usize) -> Result<Vec<u8>, NoText> {
        let mut text = Text::default();
        let (a, b) = bytes.split_at(first);
        Ok([text.next(a)?, text.next(b)?, text.end()?].concat())
    }

    #[test]
    fn what_drives_a_terminal_is_no_text_however_it_comes() {
        let fine: [&[u8]; 5] = ["Größe\t1\r\n\u{1F600} \u{26db}".as_bytes(), b"", b"Gr\xf6\xdfe", b"\xe2", b"\xe2A\xff"];
        for bytes in fine {
            for first in 0..=bytes.len() {
                assert_eq!(shown(bytes, first).as_deref(), Ok(bytes), "{first}");
            }
        }
        let bad: [&[u8]; 10] = [
            b"\x1b[2J",
            b"a\0b",
            b"\x7f",
            b"A\xc2\x9b31mRED",
            b"A\x9b31mRED",
            b"A\x9b",
            // No character that is whole: its second byte stands alone.
            b"\xe2\x9b31mRED",
            b"\xe2\x9b",
            // Longer than it need be, which is no UTF-8.
            b"\xc0\x9b31mRED",
            b"\xe0\x82\x9b31mRED",
        ];
        for bytes in bad {
            for first in 0..=bytes.len() {
                assert_eq!(shown(bytes, first), Err(NoText), "{bytes:?} {first}");
            }
        }
    }

    #[test]
    fn nothing_of_a_control_sequence_goes_out_before_it_is_known() {
        let mut text = Text::default();
        assert_eq!(text.next(b"A\xe2\x9b").as_deref(), Ok(&b"A"[..]));
        assert_eq!(text.next(b"31mRED"), Err(NoText));
    }
}
