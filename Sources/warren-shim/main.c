// The command line: warren-shim run --directory DIR --qemu PATH … -- QEMU-ARGUMENTS
//                   warren-shim hold --directory DIR --memory-mib N
//
// `run` returns once QEMU answers on its monitor, `hold` once the memory is there (a status line is on standard output);
// or the reason why not is on standard error. The shim itself stays behind in a session of its own.
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_USAGE = 64, EXIT_FAILED = 70, EXIT_RUNNING = 75 };

static int usage(const char *problem) {
    fprintf(stderr, "warren-shim: %s\n"
            "usage: warren-shim run --directory DIR --qemu PATH --memory-mib N [--cpus N] [--console-kib N]\n"
            "           [--uid N --gid N] [--device PATH] [--expose PATH]... [--memory-from SOCKET] [--state FILE]\n"
            "           -- QEMU-ARGUMENTS...\n"
            "       warren-shim hold --directory DIR --memory-mib N\n", problem);
    return EXIT_USAGE;
}

static int failed(const char *what) {
    fprintf(stderr, "warren-shim: %s: %s\n", what, strerror(errno));
    return EXIT_FAILED;
}

static long number(const char *text) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    return errno || *end || end == text || value < 0 ? -2 : value;
}

static const char *parse(int argc, char **argv, struct options *options) {
    static const struct option table[] = {
        {"directory", 1, 0, 'd'}, {"qemu", 1, 0, 'q'}, {"memory-mib", 1, 0, 'm'}, {"cpus", 1, 0, 'c'},
        {"console-kib", 1, 0, 'k'}, {"uid", 1, 0, 'u'}, {"gid", 1, 0, 'g'}, {"device", 1, 0, 'D'},
        {"expose", 1, 0, 'e'}, {"memory-from", 1, 0, 'M'}, {"state", 1, 0, 's'}, {0, 0, 0, 0},
    };
    *options = (struct options){.cpus = 1, .console_kib = 1024, .uid = -1, .gid = -1, .memory = -1, .state = -1};
    int letter;
    opterr = 0;
    while ((letter = getopt_long(argc, argv, "+", table, NULL)) != -1) {
        switch (letter) {
        case 'd': options->directory = optarg; break;
        case 'q': options->qemu = optarg; break;
        case 'D': options->device = optarg; break;
        case 'M': options->memory_from = optarg; break;
        case 's': options->state_path = optarg; break;
        case 'm': options->memory_mib = number(optarg); break;
        case 'c': options->cpus = number(optarg); break;
        case 'k': options->console_kib = number(optarg); break;
        case 'u': options->uid = number(optarg); break;
        case 'g': options->gid = number(optarg); break;
        case 'e':
            if (options->exposed_count == MAX_EXPOSED) return "too many --expose";
            if (optarg[0] != '/') return "--expose needs an absolute path";
            options->exposed[options->exposed_count++] = optarg;
            break;
        default: return "unknown option";
        }
    }
    options->arguments = argv + optind;
    options->argument_count = argc - optind;
    if (!options->directory) return "--directory is needed";
    if (options->memory_mib <= 0 || options->cpus <= 0 || options->console_kib <= 0) return "a number is missing or not one";
    return NULL;
}

static const char *check_run(const struct options *options) {
    if (!options->qemu || options->qemu[0] != '/') return "an absolute --qemu is needed";
    if (options->state_path && !options->memory_from) return "--state needs --memory-from";
    if (options->uid == -2 || options->gid == -2 || (options->uid < 0) != (options->gid < 0)) return "--uid and --gid go together";
    if (options->uid == 0 || options->gid == 0) return "QEMU does not run as root";
    return NULL;
}

// QEMU's directory: what an earlier run left there goes, except the console log.
static int prepare_run_directory(const struct options *options) {
    static const char *const sockets[] = {"qmp.sock", "agent.sock", "console.sock", "net.sock", "state.sock"};
    if (mkdir("jail", 0700) < 0 && errno != EEXIST) return -1;
    if (mkdir("run", 0700) < 0 && errno != EEXIST) return -1;
    int run = open("run", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (run < 0) return -1;
    for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++)
        if (unlinkat(run, sockets[i], 0) < 0 && errno != ENOENT) return -1;
    if (options->uid >= 0 && fchown(run, (uid_t)options->uid, (gid_t)options->gid) < 0) return -1;
    close(run);
    return 0;
}

