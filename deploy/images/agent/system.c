// What the agent does to and tells about the system as a whole.
#include "agent.h"
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

struct reply guest_shutdown(json_object *arguments) {
    const char *mode = string_argument(arguments, "mode");
    int number = !mode || !strcmp(mode, "powerdown") ? SIGUSR2
                 : !strcmp(mode, "halt")             ? SIGUSR1
                 : !strcmp(mode, "reboot")           ? SIGTERM
                                                     : 0;
    if (!number) return reply_error("mode is invalid (valid values are: halt|powerdown|reboot)");
    if (kill(1, number) < 0) return reply_errno("shutdown");
    return (struct reply){.silent = true};
}

struct reply guest_set_time(json_object *arguments) {
    int64_t nanoseconds;
    // Without a time it would mean "from the RTC", which the kernel has read at boot.
    if (!integer_argument(arguments, "time", &nanoseconds) || nanoseconds < 0) return reply_error("time is missing");
    struct timespec time = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    return clock_settime(CLOCK_REALTIME, &time) == 0 ? reply_value(NULL) : reply_errno("clock");
}

struct reply guest_get_time(json_object *arguments) {
    (void)arguments;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return reply_value(json_object_new_int64(now.tv_sec * 1000000000LL + now.tv_nsec));
}

struct reply guest_get_host_name(json_object *arguments) {
    (void)arguments;
    char name[256] = "";
    if (gethostname(name, sizeof name - 1) < 0) return reply_errno("hostname");
    json_object *result = json_object_new_object();
    json_object_object_add(result, "host-name", json_object_new_string(name));
    return reply_value(result);
}

struct reply guest_get_osinfo(json_object *arguments) {
    (void)arguments;
    struct utsname name;
    if (uname(&name) < 0) return reply_errno("uname");
    json_object *result = json_object_new_object();
    json_object_object_add(result, "id", json_object_new_string("micro"));
    json_object_object_add(result, "name", json_object_new_string("Warren micro"));
    json_object_object_add(result, "kernel-release", json_object_new_string(name.release));
    json_object_object_add(result, "kernel-version", json_object_new_string(name.version));
    json_object_object_add(result, "machine", json_object_new_string(name.machine));
    return reply_value(result);
}

static json_object *interface_named(json_object *list, const char *name) {
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *entry = json_object_array_get_idx(list, i);
        const char *known = string_argument(entry, "name");
        if (known && !strcmp(known, name)) return entry;
    }
    json_object *entry = json_object_new_object();
    json_object_object_add(entry, "name", json_object_new_string(name));
    json_object_array_add(list, entry);
    return entry;
}

static int prefix_length(const uint8_t *mask, size_t count) {
    int length = 0;
    for (size_t i = 0; i < count; i++) length += __builtin_popcount(mask[i]);
    return length;
}

struct reply guest_network_get_interfaces(json_object *arguments) {
    (void)arguments;
    struct ifaddrs *all;
    if (getifaddrs(&all) < 0) return reply_errno("getifaddrs");
    json_object *list = json_object_new_array();
    for (struct ifaddrs *next = all; next; next = next->ifa_next) {
        if (!next->ifa_addr) continue;
        json_object *entry = interface_named(list, next->ifa_name);
        int family = next->ifa_addr->sa_family;
        if (family == AF_PACKET) {
            struct sockaddr_ll *link = (struct sockaddr_ll *)next->ifa_addr;
            char text[18];
            const uint8_t *a = link->sll_addr;
            snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3], a[4], a[5]);
            json_object_object_add(entry, "hardware-address", json_object_new_string(text));
            continue;
        }
        if (family != AF_INET && family != AF_INET6) continue;
        bool v6 = family == AF_INET6;
        const void *address = v6 ? (void *)&((struct sockaddr_in6 *)next->ifa_addr)->sin6_addr
                                 : (void *)&((struct sockaddr_in *)next->ifa_addr)->sin_addr;
        const void *mask = !next->ifa_netmask ? NULL
                           : v6               ? (void *)&((struct sockaddr_in6 *)next->ifa_netmask)->sin6_addr
                                              : (void *)&((struct sockaddr_in *)next->ifa_netmask)->sin_addr;
        char text[INET6_ADDRSTRLEN] = "";
        inet_ntop(family, address, text, sizeof text);
        json_object *addresses, *one = json_object_new_object();
        if (!json_object_object_get_ex(entry, "ip-addresses", &addresses)) {
            addresses = json_object_new_array();
            json_object_object_add(entry, "ip-addresses", addresses);
        }
        json_object_object_add(one, "ip-address-type", json_object_new_string(v6 ? "ipv6" : "ipv4"));
        json_object_object_add(one, "ip-address", json_object_new_string(text));
        json_object_object_add(one, "prefix", json_object_new_int(mask ? prefix_length(mask, v6 ? 16 : 4) : 0));
        json_object_array_add(addresses, one);
    }
    freeifaddrs(all);
    return reply_value(list);
}
