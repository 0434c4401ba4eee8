/// `vms`: what VMs are made of and how many there may be.
package struct VMsSection: ConfigurationSection {
    /// The QEMU binary, a path or a name in PATH.
    package var qemu = "qemu-system-x86_64"
    /// What executes guest code.
    package var accelerator = AcceleratorChoice.auto
    /// The image of a VM that names none.
    package var defaultImage = "micro"
    /// The memory of a VM that names none.
    package var defaultMemoryMiB = 256
    /// How many VMs there may be.
    package var maxCount = 200
    /// How much memory all VMs may have together.
    package var maxMemoryMiB = 16384
    /// How much memory one VM may have.
    package var maxMemoryMiBPerVM = 8192
    /// How many CPUs one VM may have.
    package var maxCPUsPerVM = 4
    /// How much of each console is kept.
    package var consoleLogKiB = 1024
    /// How long a guest may take to shut down before it is powered off.
    package var stopTimeout = Duration.seconds(10)

    /// The defaults.
    package init() {}

    package mutating func visit(_ visitor: inout some ConfigurationVisitor) {
        visitor.value("qemu", &qemu)
        visitor.value("accelerator", &accelerator)
        visitor.value("defaultImage", &defaultImage)
        visitor.value("defaultMemoryMiB", &defaultMemoryMiB)
        visitor.value("maxCount", &maxCount)
        visitor.value("maxMemoryMiB", &maxMemoryMiB)
        visitor.value("maxMemoryMiBPerVM", &maxMemoryMiBPerVM)
        visitor.value("maxCPUsPerVM", &maxCPUsPerVM)
        visitor.value("consoleLogKiB", &consoleLogKiB)
        visitor.value("stopTimeout", &stopTimeout)
    }
}

/// What executes guest code.
package enum AcceleratorChoice: String, ConfigurationChoice {
    /// KVM where a probe boot works, else TCG.
    case auto
    /// QEMU's translator, everywhere.
    case tcg
    /// The kernel's; an error where it does not work.
    case kvm
}
