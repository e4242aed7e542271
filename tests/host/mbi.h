/*
 * Building multiboot2 information tag by tag, and parsing it.
 */
#ifndef TESTS_HOST_MBI_H
#define TESTS_HOST_MBI_H

#include <stddef.h>
#include <stdint.h>

#include "boot/bootinfo.h"
#include "tests/host/table.h"

/* What is built, and what the last parse made of it. */
extern struct table mbi;
extern struct bootinfo mbi_result;

void mbi_begin(void);
/* Around what a tag has behind its two words. */
void mbi_tag_begin(uint32_t type);
void mbi_tag_end(void);
/* Where the last tag began. */
extern size_t mbi_tag_start;

/* Whole tags. */
void mbi_tag_text(uint32_t type, const char *text);
void mbi_tag_rsdp(uint32_t type, uint8_t fill, size_t bytes);
/* Colours of 8 bits: red at 16, green at 8, blue at 0. */
void mbi_tag_framebuffer(
    uint64_t address, uint32_t pitch, uint32_t width, uint32_t height, uint8_t bpp, uint8_t type);
/* One usable piece of memory, for tests of other tags. */
void mbi_some_memory(void);
/* UEFI's memory map; one entry of one. */
void mbi_efi_map(void);
void mbi_efi_entry(uint32_t type, uint64_t start, uint64_t pages, size_t padding);
/* Every tag that is read, as GRUB has them; without the end tag. */
void mbi_all_tags(void);

/* Around entries of a memory map comes mbi_tag_end(). */
void mbi_mmap_begin(uint32_t entry_bytes);
void mbi_mmap_entry(uint64_t start, uint64_t length, uint32_t type);

/* Appends the end tag, sets the total size and parses all. */
const char *mbi_parse(void);
/* Parses the first `bytes` bytes as they are, in memory of just that size. */
const char *mbi_parse_bytes(size_t bytes);
/* Asserts what holds in mbi_result whatever the loader wrote. */
void mbi_check(void);
void mbi_check_region(unsigned i, uint64_t start, uint64_t end, enum bootinfo_region_type type);

#endif
