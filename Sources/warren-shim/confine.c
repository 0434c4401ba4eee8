// From a forked process to a confined QEMU: namespaces, a root file system of its own, uid, capabilities, limits.
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// What QEMU reads of the system: its program, libraries and firmware. The rest of the machine does not exist for it.
static const char *const system_paths[] = {"/usr", "/lib", "/lib64", "/lib32", "/bin", "/sbin", "/opt", "/etc/ld.so.cache", "/nix/store"};
static const char *const device_paths[] = {"/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static int report_to = -1;

// Tells the shim why this attempt failed and ends.
static void give_up(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void give_up(const char *format, ...) {
    char text[512];
    int number = errno;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text - 100, format, arguments);
    va_end(arguments);
    length += snprintf(text + length, sizeof text - (size_t)length, ": %s", strerror(number));
    if (write(report_to, text, (size_t)length) < 0) _exit(126);
    _exit(127);
}

static void write_text(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0 || write(file, text, strlen(text)) < 0) give_up("%s", path);
    close(file);
}

// Inside a user namespace the process keeps its one uid and gid, and nothing else exists.
static void map_ids(uid_t uid, gid_t gid) {
    char text[64];
    write_text("/proc/self/setgroups", "deny");
    snprintf(text, sizeof text, "%u %u 1", uid, uid);
    write_text("/proc/self/uid_map", text);
    snprintf(text, sizeof text, "%u %u 1", gid, gid);
    write_text("/proc/self/gid_map", text);
}

static void make_parents(char *path) {
    for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        if (mkdir(path, 0755) < 0 && errno != EEXIST) give_up("mkdir %s", path);
        *slash = '/';
    }
}

// Shows `source` at `target` below the new root. Symbolic links such as /lib are copied as what they are.
static void show(const char *source, const char *target, bool read_only) {
    char place[4096];
    struct stat status;
    struct statvfs mounted;
    if (lstat(source, &status) < 0) {
        if (errno == ENOENT) return;
        give_up("%s", source);
    }
    if (snprintf(place, sizeof place, "jail%s", target) >= (int)sizeof place) {
        errno = ENAMETOOLONG;
        give_up("%s", source);
    }
    make_parents(place);
    if (S_ISLNK(status.st_mode)) {
        char text[4096];
        ssize_t length = readlink(source, text, sizeof text - 1);
        if (length < 0) give_up("%s", source);
        text[length] = 0;
        if (symlink(text, place) < 0 && errno != EEXIST) give_up("symlink %s", place);
        return;
    }
    if (S_ISDIR(status.st_mode)) {
        if (mkdir(place, 0755) < 0 && errno != EEXIST) give_up("mkdir %s", place);
    } else {
        int file = open(place, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (file < 0) give_up("%s", place);
        close(file);
    }
    if (mount(source, place, NULL, MS_BIND | MS_REC, NULL) < 0) give_up("bind %s", source);
    if (!read_only) return;
    // In a user namespace the flags that the mount came with are locked, so they are given again.
    if (statvfs(place, &mounted) < 0) give_up("%s", place);
    unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY;
    if (mounted.f_flag & ST_NOSUID) flags |= MS_NOSUID;
    if (mounted.f_flag & ST_NODEV) flags |= MS_NODEV;
    if (mounted.f_flag & ST_NOEXEC) flags |= MS_NOEXEC;
    if (mounted.f_flag & ST_NOATIME) flags |= MS_NOATIME;
    if (mounted.f_flag & ST_RELATIME) flags |= MS_RELATIME;
    if (mounted.f_flag & ST_NODIRATIME) flags |= MS_NODIRATIME;
    if (mount(NULL, place, NULL, flags, NULL) < 0) give_up("read-only %s", source);
}

static void enter_own_root(const struct options *options) {
    // The directories on the way belong to us, but QEMU has to pass through them.
    mode_t mask = umask(022);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) give_up("private mounts");
    if (mount("tmpfs", "jail", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=64k") < 0) give_up("tmpfs");
    for (size_t i = 0; i < COUNT(system_paths); i++) show(system_paths[i], system_paths[i], true);
    for (size_t i = 0; i < options->exposed_count; i++) show(options->exposed[i], options->exposed[i], true);
    for (size_t i = 0; i < COUNT(device_paths); i++) show(device_paths[i], device_paths[i], false);
    if (options->device) show(options->device, options->device, false);
    // A memory that came as a descriptor has no other name; of /proc there is nothing but that.
    if (options->memory >= 0) show("/proc/self/fd/", "/proc/self/fd", false);
    // At its own name, so that whoever lists processes sees whose QEMU this is.
    char own[4096], name[4096 + 4];
    if (!getcwd(own, sizeof own)) give_up("working directory");
    snprintf(name, sizeof name, "%s/run", own);
    show("run", name, false);
    if (chdir("jail") < 0 || syscall(SYS_pivot_root, ".", ".") < 0) give_up("pivot_root");
    if (umount2(".", MNT_DETACH) < 0) give_up("unmount");
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0) give_up("read-only root");
    if (chdir(name) < 0) give_up("%s", name);
    umask(mask);
}

static void enter_landlock(const struct options *options) {
    const char *readable[COUNT(system_paths) + MAX_EXPOSED], *writable[COUNT(device_paths) + 2];
    size_t readable_count = 0, writable_count = 0;
    for (size_t i = 0; i < COUNT(system_paths); i++) readable[readable_count++] = system_paths[i];
    for (size_t i = 0; i < options->exposed_count; i++) readable[readable_count++] = options->exposed[i];
    for (size_t i = 0; i < COUNT(device_paths); i++) writable[writable_count++] = device_paths[i];
    if (options->device) writable[writable_count++] = options->device;
    if (chdir("run") < 0) give_up("run");
    writable[writable_count++] = ".";
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) give_up("no_new_privs");
    // With a uid of its own the file modes hold QEMU as well, so a kernel without Landlock is good enough then.
    if (restrict_to(readable, readable_count, writable, writable_count) < 0 && options->uid < 0) give_up("landlock");
}

