// guest-file-*: files by handle, as qemu-guest-agent has them.
#include "agent.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILES 64
#define READ_LIMIT (1 << 20) // octets of one read
static FILE *files[MAX_FILES];

// The open file of the request's handle; null when there is none.
static FILE **file_argument(json_object *arguments) {
    int64_t handle;
    if (!integer_argument(arguments, "handle", &handle) || handle < 1 || handle > MAX_FILES || !files[handle - 1]) return NULL;
    return &files[handle - 1];
}

struct reply guest_file_open(json_object *arguments) {
    const char *path = string_argument(arguments, "path"), *mode = string_argument(arguments, "mode");
    if (!path) return reply_error("path is missing");
    if (!mode) mode = "r";
    static const char *const modes[] = {"r", "rb", "w", "wb", "a", "ab", "r+", "rb+", "r+b", "w+", "wb+", "w+b", "a+", "ab+", "a+b"};
    bool known = false;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) known |= !strcmp(modes[i], mode);
    if (!known) return reply_error("invalid file open mode '%.10s'", mode);
    for (int i = 0; i < MAX_FILES; i++) {
        if (files[i]) continue;
        char with_cloexec[8];
        snprintf(with_cloexec, sizeof with_cloexec, "%se", mode);
        files[i] = fopen(path, with_cloexec);
        return files[i] ? reply_value(json_object_new_int(i + 1)) : reply_errno(path);
    }
    return reply_error("too many open files");
}

struct reply guest_file_close(json_object *arguments) {
    FILE **file = file_argument(arguments);
    if (!file) return reply_error("handle not found");
    int result = fclose(*file);
    *file = NULL;
    return result == 0 ? reply_value(NULL) : reply_errno("close");
}

struct reply guest_file_read(json_object *arguments) {
    FILE **file = file_argument(arguments);
    int64_t count = 4096;
    integer_argument(arguments, "count", &count);
    if (!file) return reply_error("handle not found");
    if (count < 0) return reply_error("count is negative");
    if (count > READ_LIMIT) count = READ_LIMIT;
    uint8_t *buffer = malloc((size_t)count + 1);
    if (!buffer) return reply_error("out of memory");
    size_t got = fread(buffer, 1, (size_t)count, *file);
    struct reply reply;
    if (got == 0 && ferror(*file)) {
        reply = reply_errno("read");
        clearerr(*file);
    } else {
        json_object *result = json_object_new_object();
        json_object_object_add(result, "count", json_object_new_int64((int64_t)got));
        json_object_object_add(result, "buf-b64", base64_encode(buffer, got));
        json_object_object_add(result, "eof", json_object_new_boolean(feof(*file) != 0));
        reply = reply_value(result);
    }
    free(buffer);
    return reply;
}

struct reply guest_file_write(json_object *arguments) {
    FILE **file = file_argument(arguments);
    const char *text = string_argument(arguments, "buf-b64");
    size_t count = 0;
    uint8_t *octets = text ? base64_decode(text, &count) : NULL;
    int64_t wanted = (int64_t)count;
    integer_argument(arguments, "count", &wanted);
    struct reply reply;
    if (!file) reply = reply_error("handle not found");
    else if (!octets || wanted < 0 || wanted > (int64_t)count) reply = reply_error("buf-b64 or count is not valid");
    else {
        size_t written = fwrite(octets, 1, (size_t)wanted, *file);
        if (written < (size_t)wanted) {
            reply = reply_errno("write");
            clearerr(*file);
        } else {
            json_object *result = json_object_new_object();
            json_object_object_add(result, "count", json_object_new_int64((int64_t)written));
            json_object_object_add(result, "eof", json_object_new_boolean(false));
            reply = reply_value(result);
        }
    }
    free(octets);
    return reply;
}

struct reply guest_file_seek(json_object *arguments) {
    FILE **file = file_argument(arguments);
    int64_t offset = 0, number = 0;
    if (!file) return reply_error("handle not found");
    if (!integer_argument(arguments, "offset", &offset)) return reply_error("offset is missing");
    const char *name = string_argument(arguments, "whence");
    if (name) number = !strcmp(name, "set") ? 0 : !strcmp(name, "cur") ? 1 : !strcmp(name, "end") ? 2 : -1;
    else integer_argument(arguments, "whence", &number);
    static const int whences[] = {SEEK_SET, SEEK_CUR, SEEK_END};
    if (number < 0 || number > 2) return reply_error("whence is not valid");
    if (fseeko(*file, offset, whences[number]) < 0) return reply_errno("seek");
    json_object *result = json_object_new_object();
    json_object_object_add(result, "position", json_object_new_int64(ftello(*file)));
    json_object_object_add(result, "eof", json_object_new_boolean(feof(*file) != 0));
    return reply_value(result);
}

struct reply guest_file_flush(json_object *arguments) {
    FILE **file = file_argument(arguments);
    if (!file) return reply_error("handle not found");
    return fflush(*file) == 0 ? reply_value(NULL) : reply_errno("flush");
}
