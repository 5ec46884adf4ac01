//! Places that hold archives: the Pi's folder, the Mac's, the cloud's, all over one interface, [`object_store::ObjectStore`].
//!
//! A [`Repository`] keeps frames in packs and describes archives by manifests. Pull, push, heal and restore from the cloud are one
//! operation: copy an archive from one repository to another and move only the frames that the other lacks. Whatever is written is
//! written once and in order (pack, index, manifest; the way out is the reverse), so a crash at any point leaves every committed
//! archive whole. `docs/format.md` specifies the bytes.

mod content;
mod copy;
mod disown;
mod error;
mod export;
mod fetch;
mod foreign;
mod forget;
mod index;
mod keep;
mod lack;
mod landing;
mod layout;
mod local;
mod pack;
mod progress;
mod prune;
mod publish;
mod recover;
mod repository;
mod rescue;
mod salvage;
#[cfg(feature = "seal")]
pub mod seal;
mod stream;
mod table;
mod verify;

pub use copy::{Copied, CopyError, CopyOptions, copy};
pub use disown::{describe, disown};
pub use error::{FetchError, RepositoryError, Unreadable, is_disk_full};
pub use export::{Exported, export};
pub use fetch::{Fetched, Read, fetch, plan_reads};
pub use forget::{forget, plain_copies};
pub use index::{Index, Location, PackFacts};
pub use keep::{Candidate, KeepPlan, Reason, Standing, plan_keep};
pub use lack::{holds, lacking, mend_index, set_damaged_aside};
pub use landing::{Recovered, recover_arrivals};
pub use layout::{Layout, ObjectId, PackName, archive_path, damaged_path, index_path, manifest_path, plain_path, sealed_manifest_path};
pub use local::{LocalError, LocalStore, Staged};
pub use pack::{PackWriter, WrittenPack, read_table};
pub use progress::Progress;
pub use prune::{Orphan, PruneError, PrunePlan, Pruned, Relied, Removal, Rewrite, apply_prune, plan_prune, plan_prune_keeping};
pub use publish::{PublishError, publish};
pub use repository::{ArchiveInfo, Archives, Listed, ManifestObject, Remembered, Repository, Tables};
pub use rescue::rescue;
pub use stream::{Slice, StreamError, not_held, read_ranges, read_what_is_left};
pub use table::{MAX_FRAME_LEN, PACK_MAGIC, Table, TableEntry, TableError};
pub use verify::{Damage, PlainState, Scope, Verified, verify, verify_plain};
