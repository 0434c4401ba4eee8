#ifndef ALLOCATION_COUNTER_H
#define ALLOCATION_COUNTER_H

#include <stdbool.h>
#include <stdint.h>

/// Starts or stops counting the allocations of the calling thread.
void allocation_counter_set_enabled(bool is_enabled);

/// How many allocations the calling thread has made while it was counting.
uint64_t allocation_counter_value(void);

/// How many octets the heap holds at the moment, of all threads.
uint64_t allocation_counter_bytes_in_use(void);

/// How many octets of the process are in memory, once the heap has given back what it can.
uint64_t allocation_counter_resident_bytes(void);

#endif
