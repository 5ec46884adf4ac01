//! Index objects and packs: what a table says is believed only if it is the one way to write it, and if the pack has room for it.

use std::sync::Arc;

use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
use offsite_archive::FrameId;
use offsite_repository::{Table, read_table};

use crate::{cases, repository};

const DIGEST: usize = 32;

/// A table that was hurt, usually under a digest that is right again.
fn hurt(dice: &mut crate::Dice, table: &[u8]) -> Vec<u8> {
    let mut body = table[..table.len() - DIGEST].to_vec();
    dice.hurt(&mut body, table);
    if dice.one_in(8) {
        body.extend_from_slice(&table[table.len() - DIGEST..]);
    } else {
        let digest = FrameId::of(&body);
        body.extend_from_slice(digest.as_bytes());
    }
    body
}

fn assert_lawful(table: &Table) {
    let mut at = 0;
    for entry in table.entries() {
        assert_eq!(entry.offset, at, "a gap or an overlap");
        assert!(entry.len > 0 && entry.raw > 0);
        at += u64::from(entry.len);
    }
    assert_eq!(table.end(), at);
}

#[test]
fn table() {
    let (_, index) = repository::pack();
    let mut accepted = 0_u32;
    cases("table", 400, |dice| {
        let bytes = hurt(dice, &index);
        if let Ok(table) = Table::decode(&bytes) {
            accepted += 1;
            assert!(table.encode() == bytes, "two ways to write one table");
            assert_lawful(&table);
        }
    });
    assert!(std::env::var_os("FUZZ_CASE").is_some() || accepted > 0, "nothing was accepted");
}

#[test]
fn pack() {
    let (pack, index) = repository::pack();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let frames = pack.len() - index.len() - 12;
    cases("pack", 200, |dice| {
        let mut bytes = pack[..frames].to_vec();
        let mut end = hurt(dice, &index);
        end.extend_from_slice(&(if dice.one_in(3) { dice.edge() as u32 } else { end.len() as u32 }).to_le_bytes());
        end.extend_from_slice(b"offsiteP");
        if dice.one_in(3) {
            dice.hurt(&mut end, &pack);
        }
        bytes.extend(end);
        let read = runtime.block_on(async {
            let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            let path = Path::from("packs/x");
            store.put(&path, bytes.clone().into()).await.unwrap();
            read_table(&*store, &path, bytes.len() as u64).await
        });
        if let Ok((table, own)) = read {
            assert_lawful(&table);
            assert_eq!(table.end() + own.len() as u64 + 12, bytes.len() as u64);
        }
    });
}
