// Builds the stub (stub/stub.rs) into a static ELF of its own, which src/systrap.rs embeds. It is a program of its own
// because it must hold no relocations, no data and no SSE instruction; tests check the last by disassembly.
use std::{env, path::PathBuf, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=stub/stub.rs");
    println!("cargo:rerun-if-changed=stub/marshal.rs");
    println!("cargo:rerun-if-changed=stub/stub.ld");
    println!("cargo:rerun-if-changed=src/slot.rs");
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap());
    let out = PathBuf::from(env::var("OUT_DIR").unwrap()).join("stub");
    let script = here.join("stub/stub.ld");
    let status = Command::new(env::var("RUSTC").unwrap())
        .args(["--edition", "2024", "--crate-type", "bin", "--cap-lints", "allow"])
        .args(["-C", "panic=abort", "-C", "opt-level=3", "-C", "debuginfo=0", "-C", "relocation-model=pic"])
        // Guest FPU registers are live while the stub runs, so it must not touch them.
        .args(["-C", "target-feature=-sse,-sse2,-sse3,-ssse3,-sse4.1,-sse4.2,-avx"])
        .args(["-C", "linker=cc", "-C", "link-arg=-nostartfiles", "-C", "link-arg=-nostdlib"])
        .args(["-C", "link-arg=-static", "-C", "link-arg=-no-pie"])
        .arg("-C")
        .arg(format!("link-arg=-Wl,-T,{},--build-id=none,-z,noexecstack", script.display()))
        .arg(here.join("stub/stub.rs"))
        .arg("-o")
        .arg(&out)
        .status()
        .expect("cannot run rustc for the stub");
    assert!(status.success(), "the stub does not build");
}
