/* SPDX-License-Identifier: MIT */
/*
 * nosync COMMAND [ARG ...]: runs COMMAND while fsync, fdatasync, syncfs, sync, sync_file_range and msync succeed and do nothing.
 *
 * A disk test that does not notice the difference proves nothing. A seccomp filter, so that SQLite's calls are meant, too.
 * Exit status: the command's; 2 the tool failed.
 */
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

/* Equal: answered with "error" 0, which is success, without running. */
#define SKIP(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO)

int main(int argc, char **argv)
{
        struct sock_filter filter[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                SKIP(fsync),
                SKIP(fdatasync),
                SKIP(syncfs),
                SKIP(sync),
                SKIP(sync_file_range),
                SKIP(msync),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = { .len = sizeof filter / sizeof filter[0], .filter = filter };
        if (argc < 2) {
                fprintf(stderr, "usage: nosync COMMAND [ARG ...]\n");
                return 2;
        }
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0) {
                perror("nosync: seccomp");
                return 2;
        }
        execv(argv[1], argv + 1);
        perror(argv[1]);
        return 2;
}
