//! What the launcher starts: for each program there is a file of its arguments, a line each, and one of the roles'
//! environment (boot/build.ts). They stand in lib/ beside the launcher, or within it where it is the one file.

use crate::parts::{self, Parts};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// Where the runtime finds no compiled code and can keep none: it makes directories that are missing, as root anywhere else.
pub const NO_CACHE: &[u8] = b"/dev/null/none";

/// Where the launcher has its files.
pub enum Place {
    /// lib/ beside it, without a slash at its end.
    Directory(Vec<u8>),
    /// In itself.
    OneFile(Parts),
}

impl Place {
    pub fn find() -> Result<Place, String> {
        match Parts::own() {
            Some(parts) => parts.map(Place::OneFile),
            None => match std::env::current_exe() {
                Ok(path) => Ok(Place::Directory(path.with_file_name("lib").into_os_string().into_vec())),
                Err(error) => Err(format!("Cannot find its own place: {error}")),
            },
        }
    }

    /// What paths of its files begin with, without a slash at the end.
    pub fn prefix(&self) -> &[u8] {
        match self {
            Place::Directory(path) => path,
            Place::OneFile(_) => parts::DIRECTORY.as_bytes(),
        }
    }

    /// The path of one of its files, as programs get it.
    pub fn path(&self, name: &str) -> Vec<u8> {
        [self.prefix(), b"/", name.as_bytes()].concat()
    }

    /// Where the runtime keeps compiled code between starts. For the one file that is the caller's cache, if it is safe: code
    /// found there is run. None = nowhere.
    pub fn cache(&self) -> Option<Vec<u8>> {
        match self {
            Place::Directory(_) => Some(self.path("cache")),
            Place::OneFile(parts) => crate::code_cache::directory(parts.build()),
        }
    }

    /// What the marker in the cache says once code of these files is there (boot/code_cache.ts).
    pub fn marker(&self) -> Vec<u8> {
        [self.prefix(), b"/"].concat()
    }

    /// Lines of a file, with the place for each `{lib}` in them, and the cache's for `{cache}`.
    pub fn lines(&self, name: &str) -> Option<Vec<Vec<u8>>> {
        let text = match self {
            Place::Directory(_) => std::fs::read_to_string(OsString::from_vec(self.path(name))).ok()?,
            Place::OneFile(parts) => std::str::from_utf8(parts.bytes(name).ok()?).ok()?.to_string(),
        };
        let cache = self.cache().unwrap_or_else(|| NO_CACHE.to_vec());
        Some(
            text.lines()
                .map(|line| {
                    // The one file is the runtime too.
                    let line = match (self, line) {
                        (Place::OneFile(_), "{lib}/deno") => "{lib}",
                        _ => line,
                    };
                    replaced(&replaced(line.as_bytes(), b"{lib}", self.prefix()), b"{cache}", &cache)
                })
                .collect(),
        )
    }

    /// The same as strings that end with a NUL, one after the other.
    pub fn strings(&self, name: &str) -> Option<Vec<u8>> {
        Some(self.lines(name)?.into_iter().flat_map(|line| [line, vec![0]].concat()).collect())
    }
}

fn replaced(text: &[u8], what: &[u8], by: &[u8]) -> Vec<u8> {
    let mut result = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(what.len()).position(|window| window == what) {
        result.extend_from_slice(&rest[..at]);
        result.extend_from_slice(by);
        rest = &rest[at + what.len()..];
    }
    result.extend_from_slice(rest);
    result
}