static int listen_for_control(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "shim.sock"};
    unlink(address.sun_path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0) return -1;
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 8) < 0) return -1;
    return listener;
}

// Passes on what the shim says: its status line starts with '{', everything else is the reason of a failure.
static int wait_until_ready(int ready) {
    char text[8192];
    size_t count = 0;
    ssize_t got;
    while (count < sizeof text && ((got = read(ready, text + count, sizeof text - count)) > 0 || (got < 0 && errno == EINTR)))
        if (got > 0) count += (size_t)got;
    bool running = count > 0 && text[0] == '{';
    fwrite(text, 1, count, running ? stdout : stderr);
    if (count == 0) fputs("warren-shim: ended without a word\n", stderr);
    return running ? 0 : EXIT_FAILED;
}

// What a shim that stays behind keeps open; everything else that the daemon had open is not its own.
static int keep_only(int *descriptors, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (descriptors[i] < 0) continue;
        descriptors[i] = fcntl(descriptors[i], F_DUPFD_CLOEXEC, 64);
        if (descriptors[i] < 0) return -1;
    }
    unsigned next = 3;
    for (;;) {
        unsigned nearest = ~0U;
        for (size_t i = 0; i < count; i++)
            if (descriptors[i] >= (int)next && (unsigned)descriptors[i] < nearest) nearest = (unsigned)descriptors[i];
        if (nearest > next) close_range(next, nearest == ~0U ? ~0U : nearest - 1, 0);
        if (nearest == ~0U) return 0;
        next = nearest + 1;
    }
}

// From here on nothing may tie the shim to the daemon: no terminal, no pipe, no process group.
static void leave_daemon(void) {
    setsid();
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    int null = open("/dev/null", O_RDWR);
    for (int i = 0; i < 3; i++) dup2(null, i);
}

int main(int argc, char **argv) {
    struct options options;
    bool holds = argc >= 2 && !strcmp(argv[1], "hold");
    if (argc < 2 || (!holds && strcmp(argv[1], "run"))) return usage("unknown command");
    const char *problem = parse(argc - 1, argv + 1, &options);
    if (!problem && !holds) problem = check_run(&options);
    if (problem) return usage(problem);
    umask(077);
    if (chdir(options.directory) < 0) return failed(options.directory);
    int lock = open("lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0) return failed("lock");
    if (flock(lock, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK) return failed("lock");
        fputs(holds ? "warren-shim: the memory is held already\n" : "warren-shim: the VM is running already\n", stderr);
        return EXIT_RUNNING;
    }
    if (holds) {
        options.memory = open_memory(options.memory_mib);
        if (options.memory < 0) return failed("memory");
    } else {
        if (unlink("exit.json") < 0 && errno != ENOENT) return failed("exit.json");
        if (prepare_run_directory(&options) < 0) return failed("run");
        if (options.memory_from && (options.memory = receive_memory(options.memory_from)) < 0) return failed(options.memory_from);
        if (options.state_path && (options.state = open(options.state_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) < 0)
            return failed(options.state_path);
    }
    int listener = listen_for_control(), ready[2];
    if (listener < 0) return failed("shim.sock");
    if (pipe2(ready, O_CLOEXEC) < 0) return failed("pipe");

    pid_t pid = fork();
    if (pid < 0) return failed("fork");
    if (pid > 0) {
        close(ready[1]);
        return wait_until_ready(ready[0]);
    }
    close(ready[0]);
    leave_daemon();
    int kept[] = {lock, listener, ready[1], options.memory, options.state};
    if (keep_only(kept, sizeof kept / sizeof *kept) < 0) return EXIT_FAILED;
    options.memory = kept[3];
    options.state = kept[4];
    return holds ? hold(&options, kept[1], kept[2]) : supervise(&options, kept[1], kept[2]);
}
