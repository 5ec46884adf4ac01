//! How text may look where it goes: how wide it may be, and whether it may have colours.
//!
//! Only a person at a terminal wants either. What goes into a pipe is one line per fact, without colours, whatever the terminal behind it.

use std::{
    ffi::OsString,
    io::{IsTerminal, Stdout},
};

/// Below this nothing is laid out any more.
pub(crate) const LEAST: usize = 20;

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The option `--color`, for verbs that have colours.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct ColorArg {
    /// Use colours
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, hide_possible_values = false)]
    pub color: Color,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    pub paint: Paint,
    /// Columns, if they are limited: never less than [`LEAST`].
    pub width: Option<usize>,
    /// Lines that are seen at once, if that is known.
    pub height: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    pub on: bool,
}

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    pub fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    pub fn doubtful(self, text: &str) -> String {
        self.with("33", text)
    }

    pub fn strong(self, text: &str) -> String {
        self.with("1", text)
    }
}

impl Look {
    pub const PLAIN: Self = Self { paint: Paint { on: false }, width: None, height: None };

    /// What standard output is good for.
    pub fn of(out: &Stdout, color: Color) -> Self {
        let terminal = out.is_terminal();
        let size = if terminal { rustix::termios::tcgetwinsize(out).ok() } else { None };
        let size = size.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
        decide(terminal, size, color, &|name| std::env::var_os(name))
    }
}

/// A terminal's size is columns and lines; one that says 0 does not know.
fn decide(terminal: bool, size: Option<(usize, usize)>, color: Color, variable: &dyn Fn(&str) -> Option<OsString>) -> Look {
    let number = |name| variable(name)?.into_string().ok()?.parse::<usize>().ok().filter(|number| *number > 0);
    let known = |number: usize| (number > 0).then_some(number);
    let said = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    let on = match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => terminal && !said("NO_COLOR") && variable("TERM").is_none_or(|term| term != "dumb"),
    };
    let width = number("COLUMNS").or_else(|| known(size?.0)).map(|width| width.max(LEAST));
    let height = if terminal { number("LINES").or_else(|| known(size?.1)) } else { None };
    Look { paint: Paint { on }, width, height }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(
        terminal: bool,
        size: Option<(usize, usize)>,
        color: Color,
        variables: &[(&str, &str)],
    ) -> (bool, Option<usize>, Option<usize>) {
        let variable = |asked: &str| variables.iter().find(|(name, _)| *name == asked).map(|(_, value)| OsString::from(*value));
        let look = decide(terminal, size, color, &variable);
        (look.paint.on, look.width, look.height)
    }

    #[test]
    fn a_terminal_has_colours_and_a_size_and_a_pipe_has_neither() {
        let size = Some((80, 24));
        assert_eq!(look(true, size, Color::Auto, &[]), (true, Some(80), Some(24)));
        assert_eq!(look(false, None, Color::Auto, &[]), (false, None, None));
        assert_eq!(look(true, Some((0, 0)), Color::Auto, &[]), (true, None, None), "a terminal that does not know");
        assert_eq!(look(true, Some((7, 3)), Color::Auto, &[]), (true, Some(LEAST), Some(3)));
    }

    #[test]
    fn who_asks_gets_what_he_asks_for() {
        let on = |terminal, color, variables| look(terminal, None, color, variables).0;
        assert!(!on(true, Color::Auto, &[("NO_COLOR", "1")]));
        assert!(on(true, Color::Auto, &[("NO_COLOR", "")]));
        assert!(!on(true, Color::Auto, &[("TERM", "dumb")]));
        assert!(on(false, Color::Always, &[("NO_COLOR", "1")]));
        assert!(!on(true, Color::Never, &[]));
        assert_eq!(look(false, None, Color::Auto, &[("COLUMNS", "40")]).1, Some(40));
        assert_eq!(look(true, Some((80, 24)), Color::Auto, &[("COLUMNS", "x"), ("LINES", "5")]), (true, Some(80), Some(5)));
    }
}
