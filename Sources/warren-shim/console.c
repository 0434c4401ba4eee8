// The console log, which QEMU only ever appends to: its head is cut off when it grows beyond its limit.
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

int console_open(struct console *console, const char *path, long limit_kib, long uid, long gid) {
    console->limit = (off_t)limit_kib * 1024;
    console->file = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    struct stat status;
    if (console->file < 0 || fstat(console->file, &status) < 0) return -1;
    // The directory is QEMU's: an earlier QEMU may have left something else under this name.
    if (!S_ISREG(status.st_mode) || status.st_nlink != 1) {
        errno = EINVAL;
        return -1;
    }
    if (uid >= 0 && fchown(console->file, (uid_t)uid, (gid_t)gid) < 0) return -1;
    console->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (console->watch < 0 || inotify_add_watch(console->watch, path, IN_MODIFY) < 0) return -1;
    console_bound(console);
    return 0;
}

// Cuts at three quarters of the limit down to half of it, so that a burst between two looks still fits.
void console_bound(struct console *console) {
    struct stat status;
    if (fstat(console->file, &status) < 0 || status.st_size <= console->limit / 4 * 3) return;
    off_t kept = console->limit / 2, block = status.st_blksize > 0 ? status.st_blksize : 4096;
    off_t cut = (status.st_size - kept) / block * block;
    // Takes whole blocks out of the head at once, so that nothing that is written meanwhile is lost.
    if (cut > 0 && fallocate(console->file, FALLOC_FL_COLLAPSE_RANGE, 0, cut) == 0) return;
    // File systems that cannot: the tail is written anew.
    char *tail = malloc((size_t)kept);
    if (!tail) return;
    ssize_t count = pread(console->file, tail, (size_t)kept, status.st_size - kept);
    if (count > 0 && ftruncate(console->file, 0) == 0)
        for (ssize_t done = 0, wrote; done < count; done += wrote)
            if ((wrote = write(console->file, tail + done, (size_t)(count - done))) <= 0) break;
    free(tail);
}
