// Holds the memory of a template: sealed, so that no QEMU can change it, and alive as long as this process.
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_CLIENTS 64
#define SEALS (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)

// Copies what is not a hole. 0, or -1 with errno.
static int copy_sparse(int from, int to, off_t size) {
    static char buffer[1 << 20];
    off_t start = 0, end;
    while (start < size && (start = lseek(from, start, SEEK_DATA)) >= 0) {
        end = lseek(from, start, SEEK_HOLE);
        if (end < 0) return -1;
        while (start < end) {
            size_t wanted = end - start < (off_t)sizeof buffer ? (size_t)(end - start) : sizeof buffer;
            ssize_t count = pread(from, buffer, wanted, start);
            if (count < 0 && errno == EINTR) continue;
            if (count <= 0) {
                if (count == 0) errno = EIO;
                return -1;
            }
            for (ssize_t done = 0, wrote; done < count; done += wrote) {
                wrote = pwrite(to, buffer + done, (size_t)(count - done), start + done);
                if (wrote < 0 && errno == EINTR) wrote = 0;
                if (wrote < 0) return -1;
            }
            start += count;
        }
    }
    return start < 0 && errno != ENXIO ? -1 : 0; // ENXIO: nothing but holes to the end
}

int open_memory(long mib) {
    off_t size = (off_t)mib << 20;
    int memory = memfd_create("warren-template", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory < 0 || ftruncate(memory, size) < 0) return -1;
    int file = open("memory", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0) return errno == ENOENT ? memory : -1;
    struct stat status;
    if (fstat(file, &status) < 0) return -1;
    if (!S_ISREG(status.st_mode) || status.st_size != size) {
        errno = EINVAL;
        return -1;
    }
    if (copy_sparse(file, memory, size) < 0 || fcntl(memory, F_ADD_SEALS, SEALS) < 0) return -1;
    close(file);
    return memory;
}

int receive_memory(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client < 0 || connect(client, (struct sockaddr *)&address, sizeof address) < 0) return -1;
    char line[256];
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {line, sizeof line};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t count;
    do count = recvmsg(client, &message, MSG_CMSG_CLOEXEC);
    while (count < 0 && errno == EINTR);
    close(client);
    struct cmsghdr *header = count > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (!header || header->cmsg_type != SCM_RIGHTS) {
        if (count >= 0) errno = EPROTO;
        return -1;
    }
    int memory;
    memcpy(&memory, CMSG_DATA(header), sizeof memory);
    return memory;
}

static size_t format_holding(int memory, char *text, size_t capacity) {
    int seals = fcntl(memory, F_GET_SEALS);
    int length = snprintf(text, capacity, "{\"event\":\"holding\",\"shimPid\":%d,\"sealed\":%s}\n", (int)getpid(),
                          seals >= 0 && seals & F_SEAL_WRITE ? "true" : "false");
    return length < 0 ? 0 : (size_t)length;
}

static void give(int client, int memory) {
    char line[256];
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {line, format_holding(memory, line, sizeof line)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof memory);
    memcpy(CMSG_DATA(header), &memory, sizeof memory);
    if (sendmsg(client, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) errno = 0;
}

// Seals the memory and writes its copy. 0, or -1 with errno: EBUSY while a QEMU still writes to it.
static int save(int memory) {
    struct stat status;
    if (fcntl(memory, F_ADD_SEALS, SEALS) < 0 && errno != EPERM) return -1;
    if (!(fcntl(memory, F_GET_SEALS) & F_SEAL_WRITE) || fstat(memory, &status) < 0) return -1;
    int file = open("memory.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) return -1;
    bool whole = ftruncate(file, status.st_size) == 0 && copy_sparse(memory, file, status.st_size) == 0 && fsync(file) == 0;
    int number = errno;
    close(file);
    if (whole && rename("memory.new", "memory") == 0) return 0;
    if (whole) number = errno;
    unlink("memory.new");
    errno = number;
    return -1;
}

static bool obey(int client, int memory) {
    char order[64], answer[200];
    ssize_t count = read(client, order, sizeof order);
    if (count <= 0) return count < 0 && errno == EAGAIN;
    if (count == 4 && !memcmp(order, "end\n", 4)) {
        unlink("shim.sock");
        exit(0);
    }
    if (count == 5 && !memcmp(order, "save\n", 5)) {
        int length = save(memory) == 0 ? snprintf(answer, sizeof answer, "{\"event\":\"saved\"}\n")
                                       : snprintf(answer, sizeof answer, "{\"event\":\"failed\",\"busy\":%s,\"reason\":\"%s\"}\n",
                                                  errno == EBUSY ? "true" : "false", strerror(errno));
        if (send(client, answer, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) errno = 0;
    }
    return true;
}

int hold(const struct options *options, int listener, int ready) {
    int clients[MAX_CLIENTS];
    char text[256];
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0) return 70;
    for (int i = 0; i < MAX_CLIENTS; i++) clients[i] = -1;
    size_t length = format_holding(options->memory, text, sizeof text);
    if (write(ready, text, length) < 0) errno = 0;
    close(ready);
    for (;;) {
        struct pollfd sources[2 + MAX_CLIENTS] = {{signals, POLLIN, 0}, {listener, POLLIN, 0}};
        for (int i = 0; i < MAX_CLIENTS; i++) sources[2 + i] = (struct pollfd){clients[i], POLLIN, 0};
        if (poll(sources, 2 + MAX_CLIENTS, -1) < 0 && errno != EINTR) return 70;
        if (sources[0].revents) break;
        for (int i = 0; i < MAX_CLIENTS; i++) {
            if (clients[i] < 0 || !sources[2 + i].revents || obey(clients[i], options->memory)) continue;
            close(clients[i]);
            clients[i] = -1;
        }
        if (!sources[1].revents) continue;
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), place = 0;
        while (place < MAX_CLIENTS && clients[place] >= 0) place++;
        if (client < 0) continue;
        give(client, options->memory);
        if (place < MAX_CLIENTS) clients[place] = client;
        else close(client);
    }
    unlink("shim.sock");
    return 0;
}
