//! Whether a plain copy is still what `tar` should open: each frame decoded, hashed and held against the manifest, and the tail compared.
//!
//! A copy is never a source, so damage in it is no loss: whoever finds it makes the copy again.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
};

use offsite_archive::{ArchiveName, Decoder, read_tail, write_tail};
use tokio::task;

use crate::{LocalStore, ManifestObject, Repository, RepositoryError, pack::store, plain_path};

/// What a plain copy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlainState {
    /// Good from its first byte to its last.
    Good,
    /// Not there.
    Gone,
    /// Not what it should be, and how that shows.
    Damaged(String),
}

/// Reads the plain copy of `name` in `local`, on a thread of its own. `repository` says what should be in it.
///
/// # Errors
/// [`RepositoryError`], if the manifest cannot be had. A file that cannot be read is damaged.
pub async fn verify_plain(repository: &Repository, local: &LocalStore, name: &ArchiveName) -> Result<PlainState, RepositoryError> {
    let object = repository.manifest(name).await?;
    let path = plain_path(name);
    let failed = |source| store("read", &path, object_store::Error::Generic { store: "plain copies", source });
    let file = local.file(&path).map_err(|error| failed(Box::new(error)))?;
    let checked = task::spawn_blocking(move || match File::open(file) {
        Ok(file) => check(file, &object).map_or_else(PlainState::Damaged, |()| PlainState::Good),
        Err(error) if error.kind() == io::ErrorKind::NotFound => PlainState::Gone,
        Err(error) => PlainState::Damaged(error.to_string()),
    });
    checked.await.map_err(|error| failed(Box::new(error)))
}

/// What is wrong with the file.
fn check(mut file: File, ManifestObject { manifest, bytes }: &ManifestObject) -> Result<(), String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let lens = read_tail(&mut file).map_err(|error| text(&error))?.frames;
    if !lens.iter().map(|(_, raw)| *raw).eq(manifest.frames.iter().map(|frame| frame.raw)) {
        return Err("its seek table is not of this archive".to_owned());
    }
    file.seek(SeekFrom::Start(0)).map_err(|error| text(&error))?;
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut decoder = Decoder::new().map_err(|error| text(&error))?;
    let mut encoded = Vec::new();
    for (frame, (len, raw)) in manifest.frames.iter().zip(&lens) {
        // The table was held against the file's length: no frame is longer than the file.
        encoded.resize(*len as usize, 0);
        file.read_exact(&mut encoded).map_err(|error| text(&error))?;
        decoder.decode(&encoded, &frame.id, *raw).map_err(|error| format!("frame {}: {error}", frame.id))?;
    }
    let mut rest = Against(file);
    let behind = write_tail(&mut rest, lens.into_iter(), bytes).and_then(|_| rest.0.take(1).read_to_end(&mut Vec::new()));
    match behind {
        Ok(0) => Ok(()),
        Err(error) if !matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => Err(text(&error)),
        _ => Err("what stands behind its frames is not what belongs there".to_owned()),
    }
}

/// Takes what should stand in a file and holds it against what does, so that neither is in memory: the tail has the whole manifest.
struct Against<R>(R);

impl<R: Read> Write for Against<R> {
    fn write(&mut self, expected: &[u8]) -> io::Result<usize> {
        let mut found = [0; 4096];
        let (expected, _) = expected.split_at(expected.len().min(found.len()));
        let found = &mut found[..expected.len()];
        self.0.read_exact(found)?;
        if found == expected { Ok(found.len()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
