/* SPDX-License-Identifier: MIT */
/*
 * Mutants: deliberate mistakes for the crash laboratory, which must catch each of them by name (tests/crash).
 *
 * In the library OXL_MUTANT(x) is the constant 0 and no trace of it is compiled. The laboratory builds this layer and
 * those above it a second time with -DOXL_LAB and sets oxl_mutant.
 */
#ifndef OXL_DURABLE_MUTANT_H
#define OXL_DURABLE_MUTANT_H

enum oxl_mutant {
        OXL_MUTANT_NONE,
        OXL_MUTANT_NO_FILE_FSYNC,
        OXL_MUTANT_NO_DIR_FSYNC,
        OXL_MUTANT_NO_ANCESTOR_FSYNC,
        OXL_MUTANT_FSYNC_AFTER_RENAME,
        OXL_MUTANT_CHMOD_AFTER_FSYNC,
        OXL_MUTANT_EOF_ON_CANCEL,
        OXL_MUTANT_SWEEP_WITHOUT_LOCK_CHECK,
        OXL_MUTANT_ACK_BEFORE_BARRIER,
        OXL_MUTANT_NO_REOPEN_FSYNC,
        OXL_MUTANT_NO_FOUND_MARK,
        OXL_MUTANT_JOURNAL_DELETE,
        OXL_MUTANT_INTENT_AFTER_RENAMES,
        OXL_MUTANT_DONE_BEFORE_REF,
        OXL_MUTANT_REF_BEFORE_OBJECTS,
        OXL_MUTANT_INDEX_AFTER_REF,
        OXL_MUTANT_ADD_WITHOUT_BARRIER,
        OXL_MUTANT_RECOVERY_WITHOUT_BARRIER,
        OXL_MUTANT_RECOVERY_DONE_FIRST,
        OXL_MUTANT_ROLLBACK_WITHOUT_BARRIER,
        OXL_MUTANT_EVERYBODY_IS_DEAD,
        OXL_MUTANT_RESTORE_WITHOUT_INTENT,
        OXL_MUTANT_ADD_BELIEVES_INDEX,
        OXL_MUTANT_RESTORE_BELIEVES_FILES,
        OXL_MUTANT_RECOVERY_BELIEVES_JOURNAL,
        OXL_MUTANT_JOURNAL_KEEPS_CACHE,
        OXL_MUTANT_INTENT_BEFORE_FOUND,
};

#ifdef OXL_LAB
extern enum oxl_mutant oxl_mutant;
#define OXL_MUTANT(name) (oxl_mutant == OXL_MUTANT_##name)
#else
#define OXL_MUTANT(name) 0
#endif

#endif
