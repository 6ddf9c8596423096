/* SPDX-License-Identifier: MIT */
/*
 * killat N COMMAND [ARG ...]: runs COMMAND and kills it with SIGKILL as it enters its Nth system call that changes files (N from 1);
 * N = 0 lets it run to its end.
 * killat -e HOOK COMMAND [ARG ...]: stops it at each such call, runs `sh HOOK N NAME` while it stands still, and lets it go on.
 *
 * Writes one line to descriptor 3: `killed <name>` or `ended <exit status> <number of such calls>`.
 * Exit status: 0 killed, 1 it ended by itself before that, 2 the tool (or the hook) failed; with it the program is killed.
 * Works through ptrace, so the program is the real one, SQLite's calls included. One thread is followed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/fs.h>
#include <linux/ptrace.h>

struct call {
        uint64_t number;
        const char *name;
};

static const struct call calls[] = {
#define CALL(name)                \
        {                         \
                SYS_##name, #name \
        }
        CALL(write),           CALL(pwrite64), CALL(writev),    CALL(pwritev),  CALL(ftruncate),
        CALL(fallocate),       CALL(fsync),    CALL(fdatasync), CALL(syncfs),   CALL(sync_file_range),
        CALL(renameat2),       CALL(linkat),   CALL(symlinkat), CALL(unlinkat), CALL(mkdirat),
        CALL(fchmod),          CALL(fchown),   CALL(utimensat), CALL(fchmodat), CALL(fchownat),
        CALL(copy_file_range), CALL(sendfile),
#ifdef SYS_rename
        CALL(rename),          CALL(link),     CALL(symlink),   CALL(unlink),   CALL(mkdir),
        CALL(rmdir),           CALL(chmod),    CALL(chown),
#endif
#ifdef SYS_renameat
        CALL(renameat),
#endif
};

/* The name of the call when it changes files, else NULL. */
static const char *changing(const struct ptrace_syscall_info *info)
{
        uint64_t nr = info->entry.nr;
        if (nr == SYS_openat)
                return info->entry.args[2] & (O_CREAT | O_TRUNC) ? "openat" : NULL;
#ifdef SYS_open
        if (nr == SYS_open)
                return info->entry.args[1] & (O_CREAT | O_TRUNC) ? "open" : NULL;
#endif
        if (nr == SYS_ioctl)
                return info->entry.args[1] == FICLONE ? "ioctl(FICLONE)" : NULL;
        for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
                if (calls[i].number == nr)
                        return calls[i].name;
        return NULL;
}

static _Noreturn void fail(const char *what)
{
        perror(what);
        exit(2);
}

static void run_child(char **argv)
{
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
                fail("killat: PTRACE_TRACEME");
        raise(SIGSTOP);
        close(3);
        execv(argv[0], argv);
        fail(argv[0]);
}

/* Runs on to the next stop; true when it is the entry of a call. Other signals are passed on. */
static bool next_entry(pid_t pid, struct ptrace_syscall_info *info, int *status)
{
        int signal = 0;
        for (;;) {
                if (ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(intptr_t)signal) < 0)
                        fail("killat: PTRACE_SYSCALL");
                if (waitpid(pid, status, 0) < 0)
                        fail("killat: waitpid");
                if (!WIFSTOPPED(*status))
                        return false;
                signal = 0;
                if (WSTOPSIG(*status) != (SIGTRAP | 0x80)) {
                        signal = WSTOPSIG(*status) == SIGTRAP ? 0 : WSTOPSIG(*status);
                        continue;
                }
                if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof *info, info) < 0)
                        fail("killat: PTRACE_GET_SYSCALL_INFO");
                if (info->op == PTRACE_SYSCALL_INFO_ENTRY)
                        return true;
        }
}

/* The traced program stands still until the hook has ended. */
static void run_hook(const char *hook, unsigned long n, const char *name)
{
        char number[24];
        int status;
        snprintf(number, sizeof number, "%lu", n);
        pid_t pid = fork();
        if (pid < 0)
                fail("killat: fork");
        if (pid == 0) {
                execl("/bin/sh", "sh", hook, number, name, (char *)NULL);
                _exit(127);
        }
        if (waitpid(pid, &status, 0) < 0)
                fail("killat: waitpid");
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
                fprintf(stderr, "killat: %s failed at call %lu, %s\n", hook, n, name);
                exit(2);
        }
}

int main(int argc, char **argv)
{
        struct ptrace_syscall_info info;
        bool each = argc > 3 && strcmp(argv[1], "-e") == 0;
        const char *hook = each ? argv[2] : NULL;
        unsigned long seen = 0, at = argc > 2 && !each ? strtoul(argv[1], NULL, 10) : 0;
        int status;
        if (argc < 3) {
                fprintf(stderr, "usage: killat N COMMAND [ARG ...]\n       killat -e HOOK COMMAND [ARG ...]\n");
                return 2;
        }
        pid_t pid = fork();
        if (pid < 0)
                fail("killat: fork");
        if (pid == 0)
                run_child(argv + (each ? 3 : 2));
        if (waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status) ||
            ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)) < 0)
                fail("killat: start");
        while (next_entry(pid, &info, &status)) {
                const char *name = changing(&info);
                if (!name)
                        continue;
                seen++;
                if (hook)
                        run_hook(hook, seen, name);
                if (seen == at) {
                        kill(pid, SIGKILL);
                        waitpid(pid, &status, 0);
                        dprintf(3, "killed %s\n", name);
                        return 0;
                }
        }
        dprintf(3, "ended %d %lu\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), seen);
        return 1;
}
