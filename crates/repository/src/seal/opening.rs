//! Opens a sealed object while it arrives: each chunk is authenticated before any of it is handed on, and memory holds one piece at a time.
//!
//! The object's length is known from its authentic prologue, so a stream that ends early or goes on too long is an error, never a short answer.

use std::{ops::Range, sync::Arc};

use bytes::{Buf, Bytes, BytesMut};
use futures::{StreamExt, stream, stream::BoxStream};
use object_store::Result;

use super::object::Opened;

struct Opening {
    opened: Arc<Opened>,
    /// What the store sends, from `chunks.start` on.
    sealed: BoxStream<'static, Result<Bytes>>,
    buffer: BytesMut,
    /// Sealed offset up to which bytes have arrived.
    seen: u64,
    chunks: Range<u64>,
    wanted: Range<u64>,
}

/// The `wanted` bytes of the payload out of the sealed `chunks` that hold them: first those in `buffer`, then those of `sealed`.
pub(super) fn open_stream(
    opened: Arc<Opened>,
    chunks: Range<u64>,
    wanted: Range<u64>,
    buffer: BytesMut,
    sealed: BoxStream<'static, Result<Bytes>>,
) -> BoxStream<'static, Result<Bytes>> {
    let seen = opened.sealed_range(&chunks).start + buffer.len() as u64;
    let state = Opening { opened, sealed, buffer, seen, chunks, wanted };
    stream::try_unfold(state, |mut state| async move { Ok(state.next().await?.map(|bytes| (bytes, state))) }).boxed()
}

impl Opening {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.chunks.is_empty() {
                return if self.arrived().await? { Err(self.opened.long(self.seen).into()) } else { Ok(None) };
            }
            let need = self.opened.chunk(self.chunks.start);
            if self.buffer.len() < need {
                if !self.more().await? {
                    return Err(self.opened.short(self.seen).into());
                }
                continue;
            }
            let mut chunk = self.buffer.split_to(need);
            let inside = self.opened.open_chunk(self.chunks.start, &mut chunk, &self.wanted)?;
            self.chunks.start += 1;
            if !inside.is_empty() {
                chunk.truncate(inside.end);
                chunk.advance(inside.start);
                return Ok(Some(chunk.freeze()));
            }
        }
    }

    /// Whether there is any byte that was not yet taken.
    async fn arrived(&mut self) -> Result<bool> {
        while self.buffer.is_empty() {
            if !self.more().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes the next piece; false at the end.
    async fn more(&mut self) -> Result<bool> {
        let Some(piece) = self.sealed.next().await.transpose()? else { return Ok(false) };
        self.seen += piece.len() as u64;
        self.buffer.extend_from_slice(&piece);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use object_store::path::Path;

    use super::*;
    use crate::seal::{
        MasterKey, SealError, SealKeys, VaultId,
        object::{SealedName, seal},
    };

    /// A store that claims the right size and then sends another number of bytes.
    #[test]
    fn a_stream_of_another_length_is_an_error() {
        let keys = SealKeys::new(&MasterKey::from_bytes([1; 64]), VaultId::from_bytes([2; 16]));
        let name = SealedName::at(&Path::from(format!("packs/{}", "03".repeat(16)))).unwrap();
        let content = vec![7; 50_000];
        let object = seal(&keys, &name, [content.as_slice()]).unwrap();
        let size = object.len() as u64;
        let read = |sent: &[u8]| {
            let opened = Arc::new(Opened::new(&keys, name, &object, size).unwrap());
            let (chunks, wanted) = (opened.all_chunks(), 0..opened.payload());
            let pieces: Vec<_> = sent[96..].chunks(5000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            let stream = open_stream(opened, chunks, wanted, BytesMut::new(), stream::iter(pieces).boxed());
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(stream.try_collect::<Vec<_>>()).map(|pieces| pieces.concat())
        };
        assert!(read(&object).unwrap() == content);
        for length in [96, 97, 16_496, 16_497, object.len() - 1] {
            let error = read(&object[..length]).unwrap_err();
            assert!(
                matches!(SealError::of(&error), Some(SealError::Truncated { found, .. }) if *found == length as u64),
                "{length}: {error}"
            );
        }
        let error = read(&[object.as_slice(), &[0; 3]].concat()).unwrap_err();
        assert!(matches!(SealError::of(&error), Some(SealError::Extended { found, .. }) if *found == size + 3), "{error}");
    }
}
