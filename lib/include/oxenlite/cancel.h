/* SPDX-License-Identifier: MIT */
/* `atomic_bool`, the flag by which another thread or a signal handler interrupts a long call, for C and for C++. */
#ifndef OXENLITE_CANCEL_H
#define OXENLITE_CANCEL_H

#ifdef __cplusplus
#include <atomic>
using std::atomic_bool; /* as C++23's own <stdatomic.h> does */
#else
#include <stdatomic.h>
#endif

#endif
