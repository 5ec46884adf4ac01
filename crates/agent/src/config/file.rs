//! The file as it is written: each value by itself; what they say together is for [`super::Config`].

use std::{
    collections::BTreeMap,
    fmt,
    num::NonZeroU32,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use serde::{Deserialize, Deserializer, de};

use super::{Day, JobName, Layout, Quiesce, Scope, Snapshot, TimeOfDay, Url, span::Span, yaml};

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) repository: Absolute,
    #[serde(default)]
    pub(super) layout: Layout,
    #[serde(default = "three")]
    pub(super) keep: Keep,
    pub(super) state: Option<Absolute>,
    pub(super) docker: Option<Docker>,
    #[serde(default = "two_minutes")]
    pub(super) docker_patience: Span,
    pub(super) group: Option<Group>,
    pub(super) jobs: Jobs,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileJob {
    pub(super) sources: Vec<Absolute>,
    #[serde(default)]
    pub(super) quiesce: Quiesce,
    #[serde(default)]
    pub(super) snapshot: Snapshot,
    pub(super) scope: Option<Scope>,
    pub(super) budget: Option<Span>,
    #[serde(default)]
    pub(super) health: Vec<Url>,
    pub(super) ca: Option<Absolute>,
    pub(super) health_wait: Option<Span>,
    pub(super) projects: Option<Absolute>,
    pub(super) at: Option<TimeOfDay>,
    #[serde(default)]
    pub(super) days: Vec<Day>,
    pub(super) keep: Option<Keep>,
}

fn two_minutes() -> Span {
    Span(Duration::from_secs(120))
}

fn three() -> Keep {
    Keep(NonZeroU32::MIN.saturating_add(2))
}

/// An absolute path without `.` or `..`, so that "inside" can be told from the text.
pub(super) struct Absolute(pub(super) PathBuf);

impl FromStr for Absolute {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = text.starts_with('/') && !text.contains('\0') && text.split('/').all(|part| part != "." && part != "..");
        // Collected from components: no doubled or trailing slash.
        plain
            .then(|| Self(Path::new(text).components().collect()))
            .ok_or_else(|| format!("\"{text}\" is not an absolute path without \".\" and \"..\""))
    }
}

impl<'de> Deserialize<'de> for Absolute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        yaml::text(deserializer)
    }
}

#[derive(Clone, Copy)]
pub(super) struct Keep(pub(super) NonZeroU32);

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Keep;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of archives")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Keep, E> {
                let number = u32::try_from(number).map_err(|_| E::custom(format!("{number} archives are too many")))?;
                NonZeroU32::new(number).map(Keep).ok_or_else(|| E::custom("0 would keep no archive; the least is 1"))
            }
        }
        deserializer.deserialize_u64(Visitor)
    }
}

pub(super) struct Docker(pub(super) PathBuf);

impl FromStr for Docker {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || (text.contains('/') && !text.starts_with('/')) {
            return Err(format!("\"{text}\" is neither a command's name nor an absolute path"));
        }
        Ok(Self(text.into()))
    }
}

impl<'de> Deserialize<'de> for Docker {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        yaml::text(deserializer)
    }
}

/// A group's name or number; YAML reads digits as a number, so both kinds are taken.
pub(super) struct Group(pub(super) String);

impl<'de> Deserialize<'de> for Group {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Group;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a group's name or number")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Group, E> {
                Ok(Group(number.to_string()))
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Group, E> {
                if name.is_empty() { Err(E::custom("a group's name is not empty")) } else { Ok(Group(name.to_owned())) }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Jobs by name; a name that stands twice is refused, where a plain map would silently take the last.
pub(super) struct Jobs(pub(super) BTreeMap<JobName, FileJob>);

impl<'de> Deserialize<'de> for Jobs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Jobs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("jobs by name")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Jobs, A::Error> {
                let mut jobs = BTreeMap::new();
                while let Some(name) = map.next_key::<JobName>()? {
                    if jobs.contains_key(&name) {
                        return Err(de::Error::custom(format!("job \"{name}\" stands twice")));
                    }
                    jobs.insert(name, map.next_value()?);
                }
                Ok(Jobs(jobs))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}
