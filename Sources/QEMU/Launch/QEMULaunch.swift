package import WarrenModel

/// Everything that decides how one QEMU is started.
package struct QEMULaunch: Hashable, Sendable {
    /// The pinned machine type.
    package var machine: String
    /// How instructions are run.
    package var accelerator: Accelerator
    /// Virtual CPUs.
    package var cpus: Int
    /// The guest's memory.
    package var memoryMiB: Int
    /// The kernel, as an absolute path.
    package var kernel: String
    /// The initial file system, as an absolute path.
    package var initramfs: String?
    /// The kernel's command line.
    package var kernelArguments: String
    /// Whether there is a NIC; its frames go over `net.sock`.
    package var hasNetwork: Bool
    /// Where the guest's memory comes from.
    package var memory = GuestMemory.own

    /// Where a guest's memory comes from.
    package enum GuestMemory: Hashable, Sendable {
        /// Its own, empty: the guest boots.
        case own
        /// The memory that the shim listening at `holder` holds; what the guest writes goes into it.
        case saved(holder: String)
        /// The same, copied on write, with the devices as the file `state` tells: the guest goes on where it was saved.
        case cloned(holder: String, state: String)

        /// The socket of the shim that holds the memory.
        package var holder: String? {
            switch self {
            case .own: nil
            case .saved(let holder), .cloned(let holder, _): holder
            }
        }
    }

    /// Joins the parts.
    package init(
        machine: String = QEMUDefaults.machine,
        accelerator: Accelerator = .tcg,
        cpus: Int = 1,
        memoryMiB: Int,
        kernel: String,
        initramfs: String? = nil,
        kernelArguments: String = "",
        hasNetwork: Bool = true
    ) {
        self.machine = machine
        self.accelerator = accelerator
        self.cpus = cpus
        self.memoryMiB = memoryMiB
        self.kernel = kernel
        self.initramfs = initramfs
        self.kernelArguments = kernelArguments
        self.hasNetwork = hasNetwork
    }
}
