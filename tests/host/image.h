/*
 * A physical memory made of a few blocks, and the fetch callback that reads it.
 *
 * Each fetch gives a new heap block of exactly the size asked for: whoever reads a byte more than
 * it fetched is stopped by AddressSanitizer.
 */
#ifndef TESTS_HOST_IMAGE_H
#define TESTS_HOST_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "tests/host/table.h"

/* Forgets all blocks and frees what was fetched. */
void image_reset(void);
/* Frees what was fetched. */
void image_release(void);
/* Puts a copy there, in place of the block that begins at the same address. */
void image_place(uint64_t address, const void *data, size_t size);
void image_place_table(uint64_t address, const struct table *);
/* The bytes of the block that begins there, for spoiling them. */
uint8_t *image_block(uint64_t address, size_t *size);
/* NULL where no single block has all of it.  Aborts on a range that wraps around, is empty or
 * begins at 0. */
const void *image_fetch(uint64_t address, size_t bytes);

#endif
