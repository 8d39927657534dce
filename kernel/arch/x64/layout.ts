// Where programs and mappings go in an address space of 47 bits. Linux: arch/x86/include/asm/elf.h, arch/x86/mm/mmap.c.

export const LAYOUT = {
  /** Position-independent programs without randomization: two thirds of the space (ELF_ET_DYN_BASE). */
  programBase: 0x5555_5555_4000,
  /** Lowest address that is chosen without a hint. */
  mappingsBottom: 0x10_0000,
  /** MAP_32BIT: within the first 2 GiB, the first one left out. */
  lowStart: 0x4000_0000,
  lowEnd: 0x8000_0000,
  /** Positions there are by randomization: of mappings and programs (mmap_rnd_bits), of stack tops, of the heap's start. */
  randomPages: 2 ** 28,
  randomStackPages: 2 ** 22,
  randomHeapPages: 2 ** 13,
} as const;
