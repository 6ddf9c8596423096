/* SPDX-License-Identifier: MIT */
/*
 * Mutants: deliberate mistakes for the crash laboratory, which must catch each of them by name (tests/crash).
 *
 * In the library OXL_MUTANT(x) is the constant 0 and no trace of it is compiled. The laboratory builds this layer and
 * those above it a second time with -DOXL_LAB and sets oxl_mutant.
 */
#ifndef OXL_DURABLE_MUTANT_H
#define OXL_DURABLE_MUTANT_H

#define OXL_MUTANTS(X)                \
        X(NO_FILE_FSYNC)              \
        X(NO_DIR_FSYNC)               \
        X(NO_ANCESTOR_FSYNC)          \
        X(FSYNC_AFTER_RENAME)         \
        X(CHMOD_AFTER_FSYNC)          \
        X(EOF_ON_CANCEL)              \
        X(SWEEP_WITHOUT_LOCK_CHECK)   \
        X(ACK_BEFORE_BARRIER)         \
        X(NO_REOPEN_FSYNC)            \
        X(NO_FOUND_MARK)              \
        X(JOURNAL_DELETE)             \
        X(INTENT_AFTER_RENAMES)       \
        X(DONE_BEFORE_REF)            \
        X(REF_BEFORE_OBJECTS)         \
        X(INDEX_AFTER_REF)            \
        X(ADD_WITHOUT_BARRIER)        \
        X(RECOVERY_WITHOUT_BARRIER)   \
        X(RECOVERY_DONE_FIRST)        \
        X(ROLLBACK_WITHOUT_BARRIER)   \
        X(EVERYBODY_IS_DEAD)          \
        X(RESTORE_WITHOUT_INTENT)     \
        X(ADD_BELIEVES_INDEX)         \
        X(RESTORE_BELIEVES_FILES)     \
        X(MOVE_BELIEVES_FILES)        \
        X(RECOVERY_BELIEVES_JOURNAL)  \
        X(JOURNAL_KEEPS_CACHE)        \
        X(INTENT_BEFORE_FOUND)        \
        X(RECOVERY_BELIEVES_WAL)      \
        X(RETRY_FSYNC)                \
        X(QUARANTINE_WITHOUT_BARRIER) \
        X(TRASH_WITHOUT_BARRIER)

enum oxl_mutant {
        OXL_MUTANT_NONE,
#define OXL_MUTANT_ROW(name) OXL_MUTANT_##name,
        OXL_MUTANTS(OXL_MUTANT_ROW)
#undef OXL_MUTANT_ROW
};

#ifdef OXL_LAB
extern enum oxl_mutant oxl_mutant;
#define OXL_MUTANT(name) (oxl_mutant == OXL_MUTANT_##name)
#else
#define OXL_MUTANT(name) 0
#endif

#endif
