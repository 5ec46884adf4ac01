//! Frames that lie in place: neither fetched nor written again, and the archive is the same.

use std::{collections::HashMap, fs, io, path::Path};

use offsite_archive::{
    CacheError, Capture, CaptureOptions, Captured, End, Entry, FrameId, FrameRef, Line, Manifest, Output, Part, Stock, decode,
};

use super::laws::{Spec, build, spec};
use super::nights::{cold_into, hot, later, stock};
use super::support::{bytes, capture, facts, head, noise, scratch, touch};
use proptest::prelude::*;

/// Frames once, as packs keep them; and what was new in one archive.
#[derive(Debug, Default, Clone)]
struct Packs {
    kept: HashMap<FrameId, (u32, Vec<u8>)>,
    order: Vec<FrameId>,
    new: usize,
}

impl Output for Packs {
    fn keeps_once(&self) -> bool {
        true
    }

    fn in_place(&mut self, frame: &FrameRef) -> io::Result<()> {
        assert!(self.kept.get(&frame.id).is_some_and(|(raw, bytes)| (*raw, bytes.len()) == (frame.raw, frame.len as usize)));
        self.order.push(frame.id);
        Ok(())
    }

    fn frame(&mut self, frame: &FrameRef, bytes: &[u8]) -> io::Result<()> {
        assert_eq!(bytes.len(), frame.len as usize);
        self.order.push(frame.id);
        assert!(self.kept.insert(frame.id, (frame.raw, bytes.to_vec())).is_none(), "given twice");
        self.new += 1;
        Ok(())
    }

    fn end(&mut self, frames: &[(u32, u32)], _manifest: &[u8]) -> io::Result<()> {
        assert_eq!(frames.len(), self.order.len());
        Ok(())
    }
}

impl Packs {
    /// What the next night begins with.
    fn stock(&self) -> Stock {
        let mut stock = stock();
        stock.add_in_place(self.kept.iter().map(|(id, (raw, bytes))| FrameRef { id: *id, raw: *raw, len: bytes.len() as u32 }));
        stock
    }

    /// The same packs, for another archive.
    fn next(&self) -> Self {
        Self { kept: self.kept.clone(), ..Self::default() }
    }

    /// The stream of the archive that was written last.
    fn raw(&self) -> Vec<u8> {
        self.order.iter().flat_map(|id| decode(&self.kept[id].1, id, self.kept[id].0).unwrap()).collect()
    }
}

/// A stock of the packs of `night`, which knows what its cache says.
fn after(night: &Captured<Packs>) -> Stock {
    let mut stock = night.out.stock();
    stock.recall(&Manifest::read(&night.manifest).unwrap(), &bytes(&night.cache)).unwrap();
    stock
}

fn in_two(stock: Stock, source: &Path, out: Packs) -> Captured<Packs> {
    let (stock, wrong) = hot(stock, source, false);
    assert_eq!(wrong, Vec::<String>::new());
    cold_into(stock, source, out).unwrap()
}

fn in_one(stock: Stock, source: &Path, out: Packs) -> Captured<Packs> {
    let mut pass = Capture::new(out, head(&[source]), &CaptureOptions::default(), stock, Some(&later)).unwrap();
    pass.part(&Part::whole(source), &mut |_| ()).unwrap();
    pass.finish(facts()).unwrap()
}

/// What a manifest says; entries and frames may be mixed in any way.
fn said(manifest: &[u8]) -> (Vec<Entry>, Vec<FrameRef>, End) {
    let entry = |line| if let Line::Entry(entry) = line { Some(entry) } else { None };
    let entries = Manifest::entries(manifest).unwrap().filter_map(|line| entry(line.unwrap())).collect();
    let manifest = Manifest::read(manifest).unwrap();
    (entries, manifest.frames, manifest.end)
}

type Night = fn(Stock, &Path, Packs) -> Captured<Packs>;
const WAYS: [Night; 2] = [in_two, in_one];

fn tree(source: &Path) {
    for (name, seed, len) in [("a.jpg", 1, 3 << 20), ("b.jpg", 2, 2 << 20), ("twice.jpg", 2, 2 << 20)] {
        fs::write(source.join(name), noise(seed, len)).unwrap();
    }
    for number in 0..300 {
        fs::write(source.join(format!("{number:03}")), noise(100 + number, 3000)).unwrap();
    }
}

