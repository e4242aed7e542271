/*
 * Physical memory for the tests.
 */
#include "tests/host/image.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define IMAGE_BLOCKS 64

struct image_block {
	uint64_t address;
	size_t size;
	uint8_t *data;
};

static struct image_block image_blocks[IMAGE_BLOCKS];
static unsigned image_nblocks;
static void **image_copies;
static size_t image_ncopies;

void
image_release(void)
{
	while (image_ncopies > 0)
		free(image_copies[--image_ncopies]);
	free(image_copies);
	image_copies = NULL;
}

void
image_reset(void)
{
	image_release();
	while (image_nblocks > 0)
		free(image_blocks[--image_nblocks].data);
}

static struct image_block *
image_find(uint64_t address)
{
	for (unsigned i = 0; i < image_nblocks; i++) {
		if (image_blocks[i].address == address)
			return &image_blocks[i];
	}
	return NULL;
}

void
image_place(uint64_t address, const void *data, size_t size)
{
	struct image_block *block = image_find(address);

	if (block == NULL) {
		assert(image_nblocks < IMAGE_BLOCKS);
		block = &image_blocks[image_nblocks++];
		block->data = NULL;
	}
	free(block->data);
	*block = (struct image_block){ address, size, malloc(size) };
	assert(block->data != NULL);
	memcpy(block->data, data, size);
}

void
image_place_table(uint64_t address, const struct table *t)
{
	image_place(address, t->data, t->size);
}

uint8_t *
image_block(uint64_t address, size_t *size)
{
	struct image_block *block = image_find(address);

	assert(block != NULL);
	*size = block->size;
	return block->data;
}

static void *
image_copy(const uint8_t *from, size_t bytes)
{
	void *copy = malloc(bytes);

	image_copies = realloc(image_copies, (image_ncopies + 1) * sizeof(*image_copies));
	assert(copy != NULL && image_copies != NULL);
	memcpy(copy, from, bytes);
	image_copies[image_ncopies++] = copy;
	return copy;
}

const void *
image_fetch(uint64_t address, size_t bytes)
{
	/* The parsers keep what makes no sense away from the kernel's callback. */
	assert(address != 0 && bytes != 0 && bytes <= UINT64_MAX - address);
	for (unsigned i = 0; i < image_nblocks; i++) {
		const struct image_block *block = &image_blocks[i];
		uint64_t offset = address - block->address;

		if (address >= block->address && offset <= block->size &&
		    bytes <= block->size - offset)
			return image_copy(block->data + offset, bytes);
	}
	return NULL;
}
