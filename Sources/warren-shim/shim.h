// warren-shim: starts one QEMU, confines it, watches over it, and tells what became of it.
//
// Layout of a VM's directory (the working directory of the shim):
//   lock        held with flock() while the shim lives: the only proof of life
//   shim.sock   control socket: a status line on connect, `kill` and `terminate`, the exit report, then end of file
//   exit.json   how the last run ended, written atomically
//   jail/       mount point of QEMU's root file system (empty as seen from outside)
//   run/        QEMU's working directory, its own: sockets and console.log
//
// Layout of a template's directory:
//   lock        as above
//   shim.sock   on connect a status line and, with it, the memory's descriptor; `save` and `end`
//   memory      a copy of the sealed memory, from which it is made anew after a restart of the host
#pragma once
#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#define MAX_EXPOSED 16
#define STDERR_KEPT 4096 // octets of QEMU's last words
// What QEMU's command line calls the descriptors of a template.
#define MEMORY_DESCRIPTOR 5
#define STATE_DESCRIPTOR 6

struct options {
    const char *directory;
    const char *qemu;        // absolute path
    const char *device;      // /dev/kvm, or null
    const char *exposed[MAX_EXPOSED];
    size_t exposed_count;
    long memory_mib, cpus, console_kib;
    long uid, gid;           // -1 = stay
    const char *memory_from; // socket of the shim that holds a template's memory, or null
    const char *state_path;  // what the devices of a saved guest come from, or null
    int memory, state;       // their descriptors, -1 = none
    char **arguments;        // of QEMU, null-terminated
    int argument_count;
};

// How far the confinement went; tried from the top.
enum confinement { NAMESPACES, LANDLOCK_AND_NETWORK, LANDLOCK, CONFINEMENT_COUNT };
extern const char *const confinement_names[];

// confine.c: forks the process that becomes QEMU. `monitor` and `words` become its descriptors 3 and 1+2.
// Returns its pid, or -1 with the reason in `problem`.
pid_t start_qemu(const struct options *options, int monitor, int words, enum confinement *level, char *problem,
                 size_t problem_size);

// landlock.c: allows `writable` to be written and `readable` to be read, and nothing else. 0, or -1 with errno.
int restrict_to(const char *const *readable, size_t readable_count, const char *const *writable, size_t writable_count);

// What is known about one run.
struct run {
    pid_t pid;
    enum confinement level;
    int64_t started_ms, ended_ms;
    int status;
    struct rusage usage;
    bool panicked;
    char reason[64];         // of QEMU's SHUTDOWN event, or empty
    const char *requested;   // "kill" or "terminate" when the control socket asked for the end
    char words[STDERR_KEPT];
    size_t words_count;
};

// report.c
size_t format_status(const struct run *run, char *text, size_t capacity);
size_t format_exit(const struct run *run, char *text, size_t capacity);
int write_exit_report(const char *text, size_t count);

// console.c: keeps the log at `path` within its limit.
struct console {
    int file, watch;
    off_t limit;
};
int console_open(struct console *console, const char *path, long limit_kib, long uid, long gid);
void console_bound(struct console *console);

// supervise.c: runs until QEMU is gone. `ready` gets the status line, or the reason why there is none, and is closed.
int supervise(const struct options *options, int listener, int ready);

// hold.c: the memory of a template, filled from the file `memory` where that exists; -1 with errno.
int open_memory(long mib);
// Takes over the descriptor of a memory from the shim that listens at `path`; -1 with errno.
int receive_memory(const char *path);
// Gives the memory to whoever connects, until told to end.
int hold(const struct options *options, int listener, int ready);

int64_t realtime_ms(void);
int64_t monotonic_ms(void);
void discard_octets(int descriptor);
