/* SPDX-License-Identifier: MIT */
/*
 * SQLite on the model disk: a VFS over oxl_sys with the habits of SQLite's own unix VFS, because it is those habits that
 * make a mode durable or not:
 *
 *      the first xSync of a journal or -wal that was opened with O_CREAT syncs the directory, too
 *      xDelete syncs the directory only when asked; xSync is fdatasync
 *      sectors of 4096 bytes, POWERSAFE_OVERWRITE, no size hints, no mmap
 *
 * The -shm lives in memory, by inode, and is gone after a crash. Random numbers and the time come from the disk in use, and
 * are the same in each run.
 */
#ifndef OXL_TESTS_MODELVFS_H
#define OXL_TESTS_MODELVFS_H

/* Makes it SQLite's default; once per process, for good. */
void modelvfs_register(void);

#endif
