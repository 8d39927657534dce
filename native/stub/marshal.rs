//! Marshalling: copies what the call will read into the slot. It is a prefetch only: what does not fit or faults is left
//! out, and the sentry fetches it itself and finds the error.

use super::*;

/// Gives back the number of entries in IN_ENTRIES.
#[inline(always)]
pub unsafe fn marshal(slot: u64, number: u64) -> u32 {
    unsafe {
        // Linux takes EAX: the upper half does not count.
        let item_at = COMMON_TABLE + (number & 0xffff_ffff) * MARSHAL_ITEMS * 4;
        if number & 0xffff_ffff >= MARSHAL_CALLS || get32(COMMON, item_at) == ITEM_END { 0 } else { gather(slot, item_at) }
    }
}

unsafe fn gather(slot: u64, items: u64) -> u32 {
    unsafe {
        let mut item_at = items;
        let mut bag = Bag { slot, used: 0, count: 0 };
        let mut n = 0;
        while n < MARSHAL_ITEMS {
            let item = get32(COMMON, item_at);
            let kind = item & 15;
            if kind == ITEM_END {
                break;
            }
            let address = argument(slot, item >> 4 & 7);
            let size = (item >> 10) as u64;
            if kind == ITEM_STRING {
                bag.string(address);
            } else if kind == ITEM_STRINGS {
                bag.strings(address);
            } else if kind == ITEM_FRAME {
                bag.add(reg(slot, RSP), size + get32(COMMON, COMMON_XSAVE_BYTES) as u64);
            } else if kind == ITEM_FIXED {
                bag.add(address, size);
            } else {
                let length = argument(slot, item >> 7 & 7);
                if kind == ITEM_BUFFER {
                    // The sentry fetches a long buffer itself: its CPU then gets the lines straight, not by way of ours.
                    if length <= LONG_BYTES {
                        bag.add(address, length * size);
                    }
                } else if kind == ITEM_IOVEC_CONTENT {
                    bag.vector(address, length, true);
                } else if kind == ITEM_IOVEC {
                    bag.vector(address, length, false);
                } else {
                    bag.message(address, kind == ITEM_MSGHDR_CONTENT);
                }
            }
            item_at += 4;
            n += 1;
        }
        bag.count
    }
}

/// Pointers of a list of strings that are looked at.
const STRINGS_MAX: u64 = 64;
/// Units of a buffer up to which it is copied in.
const LONG_BYTES: u64 = 4096;

#[inline(always)]
pub unsafe fn argument(slot: u64, n: u32) -> u64 {
    let index = if n == 0 {
        RDI
    } else if n == 1 {
        RSI
    } else if n == 2 {
        RDX
    } else if n == 3 {
        R10
    } else if n == 4 {
        R8
    } else {
        R9
    };
    // SAFETY: `slot` is the caller's own slot, and index is one of the six above.
    unsafe { reg(slot, index) }
}

struct Bag {
    slot: u64,
    used: u64,
    count: u32,
}

impl Bag {
    /// Copies `length` bytes at `address` in; gives back where they stand in this address space, or 0.
    unsafe fn add(&mut self, address: u64, length: u64) -> u64 {
        unsafe {
            if address == 0 || length == 0 || self.count as u64 >= IN_MAX || length > STAGING_IN_BYTES - self.used {
                return 0;
            }
            // Never read our own memory for the guest: addresses from STUB_TEXT up are not its own.
            if address >= STUB_TEXT || address + length > STUB_TEXT {
                return 0;
            }
            let offset = STAGING_IN + self.used;
            if stub_copy(self.slot + offset, address, length) != 0 {
                return 0;
            }
            self.enter(address, length, offset);
            self.slot + offset
        }
    }

    unsafe fn string(&mut self, address: u64) {
        unsafe {
            let room = STAGING_IN_BYTES - self.used;
            if address == 0 || address >= STUB_TEXT || self.count as u64 >= IN_MAX || room == 0 {
                return;
            }
            let offset = STAGING_IN + self.used;
            let most = if room < 4096 { room } else { 4096 };
            let length = stub_copy_string(self.slot + offset, address, most);
            if length != 0 {
                self.enter(address, length, offset);
            }
        }
    }

    /// Pointers up to the null one, and the strings they lead to; those that follow each other in memory are one entry.
    unsafe fn strings(&mut self, address: u64) {
        unsafe {
            let pointers = STAGING_IN + self.used;
            let bytes = STRINGS_MAX * 8;
            let is_full = self.count as u64 >= IN_MAX || bytes > STAGING_IN_BYTES - self.used;
            if address == 0 || address >= STUB_TEXT - bytes || is_full {
                return;
            }
            let count = (bytes - stub_copy(self.slot + pointers, address, bytes)) / 8;
            let mut n = 0;
            while n < count && get64(self.slot, pointers + n * 8) != 0 {
                n += 1;
            }
            if n == count {
                return;
            }
            self.enter(address, (n + 1) * 8, pointers);
            let (mut end, mut place, mut index) = (0, 0, 0);
            while index < n {
                let string = get64(self.slot, pointers + index * 8);
                if string >= STUB_TEXT || (string != end && self.count as u64 >= IN_MAX) {
                    return;
                }
                if string != end {
                    place = STAGING_IN + self.used;
                    self.enter(string, 0, place);
                }
                let room = STAGING_IN + STAGING_IN_BYTES - place;
                let length = stub_copy_string(self.slot + place, string, if room < 4096 { room } else { 4096 });
                if length == 0 {
                    return;
                }
                let entry = IN_ENTRIES + (self.count as u64 - 1) * 16;
                put32(self.slot, entry + 8, get32(self.slot, entry + 8) + length as u32);
                end = string + length;
                place += length;
                self.used = (place - STAGING_IN + 7) & !7;
                index += 1;
            }
        }
    }

    unsafe fn enter(&mut self, address: u64, length: u64, offset: u64) {
        unsafe {
            let at = IN_ENTRIES + self.count as u64 * 16;
            put64(self.slot, at, address);
            put32(self.slot, at + 8, length as u32);
            put32(self.slot, at + 12, offset as u32);
            self.count += 1;
            self.used = (self.used + length + 7) & !7;
        }
    }

    unsafe fn vector(&mut self, address: u64, count: u64, with_content: bool) {
        unsafe {
            if count == 0 || count > 16 {
                return;
            }
            let copy = self.add(address, count * 16);
            if copy == 0 || !with_content {
                return;
            }
            let mut n = 0;
            while n < count {
                self.add(get64(copy, n * 16), get64(copy, n * 16 + 8));
                n += 1;
            }
        }
    }

    unsafe fn message(&mut self, address: u64, with_content: bool) {
        unsafe {
            let copy = self.add(address, 56);
            if copy == 0 {
                return;
            }
            self.vector(get64(copy, 16), get64(copy, 24), with_content);
            if with_content {
                self.add(get64(copy, 0), get32(copy, 8) as u64);
                self.add(get64(copy, 32), get64(copy, 40));
            }
        }
    }
}
