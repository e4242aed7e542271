/*
 * Ports for code that reads a device, on the host: target_fwcfg.c stands at their other end.
 */
#ifndef TESTS_FUZZ_SHIM_KERNEL_X86_IO_H
#define TESTS_FUZZ_SHIM_KERNEL_X86_IO_H

#include <stdint.h>

uint8_t inb(uint16_t port);
void outw(uint16_t port, uint16_t value);

#endif
