// Landlock: the file system as far as it is named, for machines where mounts cannot be made.
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// Constants of <linux/landlock.h>, which older kernel headers have only in part.
#define RULE_PATH_BENEATH 1
#define CREATE_RULESET_VERSION 1U
#define ACCESS_EXECUTE (1ULL << 0)
#define ACCESS_WRITE_FILE (1ULL << 1)
#define ACCESS_READ_FILE (1ULL << 2)
#define ACCESS_READ_DIRECTORY (1ULL << 3)
#define ACCESS_TRUNCATE (1ULL << 14)
#define ACCESS_DEVICE_IOCTL (1ULL << 15)

struct ruleset { uint64_t files, network; };
struct path_rule { uint64_t allowed; int32_t parent; } __attribute__((packed));

static int allow(int ruleset, const char *path, uint64_t access) {
    struct path_rule rule = {.allowed = access, .parent = open(path, O_PATH | O_CLOEXEC)};
    if (rule.parent < 0) return errno == ENOENT ? 0 : -1;
    struct stat status;
    if (fstat(rule.parent, &status) == 0 && !S_ISDIR(status.st_mode))
        rule.allowed &= ACCESS_EXECUTE | ACCESS_WRITE_FILE | ACCESS_READ_FILE | ACCESS_TRUNCATE | ACCESS_DEVICE_IOCTL;
    int result = (int)syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent);
    return result;
}

int restrict_to(const char *const *readable, size_t readable_count, const char *const *writable, size_t writable_count) {
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
    if (version < 1) return -1;
    // Version 1 has 13 kinds of access; 2 added refer, 3 truncate, 5 ioctl. Version 4 added TCP bind and connect.
    uint64_t all = version >= 5 ? 0xffff : version >= 3 ? 0x7fff : version >= 2 ? 0x3fff : 0x1fff;
    struct ruleset handled = {.files = all, .network = version >= 4 ? 3 : 0};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, version >= 4 ? sizeof handled : sizeof handled.files, 0);
    if (ruleset < 0) return -1;
    int result = 0;
    for (size_t i = 0; i < readable_count && result == 0; i++)
        result = allow(ruleset, readable[i], ACCESS_EXECUTE | ACCESS_READ_FILE | ACCESS_READ_DIRECTORY);
    for (size_t i = 0; i < writable_count && result == 0; i++) result = allow(ruleset, writable[i], all);
    if (result == 0) result = (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
    close(ruleset);
    return result;
}
