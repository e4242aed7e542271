/*
 * What a function calls whose stack canary was overwritten, and what the canary is worth.
 *
 * A buffer that overran reaches the canary before the return address.  The value is one for all
 * stacks and for the life of this boot: who writes beyond a buffer by mistake hits it with
 * certainty but for one in 2^56; who wants to write the right value must read it first.  Where the
 * CPU has RDRAND it cannot be guessed (a CPU with RDSEED has RDRAND too, whose numbers are as good
 * for 56 bits).  Where it has none, only the time stamp counter at entry tells two boots apart:
 * some twenty bits that nobody chose, and none at all to who knows when the machine was started, or
 * under an emulator that counts instructions for time.
 */
#include "kernel/x86/canary.h"

#include "kernel/ksyms.h"
#include "kernel/panic.h"

/* Written by entry.asm, with the canary: 1 when RDRAND had a part in it. */
extern const uint32_t canary_is_random;

/* The compilers' name: they call it, and nobody else. */
_Noreturn void __stack_chk_fail(void);

void
__stack_chk_fail(void)
{
	char text[KSYMS_TEXT_BYTES];

	/* The call is the last instruction of its function: its return address is the next one's.
	 * The canary is no secret any more, and tells in a dump of the stack what was
	 * overwritten. */
	panic("stack smashed: a buffer was overrun in %s; the canary is %#lx",
	    ksyms_format((uintptr_t)__builtin_return_address(0) - 1, text), __stack_chk_guard);
}

const char *
canary_source(void)
{
	return canary_is_random ? "RDRAND and the time stamp counter"
				: "the time stamp counter alone";
}
