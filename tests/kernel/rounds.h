/*
 * How often tests repeat themselves.  A build for another machine may come with a header of this
 * name, found first, that makes less of it.
 */
#ifndef TESTS_KERNEL_ROUNDS_H
#define TESTS_KERNEL_ROUNDS_H

#define ROUNDS(n) (n)

#endif