static void limit(int resource, const char *name, rlim_t value) {
    struct rlimit now, wanted = {value, value};
    if (getrlimit(resource, &now) == 0 && now.rlim_max < value) wanted = (struct rlimit){now.rlim_max, now.rlim_max};
    if (setrlimit(resource, &wanted) < 0) give_up("limit %s", name);
}

// Address space: the guest's memory, QEMU itself (under 700 MiB measured with tb-size=32) and a malloc arena and stack
// for each thread. A file: the console log with room for what is written between two cuts.
static void set_limits(const struct options *options) {
    const rlim_t mebibyte = 1 << 20;
    limit(RLIMIT_AS, "as", ((rlim_t)options->memory_mib + 2048 + 256 * (rlim_t)options->cpus) * mebibyte);
    limit(RLIMIT_FSIZE, "fsize", 64 * mebibyte + (rlim_t)options->console_kib * 8192);
    limit(RLIMIT_NOFILE, "nofile", 256);
    limit(RLIMIT_NPROC, "nproc", 256);
    limit(RLIMIT_CORE, "core", 0);
    limit(RLIMIT_MEMLOCK, "memlock", 64 << 10);
}

static void drop_privileges(const struct options *options, gid_t device_group) {
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 && errno != EPERM) give_up("bounding set");
    if (options->uid >= 0) {
        if (setgroups(options->device ? 1 : 0, &device_group) < 0) give_up("setgroups");
        if (setresgid((gid_t)options->gid, (gid_t)options->gid, (gid_t)options->gid) < 0) give_up("setresgid");
        if (setresuid((uid_t)options->uid, (uid_t)options->uid, (uid_t)options->uid) < 0) give_up("setresuid");
    }
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
    if (syscall(SYS_capset, &header, none) < 0) give_up("capset");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) give_up("no_new_privs");
}

