//! An event as one line. Pure.
//!
//! What comes from elsewhere, as a file's name, may hold anything: a line is one line, and no control character reaches a terminal.

use std::fmt::Debug;

use jiff::Zoned;
use serde_json::{Map, Value};
use tracing::{
    Level,
    field::{Field, Visit},
};

#[derive(Debug, Default)]
pub(super) struct Record {
    event: String,
    fields: Map<String, Value>,
}

impl Record {
    /// Adds a text. A receipt is told by its own fields, and its kind is the event.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        match name {
            "message" => self.event = text.to_owned(),
            "receipt" => match serde_json::from_str(text) {
                Ok(Value::Object(mut fact)) => {
                    if let Some(Value::String(kind)) = fact.remove("kind") {
                        self.event = kind;
                    }
                    self.fields.append(&mut fact);
                }
                _ => self.add(name, text.into()),
            },
            name => self.add(name, text.into()),
        }
    }

    fn add(&mut self, name: &str, value: Value) {
        self.fields.insert(name.to_owned(), value);
    }

    /// For people: time, level, words, then `key=value`.
    pub(super) fn human(&self, time: &Zoned, level: Level) -> String {
        let mut line = format!("{} {level:>5}  {}", time.strftime("%Y-%m-%d %H:%M:%S%.3f %:z"), crate::human::plain(&self.event));
        for (name, value) in &self.fields {
            line.push_str(&format!(" {name}={}", shown(value)));
        }
        line.push('\n');
        line
    }

    /// For programs: one JSON object. What an event calls as we call time, level or event does not hide those.
    pub(super) fn json(&self, time: &Zoned, level: Level) -> String {
        let mut object = self.fields.clone();
        object.insert("time".to_owned(), time.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string().into());
        object.insert("level".to_owned(), level.as_str().to_lowercase().into());
        object.insert("event".to_owned(), self.event.clone().into());
        format!("{}\n", Value::Object(object))
    }
}

/// A value after `=`: bare where it is one word, quoted as in JSON otherwise.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() && text.chars().all(|char| char.is_alphanumeric() || "-_./:@+%~,".contains(char)) => {
            text.clone()
        }
        // serde escapes what lies below a space; what lies above and drives terminals too is left.
        other => other
            .to_string()
            .chars()
            .map(|char| if char.is_control() { format!("\\u{:04x}", char as u32) } else { char.to_string() })
            .collect(),
    }
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field.name(), &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        self.text(field.name(), &text);
    }
}
