//! Memory that only the start of a process has needed, given back to the host.

use core::ffi::c_void;

/// The reserve of malloc, and program text and constants of the runtime and its libraries as far as they are in our page
/// tables: 30 MiB, since the host maps around each page that a start touches. What is used again comes back from the
/// page cache.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_release_memory() {
    // SAFETY: malloc_trim takes its own locks; the callback below changes no content.
    unsafe {
        libc::malloc_trim(0);
        libc::dl_iterate_phdr(Some(unmap_constants), std::ptr::null_mut());
    }
}

/// Segments that are never written have no content but the file's: dropping them loses nothing.
unsafe extern "C" fn unmap_constants(info: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> i32 {
    const PAGE: u64 = 4096;
    // SAFETY: the loader's own tables, valid during the call; madvise on whole pages of a mapped read-only segment.
    unsafe {
        let info = &*info;
        let headers = std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum as usize);
        for header in headers {
            if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
                continue;
            }
            let from = (info.dlpi_addr + header.p_vaddr) & !(PAGE - 1);
            let to = (info.dlpi_addr + header.p_vaddr + header.p_memsz) & !(PAGE - 1);
            // The vDSO is listed too, and refuses.
            if to > from {
                libc::madvise(from as *mut c_void, (to - from) as usize, libc::MADV_DONTNEED);
            }
        }
    }
    0
}
