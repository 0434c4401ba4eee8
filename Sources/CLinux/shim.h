// System calls and options that Glibc's overlay lacks, as static inline functions. They return -1 and set errno.
#pragma once
// Without _GNU_SOURCE, because the headers have to look as they do in Swift's own view of Glibc; what that hides is
// named by its number.
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// Takes (or, to look whether someone holds it, takes and drops) the lock of an open file without waiting.
static inline int linux_try_lock(int descriptor) { return flock(descriptor, LOCK_EX | LOCK_NB); }
static inline int linux_unlock(int descriptor) { return flock(descriptor, LOCK_UN); }

// Opens what `path` names, as long as it is no symbolic link, only to refer to it.
static inline int linux_open_reference(int directory, const char *path) {
    return openat(directory, path, 010000000 /* O_PATH */ | O_NOFOLLOW | O_CLOEXEC);
}

// A descriptor that becomes readable when the process ends.
static inline int linux_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

// Memory behind a descriptor, to be sealed later.
static inline int linux_memfd_create(const char *name) { 
    return (int)syscall(SYS_memfd_create, name, 1 | 2 /* MFD_CLOEXEC, MFD_ALLOW_SEALING */);
}

// Forbids for good to write to, grow or shrink a memfd.
static inline int linux_seal(int descriptor) {
    return fcntl(descriptor, 1033 /* F_ADD_SEALS */, 1 | 2 | 4 | 8 /* SEAL, SHRINK, GROW, WRITE */);
}

// Fills `octets` with random ones of the kernel; returns how many there are.
static inline ssize_t linux_random(void *octets, size_t count) { return syscall(SYS_getrandom, octets, count, 0); }

// Sends one octet and a descriptor over a Unix socket.
static inline ssize_t linux_send_descriptor(int socket, int descriptor) {
    char octet = 0;
    struct iovec part = {&octet, 1};
    union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space,
                             .msg_controllen = sizeof control.space};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    __builtin_memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}

// Receives what linux_send_descriptor sent; returns the descriptor, or -1.
static inline int linux_receive_descriptor(int socket) {
    char octet;
    struct iovec part = {&octet, 1};
    union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space,
                             .msg_controllen = sizeof control.space};
    if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) <= 0) return -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
        errno = EBADMSG;
        return -1;
    }
    int descriptor;
    __builtin_memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
    return descriptor;
}
