//! Where the Mac's repository goes.
//!
//! Asked before anything is made there, so that a person may still change their mind; what is refused says [`crate::fit`].

use std::path::Path;

use super::ask::{Ask, Question};
use crate::{
    config::Home,
    fit::{PROPOSAL, Unfit, existing, judge},
    human::size,
    platform,
};

const FLAG: &str = "--repository";

/// Asks where, for archives of `expected` bytes at first. Gives what stands in the configuration.
pub(super) fn choose(ask: &mut dyn Ask, home: &Home, chosen: Option<&Path>, expected: Option<u64>) -> anyhow::Result<String> {
    let mut chosen = chosen.map(|folder| folder.to_string_lossy().into_owned());
    if ask.person() && chosen.is_none() {
        ask.say("\nAll archives go into one folder of this Mac; what they have in common lies there once.");
    }
    loop {
        let text = match chosen.take() {
            Some(text) => text,
            None => ask.line(&Question { text: "Folder for this Mac's repository", proposal: Some(PROPOSAL), flag: FLAG })?,
        };
        let judged = match home.expand(&text) {
            None => Err(Unfit::Relative(text.clone())),
            Some(folder) => judge(&folder, home, platform::current()).map(|()| folder),
        };
        match judged {
            Ok(folder) if !ask.person() || has_room(ask, &folder, expected)? => return Ok(text),
            Ok(_) => {}
            Err(problem) if ask.person() => ask.say(&format!("{problem}.")),
            Err(problem) => return Err(problem.into()),
        }
    }
}

fn has_room(ask: &mut dyn Ask, folder: &Path, expected: Option<u64>) -> anyhow::Result<bool> {
    // A disk that does not tell is no reason to stop; a pull looks again before it begins.
    let (Ok(free), Some(expected)) = (platform::free(existing(folder)), expected) else { return Ok(true) };
    if free > expected {
        ask.say(&format!("{} are free there; the Pi's newest archives take {}.", size(free), size(expected)));
        return Ok(true);
    }
    ask.say(&format!("Only {} are free there, and the Pi's newest archives alone take {}.", size(free), size(expected)));
    Ok(ask.yes("Use it all the same", false, FLAG)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::{ask::Nobody, tests::Scripted};

    #[test]
    fn a_folder_without_room_needs_a_yes_and_a_relative_one_is_asked_again() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        let mut ask = Scripted::answers(&["backups", "~/b", "no", "~/c", "yes"]);
        assert_eq!(choose(&mut ask, &home, None, Some(u64::MAX)).unwrap(), "~/c");
        assert!(ask.said().contains("neither absolute") && ask.said().matches("Only ").count() == 2, "{}", ask.said());
        assert_eq!(choose(&mut Scripted::answers(&[""]), &home, None, Some(0)).unwrap(), PROPOSAL);
        assert_eq!(choose(&mut Nobody, &home, Some(Path::new("/b")), Some(u64::MAX)).unwrap(), "/b");
        assert!(choose(&mut Nobody, &home, Some(Path::new("b")), None).is_err());
    }
}
