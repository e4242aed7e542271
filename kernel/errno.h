/*
 * Error numbers, with the values of NetBSD's errno(2).
 */
#ifndef KERNEL_ERRNO_H
#define KERNEL_ERRNO_H

#define ENOENT 2
#define ENOMEM 12
#define EBUSY 16
#define EINVAL 22
#define EOPNOTSUPP 45
#define ETIMEDOUT 60
#define EHOSTDOWN 64
#define ECANCELED 87

#endif