static void become_qemu(const struct options *options, int monitor, int words, enum confinement level, bool user_namespace,
                        uid_t uid, gid_t gid) {
    struct stat device = {0};
    int null = open("/dev/null", O_RDWR);
    // Above everything that is put into place below.
    int high_monitor = fcntl(monitor, F_DUPFD_CLOEXEC, 16), high_words = fcntl(words, F_DUPFD_CLOEXEC, 16);
    int memory = options->memory < 0 ? -1 : fcntl(options->memory, F_DUPFD_CLOEXEC, 16);
    int state = options->state < 0 ? -1 : fcntl(options->state, F_DUPFD_CLOEXEC, 16);
    report_to = fcntl(report_to, F_DUPFD_CLOEXEC, 16);
    if (null < 0 || high_monitor < 0 || high_words < 0 || report_to < 0) _exit(127);
    if ((memory < 0) != (options->memory < 0) || (state < 0) != (options->state < 0)) _exit(127);
    dup2(null, 0);
    dup2(high_words, 1);
    dup2(high_words, 2);
    dup2(high_monitor, 3);
    dup3(report_to, 4, O_CLOEXEC);
    report_to = 4;
    if (memory >= 0) dup2(memory, MEMORY_DESCRIPTOR);
    if (state >= 0) dup2(state, STATE_DESCRIPTOR);
    if (memory < 0) close(MEMORY_DESCRIPTOR);
    if (state < 0) close(STATE_DESCRIPTOR);
    close_range(STATE_DESCRIPTOR + 1, ~0U, 0);
    if (user_namespace) map_ids(uid, gid);
    // Among the first to go when memory runs out, before the daemon and the shims.
    int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (score >= 0) {
        if (write(score, "300", 3) < 0) errno = 0;
        close(score);
    }
    if (options->device && stat(options->device, &device) < 0) give_up("%s", options->device);
    if (level == NAMESPACES) enter_own_root(options);
    else enter_landlock(options);
    set_limits(options);
    drop_privileges(options, device.st_gid);
    // A change of credentials clears this, so it comes last: a QEMU without its shim would be nobody's.
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) give_up("death signal");

    char **arguments = calloc((size_t)options->argument_count + 6, sizeof *arguments);
    if (!arguments) give_up("arguments");
    int count = 0;
    arguments[count++] = (char *)options->qemu;
    for (int i = 0; i < options->argument_count; i++) arguments[count++] = options->arguments[i];
    // The shim's own monitor: it hears why a guest ended also while no daemon listens.
    arguments[count++] = "-chardev";
    arguments[count++] = "socket,id=shim,fd=3";
    arguments[count++] = "-mon";
    arguments[count++] = "chardev=shim,mode=control";
    char *environment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C", "HOME=/", NULL};
    sigset_t nothing;
    sigemptyset(&nothing);
    sigprocmask(SIG_SETMASK, &nothing, NULL);
    signal(SIGHUP, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    execve(options->qemu, arguments, environment);
    give_up("%s", options->qemu);
}

pid_t start_qemu(const struct options *options, int monitor, int words, enum confinement *level, char *problem,
                 size_t problem_size) {
    uid_t uid = geteuid();
    gid_t gid = getegid();
    size_t written = 0;
    problem[0] = 0;
    for (*level = NAMESPACES; *level < CONFINEMENT_COUNT; (*level)++) {
        unsigned long flags = SIGCHLD;
        bool user_namespace = false;
        if (*level <= LANDLOCK_AND_NETWORK) {
            flags |= CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
            // With a uid of its own QEMU can signal nobody; sharing ours it needs a process table of its own as well.
            if (options->uid < 0) flags |= CLONE_NEWUSER | CLONE_NEWPID;
            user_namespace = options->uid < 0;
        }
        if (*level == NAMESPACES) flags |= CLONE_NEWNS;
        int report[2];
        if (pipe2(report, O_CLOEXEC) < 0) return -1;
        pid_t pid = (pid_t)syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);
        if (pid == 0) {
            report_to = report[1];
            become_qemu(options, monitor, words, *level, user_namespace, uid, gid);
        }
        int number = errno;
        close(report[1]);
        char text[512] = "";
        ssize_t count = 0;
        if (pid > 0) {
            while ((count = read(report[0], text, sizeof text - 1)) < 0 && errno == EINTR) {}
        } else {
            count = snprintf(text, sizeof text, "clone: %s", strerror(number));
        }
        close(report[0]);
        // End of file without a word: exec closed the pipe.
        if (pid > 0 && count == 0) return pid;
        if (pid > 0) waitpid(pid, NULL, 0);
        text[count > 0 ? count : 0] = 0;
        int length = snprintf(problem + written, problem_size - written, "%s%s: %s", written ? "; " : "",
                              confinement_names[*level], text);
        if (length > 0 && written + (size_t)length < problem_size) written += (size_t)length;
    }
    return -1;
}
