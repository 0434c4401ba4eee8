// QEMU
