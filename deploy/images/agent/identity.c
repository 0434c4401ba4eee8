// warren-reidentify: a copy of a saved guest becomes a machine of its own.
#include "agent.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SEED_MINIMUM 32
#define SEED_MAXIMUM 512

// Gives the kernel's generator octets that no other copy has, and makes it use them from now on.
static int reseed(const uint8_t *seed, size_t count) {
    struct {
        struct rand_pool_info head;
        uint8_t octets[SEED_MAXIMUM];
    } pool = {.head = {.entropy_count = (int)count * 8, .buf_size = (int)count}};
    memcpy(pool.head.buf, seed, count);
    int device = open("/dev/urandom", O_RDWR | O_CLOEXEC);
    if (device < 0) return -1;
    int result = ioctl(device, RNDADDENTROPY, &pool);
    if (result == 0) result = ioctl(device, RNDRESEEDCRNG);
    int number = errno;
    close(device);
    errno = number;
    return result;
}

static int write_line(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0) return -1;
    int result = dprintf(file, "%s\n", text) < 0 ? -1 : 0;
    close(file);
    return result;
}

static bool is_machine_id(const char *text) { return strlen(text) == 32 && strspn(text, "0123456789abcdef") == 32; }

// One label, as a host name may be.
static bool is_label(const char *text) {
    size_t length = strlen(text);
    return length > 0 && length < 64 && text[0] != '-' && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

// What an image adds: new SSH host keys, for example.
static struct reply run_hook(void) {
    static const char hook[] = "/etc/warren/reidentify";
    if (access(hook, X_OK) < 0) return reply_value(NULL);
    int status = system(hook);
    return status == 0 ? reply_value(NULL) : reply_error("%s ended with status %d", hook, status);
}

struct reply warren_reidentify(json_object *arguments) {
    const char *encoded = string_argument(arguments, "seed"), *host = string_argument(arguments, "hostname");
    const char *machine = string_argument(arguments, "machine-id");
    int64_t nanoseconds;
    size_t count = 0;
    uint8_t *seed = encoded ? base64_decode(encoded, &count) : NULL;
    struct reply reply = {0};
    if (!seed || count < SEED_MINIMUM || count > SEED_MAXIMUM) reply = reply_error("seed is not base64 of 32 to 512 octets");
    else if (!integer_argument(arguments, "time", &nanoseconds) || nanoseconds < 0) reply = reply_error("time is missing");
    else if (!machine || !is_machine_id(machine)) reply = reply_error("machine-id is not 32 hex digits");
    else if (host && !is_label(host)) reply = reply_error("hostname is not a label");
    // Before everything else: whatever is made from here on is made of these octets.
    else if (reseed(seed, count) < 0) reply = reply_errno("random");
    if (seed) {
        explicit_bzero(seed, count);
        free(seed);
    }
    if (reply.error[0]) return reply;
    struct timespec now = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    if (clock_settime(CLOCK_REALTIME, &now) < 0) return reply_errno("clock");
    if (write_line("/etc/machine-id", machine) < 0) return reply_errno("/etc/machine-id");
    if (host && (sethostname(host, strlen(host)) < 0 || write_line("/etc/hostname", host) < 0)) return reply_errno("hostname");
    return run_hook();
}
