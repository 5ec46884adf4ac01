//! Jobs by name, each once: a plain map would silently take the last of two.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};

/// For `deserialize_with`.
pub(super) fn once_each<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<BTreeMap<String, T>, D::Error> {
    struct Jobs<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Jobs<T> {
        type Value = BTreeMap<String, T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("jobs by name")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut jobs = BTreeMap::new();
            while let Some(name) = map.next_key::<String>()? {
                if jobs.contains_key(&name) {
                    // As serde says it of a field, so that it gets its line.
                    return Err(A::Error::custom(format!("duplicate field `{name}`")));
                }
                jobs.insert(name, map.next_value()?);
            }
            Ok(jobs)
        }
        // `jobs:` with nothing behind it: all that was below is commented out.
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }
    }
    deserializer.deserialize_any(Jobs(PhantomData))
}
