// What the shim says about a run, as JSON.
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const char *const confinement_names[] = {"namespaces", "landlock-and-network", "landlock"};

int64_t realtime_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

int64_t monotonic_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

size_t format_status(const struct run *run, char *text, size_t capacity) {
    int length = snprintf(text, capacity,
                          "{\"event\":\"running\",\"shimPid\":%d,\"qemuPid\":%d,\"startedAtMs\":%lld,\"confinement\":\"%s\"}\n",
                          (int)getpid(), (int)run->pid, (long long)run->started_ms, confinement_names[run->level]);
    return length < 0 ? 0 : (size_t)length;
}

// A JSON string of octets from outside: whatever is not plain ASCII is escaped, octet by octet.
static size_t quote(const char *octets, size_t count, char *text, size_t capacity) {
    size_t length = 0;
    text[length++] = '"';
    for (size_t i = 0; i < count && length + 8 < capacity; i++) {
        unsigned char octet = (unsigned char)octets[i];
        if (octet == '"' || octet == '\\') {
            text[length++] = '\\';
            text[length++] = (char)octet;
        } else if (octet >= 0x20 && octet < 0x7f) {
            text[length++] = (char)octet;
        } else {
            length += (size_t)snprintf(text + length, 7, "\\u%04x", octet);
        }
    }
    text[length++] = '"';
    text[length] = 0;
    return length;
}

size_t format_exit(const struct run *run, char *text, size_t capacity) {
    char words[STDERR_KEPT * 6 + 16], code[16] = "null", number[16] = "null", reason[80] = "null", requested[24] = "null";
    quote(run->words, run->words_count, words, sizeof words);
    if (WIFEXITED(run->status)) snprintf(code, sizeof code, "%d", WEXITSTATUS(run->status));
    if (WIFSIGNALED(run->status)) snprintf(number, sizeof number, "%d", WTERMSIG(run->status));
    if (run->reason[0]) snprintf(reason, sizeof reason, "\"%s\"", run->reason);
    if (run->requested) snprintf(requested, sizeof requested, "\"%s\"", run->requested);
    const struct timeval *user = &run->usage.ru_utime, *system = &run->usage.ru_stime;
    int length = snprintf(
        text, capacity,
        "{\"event\":\"exited\",\"exitCode\":%s,\"signal\":%s,\"reason\":%s,\"panicked\":%s,\"requested\":%s,"
        "\"startedAtMs\":%lld,\"endedAtMs\":%lld,\"userMs\":%lld,\"systemMs\":%lld,\"maxRSSKiB\":%ld,\"stderr\":%s}\n",
        code, number, reason, run->panicked ? "true" : "false", requested, (long long)run->started_ms,
        (long long)run->ended_ms, user->tv_sec * 1000LL + user->tv_usec / 1000,
        system->tv_sec * 1000LL + system->tv_usec / 1000, run->usage.ru_maxrss, words);
    return length < 0 || (size_t)length >= capacity ? 0 : (size_t)length;
}

int write_exit_report(const char *text, size_t count) {
    int file = open("exit.json.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) return -1;
    bool whole = write(file, text, count) == (ssize_t)count && fsync(file) == 0;
    close(file);
    return whole && rename("exit.json.new", "exit.json") == 0 ? 0 : -1;
}
