/*
 * Ports for code that reads a device, on the host: target_fwcfg.c stands at their other end.
 */
#ifndef KERNEL_X86_IO_H
#define KERNEL_X86_IO_H

#include <stdint.h>

uint8_t inb(uint16_t port);
void outw(uint16_t port, uint16_t value);

#endif