#[test]
fn an_unchanged_tree_gives_nothing_new_by_either_way() {
    let (_source, source) = scratch();
    tree(&source);
    let plain = capture(&[&source]);
    for night in WAYS {
        let first = night(stock(), &source, Packs::default());
        assert_eq!(said(&first.manifest), said(&plain.manifest));
        assert!(first.out.raw() == super::support::raw(&plain));
        assert!(first.out.new < first.out.order.len(), "what is there twice is kept once");
        let second = night(after(&first), &source, first.out.next());
        assert!(said(&second.manifest) == said(&plain.manifest));
        assert_eq!((second.out.new, second.fresh), (0, 0));
        if super::nights::times_count(&source) {
            assert_eq!(second.read, 0);
        }
        // Without the cache all is read, and found to be there.
        let third = night(second.out.stock(), &source, second.out.next());
        assert!(said(&third.manifest) == said(&plain.manifest) && third.out.new == 0 && third.fresh == 0);
        // And the cache of a night that read nothing is as good.
        let fourth = night(after(&second), &source, second.out.next());
        assert!(fourth.manifest == second.manifest && bytes(&fourth.cache) == bytes(&second.cache));
    }
}

#[test]
fn what_lies_nowhere_any_more_is_read_and_made_anew_and_nothing_else_is() {
    let (_source, source) = scratch();
    tree(&source);
    for night in WAYS {
        let first = night(stock(), &source, Packs::default());
        let manifest = Manifest::read(&first.manifest).unwrap();
        let all = manifest.frames.len();
        for number in [0, all / 2, all - 1] {
            let mut torn = first.out.next();
            let lost = manifest.frames[number];
            torn.kept.remove(&lost.id);
            let mut stock = torn.stock();
            assert!(!stock.holds(&lost.id));
            stock.recall(&manifest, &bytes(&first.cache)).unwrap();
            let healed = night(stock, &source, torn);
            assert!(said(&healed.manifest) == said(&first.manifest) && healed.out.kept == first.out.kept);
            assert_eq!(healed.out.new, 1);
            assert!(healed.read < 5 << 20, "{}", healed.read);
        }
        // One that is there with another raw length is not that frame.
        let mut liar = super::nights::stock();
        liar.add_in_place(manifest.frames.iter().map(|frame| FrameRef { raw: frame.raw + 1, ..*frame }));
        liar.recall(&manifest, &bytes(&first.cache)).unwrap();
        assert_eq!(liar.pieces(), 0);
    }
}

#[test]
fn a_cache_that_is_damaged_or_anothers_recalls_nothing() {
    let (_source, source) = scratch();
    tree(&source);
    let first = in_two(stock(), &source, Packs::default());
    let manifest = Manifest::read(&first.manifest).unwrap();
    let recalled = |cache: &[u8]| {
        let mut stock = first.out.stock();
        (stock.recall(&manifest, cache), stock.pieces())
    };
    assert!(recalled(&bytes(&first.cache)).1 > 0 || !super::nights::times_count(&source));
    let mut bad = bytes(&first.cache);
    bad[60] ^= 1;
    assert_eq!(recalled(&bad), (Err(CacheError::Damaged), 0));
    touch(&source.join("000"), 1_800_000_000, 0);
    let other = in_two(stock(), &source, Packs::default());
    assert_eq!(recalled(&bytes(&other.cache)), (Err(CacheError::Foreign), 0));
}

#[test]
fn a_plain_archive_refuses_what_lies_elsewhere() {
    let (_source, source) = scratch();
    tree(&source);
    let first = in_two(stock(), &source, Packs::default());
    let made = cold_into(after(&first), &source, Vec::new());
    assert!(made.unwrap_err().to_string().contains("a plain archive holds all of its frames"));
}

#[test]
fn the_sums_of_what_was_not_looked_at_are_not_believed() {
    let (_source, source) = scratch();
    tree(&source);
    let first = in_two(stock(), &source, Packs::default());
    let second = in_two(after(&first), &source, first.out.next());
    // The same frames in a plain file, and a cache that was written for packs: each is decoded instead.
    let plain = capture(&[&source]);
    let file = tempfile::tempfile().unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &plain.out, 0).unwrap();
    let mut stock = stock();
    stock.add(file, &Manifest::read(&plain.manifest).unwrap(), Some(&bytes(&second.cache))).unwrap();
    assert!(cold_into(stock, &source, Vec::new()).unwrap().out == plain.out);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn random_nights_are_the_same_in_packs_and_plain(specs in prop::collection::vec(spec(), 1..4), by in 0..2usize) {
        let (_source, source) = scratch();
        let mut last: Option<Captured<Packs>> = None;
        for (number, spec) in specs.iter().enumerate() {
            let spec: &Spec = spec;
            let folder = source.join(format!("{number}"));
            fs::create_dir(&folder).unwrap();
            build(&folder, spec);
            let (stock, out) = last.as_ref().map_or_else(|| (stock(), Packs::default()), |last| (after(last), last.out.next()));
            let made = WAYS[by](stock, &source, out);
            let plain = capture(&[&source]);
            prop_assert!(said(&made.manifest) == said(&plain.manifest));
            prop_assert!(made.out.raw() == super::support::raw(&plain));
            last = Some(made);
        }
    }
}
