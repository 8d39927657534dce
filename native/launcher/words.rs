//! Words of a command line, read as boot/cli/flags.ts does where they are plain. None: the command line is to read them.

use crate::generated::Flag;
use std::ffi::OsString;

/// Flags with their values, in their order, and what follows them.
pub struct Words {
    values: Vec<(&'static str, String)>,
    pub words: Vec<String>,
}

impl Words {
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str())
    }

    /// Of a flag that may come again.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.values.iter().filter(move |(found, _)| *found == name).map(|(_, value)| value.as_str())
    }

    /// Whether there are no flags but these.
    pub fn has_only(&self, names: &[&str]) -> bool {
        self.values.iter().all(|(name, _)| names.contains(name))
    }
}

/// All of `arguments`; what follows the first word that is no flag is not looked at where `stops`.
pub fn read(arguments: &[OsString], flags: &'static [Flag], stops: bool) -> Option<Words> {
    let texts: Vec<&str> = arguments.iter().map(|word| word.to_str()).collect::<Option<_>>()?;
    let mut found = Words { values: Vec::new(), words: Vec::new() };
    let mut at = 0;
    while at < texts.len() {
        let word = texts[at];
        let is_end = word == "--";
        if stops && (is_end || !word.starts_with('-')) {
            let from = at + is_end as usize;
            found.words = texts[from..].iter().map(|word| word.to_string()).collect();
            return Some(found);
        }
        at += 1;
        if !word.starts_with('-') {
            found.words.push(word.into());
            continue;
        }
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let flag = flags.iter().find(|flag| is_named(flag, name))?;
        if !flag.is_multiple && found.has(flag.name) || value.is_some() && !(flag.takes_value && name.starts_with("--"))
        {
            return None;
        }
        let value = match value {
            Some(value) => value,
            None if flag.takes_value => {
                at += 1;
                texts.get(at - 1).filter(|value| !value.starts_with('-'))?
            }
            None => "",
        };
        found.values.push((flag.name, value.into()));
    }
    Some(found)
}

fn is_named(flag: &Flag, word: &str) -> bool {
    match word.strip_prefix("--") {
        Some(name) => name == flag.name,
        None => !flag.short.is_empty() && &word[1..] == flag.short,
    }
}
