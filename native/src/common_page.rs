//! The page that all stubs read: what the CPU has, the filter they install, the initial FPU state. The marshalling table
//! behind it is written by TypeScript.

use crate::slot::*;
use crate::stub_filter::{Asks, has_fsgsbase, stub_filter};

/// Fills the page at `common`, COMMON_BYTES of zeros.
pub fn fill_common(common: *mut u8, asks: Asks) {
    let filter = stub_filter(asks);
    let has_fsgsbase = has_fsgsbase();
    let can_patch = has_fsgsbase && std::arch::is_x86_feature_detected!("bmi2");
    let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
    let flags = flag(has_fsgsbase, COMMON_HAS_FSGSBASE)
        | flag(can_patch, COMMON_CAN_PATCH)
        | flag(asks != Asks::Never, COMMON_ASKS);
    // Components of the XSAVE area that fit the slot's FPU page: all but the AMX tiles.
    let mask = xcr0() & !(3 << 17);
    // SAFETY: all offsets lie within COMMON_BYTES; the filter is shorter than COMMON_FPU - COMMON_FILTER.
    unsafe {
        (common.add(COMMON_FLAGS as usize) as *mut u32).write(flags);
        (common.add(COMMON_FILTER_LENGTH as usize) as *mut u32).write(filter.len() as u32);
        (common.add(COMMON_XSAVE_MASK as usize) as *mut u32).write(mask as u32);
        (common.add(COMMON_XSAVE_BYTES as usize) as *mut u32).write(xsave_bytes(mask));
        // FCW and MXCSR; no component is in use.
        (common.add(COMMON_FPU as usize) as *mut u16).write(0x37f);
        (common.add(COMMON_FPU as usize + 24) as *mut u32).write(0x1f80);
        std::ptr::copy_nonoverlapping(
            filter.as_ptr() as *const u8,
            common.add(COMMON_FILTER as usize),
            filter.len() * size_of::<libc::sock_filter>(),
        );
    }
}

/// Where the last component of `mask` ends in the standard format; offsets differ between CPU makers.
fn xsave_bytes(mask: u64) -> u32 {
    let mut bytes = 576;
    for component in 2..32 {
        if mask & 1 << component != 0 {
            let leaf = std::arch::x86_64::__cpuid_count(0xd, component);
            bytes = bytes.max(leaf.ebx + leaf.eax);
        }
    }
    bytes
}

fn xcr0() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: xgetbv is available wherever OSXSAVE is, which every x86-64 CPU with AVX has; without it the mask is x87|SSE.
    unsafe {
        if std::arch::x86_64::__cpuid(1).ecx & 1 << 27 == 0 {
            return 3;
        }
        std::arch::asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack));
    }
    low as u64 | (high as u64) << 32
}
