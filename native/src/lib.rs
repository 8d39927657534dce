//! tsvisor's native library: what JavaScript cannot do itself. No kernel semantics here; .github/ARCHITECTURE.md lists the parts.

mod errno;
#[allow(dead_code)]
mod slot;
mod gofer;
mod host;
// The launcher uses the other half of it.
#[allow(dead_code)]
mod attend;
#[allow(dead_code)]
mod cgroup;
// The launcher uses the other half of these.
#[allow(dead_code)]
mod control;
// The launcher uses the other half of it.
#[allow(dead_code)]
mod controller;
mod generated;
mod memory;
mod process;
mod chroot;
// The launcher alone starts programs by these.
#[allow(dead_code)]
mod code_cache;
#[allow(dead_code)]
mod parts;
#[allow(dead_code)]
mod programs;
mod roles;
mod image;
mod spawn;
mod stream;
mod orders;
mod shared_region;
mod stub_filter;
mod stub_process;
mod stub_memory;
mod stub_commands;
mod host_loop;
mod terminal;
mod capabilities;
mod common_page;
mod confine;
mod directory;
mod systrap;
mod usage;
mod watchdog;
mod ptrace;
mod network_namespace;
mod packet_device;
mod host_sockets;
