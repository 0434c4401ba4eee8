// The guest agent of the micro image: qemu-guest-agent's JSON over a virtio-serial port.
#pragma once
#define _GNU_SOURCE
#include <json-c/json.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define AGENT_VERSION "warren-agent 2"
#define MAX_JOBS 32
#define OUTPUT_LIMIT (1 << 20) // octets kept of each output stream; more is read and thrown away
#define MAX_REQUEST (8 << 20)  // octets of one request

// The answer to a request: `value` is what stands under "return"; null together with an `error` is a failure.
struct reply {
    json_object *value;
    char error[200];
    bool silent;        // nothing is sent back
    bool sync;          // the octet 0xFF goes first
};

struct reply reply_value(json_object *value);
struct reply reply_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
struct reply reply_errno(const char *what);

typedef struct reply command_function(json_object *arguments);
struct command {
    const char *name;
    command_function *function;
};
extern const struct command commands[];
extern const size_t command_count;

const char *string_argument(json_object *arguments, const char *name);
bool integer_argument(json_object *arguments, const char *name, int64_t *value);
json_object *base64_encode(const uint8_t *octets, size_t count);
// Decodes into memory that the caller frees; null when `text` is not base64.
uint8_t *base64_decode(const char *text, size_t *count);

long long monotonic_ms(void);

// exec.c
command_function guest_exec, guest_exec_status;
size_t exec_poll_entries(struct pollfd *entries, size_t capacity);
void exec_handle(const struct pollfd *entries, size_t count);
void exec_reap(void);
// Milliseconds until a job's time is up, -1 for never.
int exec_timeout(void);

// files.c
command_function guest_file_open, guest_file_close, guest_file_read, guest_file_write, guest_file_seek, guest_file_flush;

// system.c
command_function guest_shutdown, guest_set_time, guest_get_time, guest_get_host_name, guest_get_osinfo,
    guest_network_get_interfaces;

// identity.c
command_function warren_reidentify;
