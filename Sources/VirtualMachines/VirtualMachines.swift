// VirtualMachines
