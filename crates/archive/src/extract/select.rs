//! Which members are wanted.

use super::place::Place;

/// Whether a member is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// It is.
    Yes,
    /// It is a folder above something that is.
    Above,
    /// It is not.
    No,
}

/// One selected path.
struct Path<'a> {
    given: &'a [u8],
    names: Vec<&'a [u8]>,
    matched: bool,
}

/// A selection; one that names nothing wants everything.
pub(super) struct Select<'a> {
    paths: Vec<Path<'a>>,
}

impl<'a> Select<'a> {
    pub(super) fn new(paths: &'a [Vec<u8>]) -> Self {
        let names = |path: &'a [u8]| path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect();
        Self { paths: paths.iter().map(|path| Path { given: path, names: names(path), matched: false }).collect() }
    }

    /// Whether the member at `place` is wanted.
    pub(super) fn wants(&mut self, place: &Place) -> Wanted {
        if self.paths.is_empty() {
            return Wanted::Yes;
        }
        let mut wanted = Wanted::No;
        for Path { names, matched, .. } in &mut self.paths {
            let same = names.iter().zip(place.names()).all(|(name, other)| *name == other.as_bytes());
            if same && place.names().len() >= names.len() {
                *matched = true;
                wanted = Wanted::Yes;
            } else if same && wanted == Wanted::No {
                wanted = Wanted::Above;
            }
        }
        wanted
    }

    /// The selected paths that nothing matched.
    pub(super) fn missing(&self) -> impl Iterator<Item = &'a [u8]> {
        self.paths.iter().filter(|path| !path.matched).map(|path| path.given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_slashes_only() {
        let paths = [b"/srv/a/".to_vec(), b"etc".to_vec(), b"gone".to_vec()];
        let mut select = Select::new(&paths);
        let mut wants = |path: &str| select.wants(&Place::of(path.as_bytes()).unwrap());
        assert_eq!(["srv", "srv/a", "srv/a/b", "srv/ab", "etc/x", "et", "."].map(&mut wants), {
            use Wanted::{Above, No, Yes};
            [Above, Yes, Yes, No, Yes, No, Above]
        });
        assert_eq!(select.missing().collect::<Vec<_>>(), [b"gone"]);
        assert_eq!(Select::new(&[]).wants(&Place::of(b"x").unwrap()), Wanted::Yes);
    }
}
