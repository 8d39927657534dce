//! What the launcher starts: lib/ beside it has for each program a file of its arguments, a line each, and one of the roles'
//! environment. boot/build.ts writes them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// lib/ beside this program.
pub fn library_directory() -> std::io::Result<Vec<u8>> {
    Ok(std::env::current_exe()?.with_file_name("lib").into_os_string().into_vec())
}

/// Lines of a file of `lib`, with that place for each `{lib}` in them.
pub fn lines(lib: &[u8], name: &str) -> Option<Vec<Vec<u8>>> {
    let text = std::fs::read_to_string(OsString::from_vec([lib, b"/", name.as_bytes()].concat())).ok()?;
    Some(
        text.lines()
            .map(|line| {
                let parts: Vec<&[u8]> = line.split("{lib}").map(str::as_bytes).collect();
                parts.join(lib)
            })
            .collect(),
    )
}

/// The same as strings that end with a NUL, one after the other.
pub fn strings(lib: &[u8], name: &str) -> Option<Vec<u8>> {
    Some(lines(lib, name)?.into_iter().flat_map(|line| [line, vec![0]].concat()).collect())
}
