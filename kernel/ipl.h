/*
 * Interrupt priority levels: the names that mutex_init() and softint(9) take.
 *
 * This machine has two states, interrupts on and off.  A level other than IPL_NONE names who else
 * takes a spin mutex: soft interrupts of that level, or hard interrupts.  The mutex keeps all
 * interrupts off in either case, which keeps soft interrupts off too, as they run on the way out of
 * hard ones.
 */
#ifndef KERNEL_IPL_H
#define KERNEL_IPL_H

enum ipl { IPL_NONE, IPL_SOFTCLOCK, IPL_SOFTBIO, IPL_SOFTNET, IPL_SOFTSERIAL, IPL_HIGH };

#endif
