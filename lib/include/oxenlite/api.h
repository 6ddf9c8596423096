/* SPDX-License-Identifier: MIT */
/* Attributes shared by all public headers. */
#ifndef OXENLITE_API_H
#define OXENLITE_API_H

#define OXL_API __attribute__((visibility("default")))
#define OXL_MUST_CHECK __attribute__((warn_unused_result))

#ifdef __cplusplus
#define OXL_BEGIN_DECLS extern "C" {
#define OXL_END_DECLS }
#else
#define OXL_BEGIN_DECLS
#define OXL_END_DECLS
#endif

#endif
