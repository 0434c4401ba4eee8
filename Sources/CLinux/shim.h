// System calls and options that Glibc's overlay lacks, as static inline functions. They return -1 and set errno.
#pragma once
// Without _GNU_SOURCE, because the headers have to look as they do in Swift's own view of Glibc; what that hides is
// named by its number.
#include <fcntl.h>
#include <sys/file.h>

// Takes (or, to look whether someone holds it, takes and drops) the lock of an open file without waiting.
static inline int linux_try_lock(int descriptor) { return flock(descriptor, LOCK_EX | LOCK_NB); }

// Opens what `path` names, as long as it is no symbolic link, only to refer to it.
static inline int linux_open_reference(int directory, const char *path) {
    return openat(directory, path, 010000000 /* O_PATH */ | O_NOFOLLOW | O_CLOEXEC);
}
